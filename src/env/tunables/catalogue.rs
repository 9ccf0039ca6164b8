//! All tunables of all releases, by name. One whose default or bounds have changed has a row for each, the newest
//! first.

tunables! {
    Uint64 "glibc.cpu.hwcap_mask" or "LD_HWCAP_MASK" = 6 in 0, u64::MAX;
    Text "glibc.cpu.hwcaps";
    Int32 "glibc.cpu.plt_rewrite" = 0 in 0, 2;
    Int32 "glibc.cpu.prefer_map_32bit_exec" or "LD_PREFER_MAP_32BIT_EXEC" = 0 in 0, 1;
    SizeT "glibc.cpu.x86_data_cache_size" = 0 in 0, u64::MAX;
    Text "glibc.cpu.x86_ibt";
    SizeT "glibc.cpu.x86_memset_non_temporal_threshold" = 0 in 0, u64::MAX;
    SizeT "glibc.cpu.x86_non_temporal_threshold" = 0 in 0, u64::MAX;
    SizeT "glibc.cpu.x86_rep_movsb_threshold" = 0 in 1, u64::MAX;
    SizeT "glibc.cpu.x86_rep_stosb_threshold" = 2048 in 1, u64::MAX;
    SizeT "glibc.cpu.x86_shared_cache_size" = 0 in 0, u64::MAX;
    Text "glibc.cpu.x86_shstk";
    Int32 "glibc.elision.enable" = 0 in 0, 1;
    Int32 "glibc.elision.skip_lock_after_retries" = 3 in 0, i32::MAX;
    Int32 "glibc.elision.skip_lock_after_retries" = 3 in i32::MIN, i32::MAX;
    Int32 "glibc.elision.skip_lock_busy" = 3 in 0, i32::MAX;
    Int32 "glibc.elision.skip_lock_busy" = 3 in i32::MIN, i32::MAX;
    Int32 "glibc.elision.skip_lock_internal_abort" = 3 in 0, i32::MAX;
    Int32 "glibc.elision.skip_lock_internal_abort" = 3 in i32::MIN, i32::MAX;
    Int32 "glibc.elision.skip_trylock_internal_abort" = 3 in 0, i32::MAX;
    Int32 "glibc.elision.skip_trylock_internal_abort" = 3 in i32::MIN, i32::MAX;
    Int32 "glibc.elision.tries" = 3 in 0, i32::MAX;
    Int32 "glibc.elision.tries" = 3 in i32::MIN, i32::MAX;
    Int32 "glibc.gmon.maxarcs" = 1048576 in 50, i32::MAX;
    Int32 "glibc.gmon.minarcs" = 50 in 50, i32::MAX;
    SizeT "glibc.malloc.arena_max" or "MALLOC_ARENA_MAX" = 0 in 1, u64::MAX;
    SizeT "glibc.malloc.arena_test" or "MALLOC_ARENA_TEST" = 0 in 1, u64::MAX;
    Int32 "glibc.malloc.check" or "MALLOC_CHECK_" = 0 in 0, 3;
    SizeT "glibc.malloc.hugetlb" = 0 in 0, u64::MAX;
    Int32 "glibc.malloc.mmap_max" or "MALLOC_MMAP_MAX_" = 0 in 0, i32::MAX;
    Int32 "glibc.malloc.mmap_max" or "MALLOC_MMAP_MAX_" = 0 in i32::MIN, i32::MAX;
    SizeT "glibc.malloc.mmap_threshold" or "MALLOC_MMAP_THRESHOLD_" = 0 in 0, u64::MAX;
    SizeT "glibc.malloc.mxfast" = 0 in 0, u64::MAX;
    Int32 "glibc.malloc.perturb" or "MALLOC_PERTURB_" = 0 in 0, 255;
    SizeT "glibc.malloc.tcache_count" = 0 in 0, u64::MAX;
    SizeT "glibc.malloc.tcache_max" = 0 in 0, u64::MAX;
    SizeT "glibc.malloc.tcache_unsorted_limit" = 0 in 0, u64::MAX;
    SizeT "glibc.malloc.top_pad" or "MALLOC_TOP_PAD_" = 131072 in 0, u64::MAX;
    SizeT "glibc.malloc.top_pad" or "MALLOC_TOP_PAD_" = 0 in 0, u64::MAX;
    SizeT "glibc.malloc.trim_threshold" or "MALLOC_TRIM_THRESHOLD_" = 0 in 0, u64::MAX;
    Int32 "glibc.mem.decorate_maps" = 0 in 0, 1;
    Int32 "glibc.mem.tagging" = 0 in 0, 255;
    Int32 "glibc.pthread.mutex_spin_count" = 100 in 0, 32767;
    Int32 "glibc.pthread.rseq" = 1 in 0, 1;
    SizeT "glibc.pthread.stack_cache_size" = 41943040 in 0, u64::MAX;
    Int32 "glibc.pthread.stack_hugetlb" = 1 in 0, 1;
    Int32 "glibc.rtld.dynamic_sort" = 2 in 1, 2;
    Int32 "glibc.rtld.enable_secure" = 0 in 0, 1;
    Int32 "glibc.rtld.execstack" = 1 in 0, 2;
    SizeT "glibc.rtld.nns" = 4 in 1, 16;
    SizeT "glibc.rtld.optional_static_tls" = 512 in 0, u64::MAX;
}
