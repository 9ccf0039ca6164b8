//! Which tunables a release has, in the order of its ids: positions in a generated list, by the hash of the names up to
//! 2.39 and by name from then on (contract 9.2). Behind `'`: the older row of a name.

use super::List;

list! {
    /// What C libraries ask for before anything else that their branches gave another number: up to 2.33 libpthread
    /// the first two or three, or malloc the last one; from 2.34 on libc when it starts.
    FIRST_ASKED =
        "elision.skip_lock_busy'" "elision.skip_lock_internal_abort'"
        "elision.skip_lock_internal_abort" "pthread.mutex_spin_count" "malloc.check"
}

list! {
    /// The branch of 2.28 from October 2019 on.
    V2_28_MXFAST =
        "tune.hwcaps" "elision.skip_lock_after_retries'" "malloc.trim_threshold"
        "malloc.perturb" "tune.x86_shstk" "elision.tries'" "elision.enable" "malloc.mxfast"
        "tune.x86_ibt" "elision.skip_lock_busy'" "malloc.top_pad'" "malloc.mmap_max'"
        "elision.skip_trylock_internal_abort'" "malloc.tcache_unsorted_limit"
        "tune.x86_non_temporal_threshold" "tune.x86_shared_cache_size"
        "elision.skip_lock_internal_abort'" "tune.hwcap_mask" "malloc.arena_max"
        "malloc.mmap_threshold" "malloc.tcache_count" "malloc.arena_test"
        "tune.x86_data_cache_size" "malloc.tcache_max" "malloc.check"
}

list! {
    /// 2.28.
    V2_28 = V2_28_MXFAST but "malloc.mxfast"
}

list! {
    /// 2.29 and 2.30.
    V2_29 = V2_31 but "malloc.mxfast"
}

list! {
    /// 2.31, as the project publishes it, and the branches of 2.29 and 2.30 from November 2019 on.
    V2_31 = V2_31_DEBIAN but "rtld.nns" "rtld.optional_static_tls"
}

list! {
    /// Debian's 2.31, which has two more.
    V2_31_DEBIAN = V2_32 but "cpu.x86_rep_movsb_threshold" "cpu.x86_rep_stosb_threshold"
}

list! {
    /// 2.32.
    V2_32 =
        "rtld.nns" "elision.skip_lock_after_retries'" "malloc.trim_threshold" "malloc.perturb"
        "cpu.x86_shared_cache_size" "elision.tries'" "elision.enable"
        "cpu.x86_rep_movsb_threshold" "malloc.mxfast" "elision.skip_lock_busy'"
        "malloc.top_pad'" "cpu.x86_rep_stosb_threshold" "cpu.x86_non_temporal_threshold"
        "cpu.x86_shstk" "cpu.hwcap_mask" "malloc.mmap_max'"
        "elision.skip_trylock_internal_abort'" "malloc.tcache_unsorted_limit" "cpu.x86_ibt"
        "cpu.hwcaps" "elision.skip_lock_internal_abort'" "malloc.arena_max"
        "malloc.mmap_threshold" "cpu.x86_data_cache_size" "malloc.tcache_count"
        "malloc.arena_test" "pthread.mutex_spin_count" "rtld.optional_static_tls"
        "malloc.tcache_max" "malloc.check"
}

list! {
    /// 2.33.
    V2_33 = V2_34_GMON but "pthread.stack_cache_size" "gmon.minarcs" "gmon.maxarcs"
}

list! {
    /// The branch of 2.34 from April 2023 on.
    V2_34_GMON = V2_36_GMON but "pthread.rseq" "malloc.hugetlb" "rtld.dynamic_sort"
}

list! {
    /// 2.34.
    V2_34 = V2_34_GMON but "gmon.minarcs" "gmon.maxarcs"
}

list! {
    /// The branches of 2.35 to 2.37 from April 2023 on.
    V2_36_GMON =
        "rtld.nns" "elision.skip_lock_after_retries" "malloc.trim_threshold" "malloc.perturb"
        "cpu.x86_shared_cache_size" "pthread.rseq" "mem.tagging" "elision.tries" "elision.enable"
        "malloc.hugetlb" "cpu.x86_rep_movsb_threshold" "malloc.mxfast" "rtld.dynamic_sort"
        "elision.skip_lock_busy" "malloc.top_pad'" "cpu.x86_rep_stosb_threshold"
        "cpu.x86_non_temporal_threshold" "cpu.x86_shstk" "pthread.stack_cache_size" "gmon.minarcs"
        "cpu.hwcap_mask" "malloc.mmap_max" "elision.skip_trylock_internal_abort"
        "malloc.tcache_unsorted_limit" "cpu.x86_ibt" "cpu.hwcaps"
        "elision.skip_lock_internal_abort" "malloc.arena_max" "malloc.mmap_threshold"
        "cpu.x86_data_cache_size" "malloc.tcache_count" "malloc.arena_test"
        "pthread.mutex_spin_count" "gmon.maxarcs" "rtld.optional_static_tls" "malloc.tcache_max"
        "malloc.check"
}

list! {
    /// 2.35 to 2.37.
    V2_36 = V2_36_GMON but "gmon.minarcs" "gmon.maxarcs"
}

list! {
    /// 2.38.
    V2_38 = V2_39 but "cpu.plt_rewrite" "mem.decorate_maps"
}

