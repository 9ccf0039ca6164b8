# What GLIBC_TUNABLES says reaches malloc and threads: libc asks for each by its release's number.
cat >perturb.py <<'PY'
import ctypes
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
print(ctypes.string_at(c.malloc(400), 400).count(0x5a) >= 300)
PY
python3 perturb.py
GLIBC_TUNABLES=glibc.malloc.perturb=165 python3 perturb.py
MALLOC_PERTURB_=165 python3 perturb.py
cat >mapped.py <<'PY'
import ctypes
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
# What is mapped for itself begins sixteen bytes into a page.
print(all(c.malloc(20000 + i) % 4096 == 16 for i in range(8)))
PY
GLIBC_TUNABLES=glibc.malloc.top_pad=1000000 python3 mapped.py
GLIBC_TUNABLES=glibc.malloc.top_pad=1000000:glibc.malloc.mmap_threshold=10000 python3 mapped.py
GLIBC_TUNABLES=glibc.malloc.mmap_threshold=10000:glibc.malloc.mmap_max=0 python3 mapped.py
cat >arenas.py <<'PY'
import ctypes, threading
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
places, ready = set(), threading.Barrier(6)
def use():
    places.add(c.malloc(100) >> 26)
    ready.wait()
threads = [threading.Thread(target=use) for _ in range(5)]
[t.start() for t in threads]
ready.wait()
[t.join() for t in threads]
# Even one arena may lie on both sides of such a border.
print(len(places) > 2)
PY
GLIBC_TUNABLES=glibc.malloc.arena_max=1 python3 arenas.py
GLIBC_TUNABLES=glibc.malloc.arena_max=8 python3 arenas.py
version=$(getconf GNU_LIBC_VERSION)
if ((${version##*.} >= 35)); then
cat >rseq.py <<'PY'
import ctypes
print(ctypes.c_uint.in_dll(ctypes.CDLL(None), "__rseq_size").value)
PY
python3 rseq.py
GLIBC_TUNABLES=glibc.pthread.rseq=0 python3 rseq.py
fi
GLIBC_TUNABLES=glibc.malloc.perturb=300:glibc.nothing=1:x:glibc.malloc.check=1 python3 perturb.py
GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0:glibc.pthread.stack_cache_size=0 python3 arenas.py