list! {
    /// 2.39, up to where its branch got a threshold for memset.
    V2_39 = V2_39_MEMSET but "cpu.x86_memset_non_temporal_threshold"
}

list! {
    /// 2.39 from there on.
    V2_39_MEMSET =
        "malloc.mxfast" "malloc.mmap_threshold" "malloc.tcache_max" "pthread.mutex_spin_count"
        "cpu.x86_rep_movsb_threshold" "malloc.tcache_unsorted_limit" "elision.tries"
        "cpu.x86_non_temporal_threshold" "cpu.x86_data_cache_size" "cpu.x86_shared_cache_size"
        "elision.skip_trylock_internal_abort" "rtld.dynamic_sort" "malloc.mmap_max"
        "cpu.prefer_map_32bit_exec" "malloc.trim_threshold" "elision.skip_lock_after_retries"
        "cpu.plt_rewrite" "rtld.optional_static_tls" "mem.decorate_maps" "cpu.hwcap_mask"
        "cpu.x86_ibt" "pthread.stack_cache_size" "rtld.nns" "malloc.arena_test" "malloc.hugetlb"
        "cpu.x86_rep_stosb_threshold" "malloc.perturb" "malloc.tcache_count" "elision.enable"
        "cpu.x86_shstk" "gmon.maxarcs" "malloc.check" "gmon.minarcs" "malloc.top_pad"
        "cpu.x86_memset_non_temporal_threshold" "pthread.stack_hugetlb" "mem.tagging" "cpu.hwcaps"
        "elision.skip_lock_internal_abort" "malloc.arena_max" "elision.skip_lock_busy"
        "pthread.rseq"
}

list! {
    /// 2.40.
    V2_40 = V2_41 but "rtld.execstack"
}

list! {
    /// 2.41 and 2.42.
    V2_41 =
        "cpu.hwcaps" "cpu.plt_rewrite" "cpu.prefer_map_32bit_exec" "cpu.x86_data_cache_size"
        "cpu.x86_ibt" "cpu.x86_memset_non_temporal_threshold" "cpu.x86_non_temporal_threshold"
        "cpu.x86_rep_movsb_threshold" "cpu.x86_rep_stosb_threshold" "cpu.x86_shared_cache_size"
        "cpu.x86_shstk" "elision.enable" "elision.skip_lock_after_retries"
        "elision.skip_lock_busy" "elision.skip_lock_internal_abort"
        "elision.skip_trylock_internal_abort" "elision.tries" "gmon.maxarcs" "gmon.minarcs"
        "malloc.arena_max" "malloc.arena_test" "malloc.check" "malloc.hugetlb" "malloc.mmap_max"
        "malloc.mmap_threshold" "malloc.mxfast" "malloc.perturb" "malloc.tcache_count"
        "malloc.tcache_max" "malloc.tcache_unsorted_limit" "malloc.top_pad"
        "malloc.trim_threshold" "mem.decorate_maps" "mem.tagging" "pthread.mutex_spin_count"
        "pthread.rseq" "pthread.stack_cache_size" "pthread.stack_hugetlb" "rtld.dynamic_sort"
        "rtld.enable_secure" "rtld.execstack" "rtld.nns" "rtld.optional_static_tls"
}

list! {
    /// 2.43.
    V2_43 =
        "cpu.hwcaps" "cpu.plt_rewrite" "cpu.prefer_map_32bit_exec" "cpu.x86_data_cache_size"
        "cpu.x86_ibt" "cpu.x86_memset_non_temporal_threshold" "cpu.x86_non_temporal_threshold"
        "cpu.x86_rep_movsb_threshold" "cpu.x86_rep_stosb_threshold" "cpu.x86_shared_cache_size"
        "cpu.x86_shstk" "gmon.maxarcs" "gmon.minarcs" "malloc.arena_max" "malloc.arena_test"
        "malloc.check" "malloc.hugetlb" "malloc.mmap_max" "malloc.mmap_threshold" "malloc.mxfast"
        "malloc.perturb" "malloc.tcache_count" "malloc.tcache_max" "malloc.tcache_unsorted_limit"
        "malloc.top_pad" "malloc.trim_threshold" "mem.decorate_maps" "mem.tagging"
        "pthread.mutex_spin_count" "pthread.rseq" "pthread.stack_cache_size"
        "pthread.stack_hugetlb" "rtld.dynamic_sort" "rtld.enable_secure" "rtld.execstack"
        "rtld.nns" "rtld.optional_static_tls"
}

/// The list of this name, as the table of layouts has it.
#[must_use]
pub fn named(name: &str) -> Option<List> {
    Some(match name {
        "2.28" => V2_28,
        "2.28-mxfast" => V2_28_MXFAST,
        "2.29" => V2_29,
        "2.29-mxfast" | "2.31" => V2_31,
        "2.31-debian" => V2_31_DEBIAN,
        "2.32" => V2_32,
        "2.33" => V2_33,
        "2.34" => V2_34,
        "2.34-gmon" => V2_34_GMON,
        "2.36" => V2_36,
        "2.36-gmon" => V2_36_GMON,
        "2.38" => V2_38,
        "2.39" => V2_39,
        "2.39-memset" => V2_39_MEMSET,
        "2.40" => V2_40,
        "2.41" => V2_41,
        "2.43" => V2_43,
        _ => return None,
    })
}
