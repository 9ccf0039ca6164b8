cat >all.py <<'PY'
import importlib, sys
# These two open a browser and print; the others are programs or need a display.
not_modules = {"antigravity", "this", "idlelib", "turtledemo", "__main__"}
for name in sorted(sys.stdlib_module_names - not_modules):
    try:
        importlib.import_module(name)
        print(name, "ok")
    except BaseException as e:
        print(name, type(e).__name__)
PY
L python3 -W ignore all.py
# Every extension module, first in its process.
folder=$(python3 -c 'import _json; print(_json.__file__.rpartition("/")[0])' 2>/dev/null || true)
if [[ -n $folder ]]; then
    for file in "$folder"/*.so; do
        module=${file##*/}; module=${module%%.*}
        L python3 -S -W ignore -c "import $module; print('$module', len(dir($module)))" 2>&1 | sed -n '$p'
    done
fi
cat >work.py <<'PY'
import asyncio, ctypes, decimal, hashlib, lzma, sqlite3, ssl, sys, threading, uuid, zlib, bz2
context = ssl.create_default_context()
print(context.verify_mode.name, len(context.get_ciphers()) > 5, ssl.OPENSSL_VERSION)
db = sqlite3.connect(":memory:")
db.execute("create table t(a, b)")
db.executemany("insert into t values (?, ?)", [(i, str(i) * 3) for i in range(1000)])
print(db.execute("select sum(a), max(b) from t").fetchone(), sqlite3.sqlite_version)
libc, libm = ctypes.CDLL("libc.so.6"), ctypes.CDLL("libm.so.6")
libm.cos.restype, libm.cos.argtypes = ctypes.c_double, [ctypes.c_double]
print(libc.strlen(b"seven77"), libm.cos(0.5), ctypes.CDLL(None).abs(-4))
compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
numbers = (ctypes.c_int * 5)(5, 1, 4, 2, 3)
libc.qsort(numbers, 5, 4, compare(lambda a, b: a[0] - b[0]))
print(list(numbers))
for attempt in (lambda: ctypes.CDLL("libnothing.so.9"), lambda: ctypes.CDLL("./nothing.so"),
                lambda: libm.nothing, lambda: ctypes.CDLL(None).nothing,
                lambda: ctypes.CDLL("./" + sys.argv[0])):
    try:
        attempt()
    except (OSError, AttributeError) as e:
        print(type(e).__name__, str(e).splitlines()[0])
print(decimal.Decimal(2).sqrt(decimal.Context(prec=50)))
data = bytes(range(256)) * 400
for module in (lzma, zlib, bz2):
    packed = module.compress(data)
    print(module.__name__, len(packed) < 2000, module.decompress(packed) == data)
print(sorted(hashlib.algorithms_guaranteed))
for name in ("md5", "sha256", "sha3_512", "blake2b", "sm3"):
    try:
        print(name, hashlib.new(name, b"text").hexdigest()[:16])
    except ValueError as e:
        print(name, "ValueError")
print(hashlib.scrypt(b"p", salt=b"s", n=16, r=1, p=1).hex()[:16])
print(uuid.uuid5(uuid.NAMESPACE_DNS, "example.org"), uuid.uuid1() != uuid.uuid1())
results = []
threads = [threading.Thread(target=lambda i=i: results.append(i * i)) for i in range(50)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sum(results))
async def main():
    async def one(i):
        await asyncio.sleep(0.001 * (5 - i))
        return i
    print(await asyncio.gather(*(one(i) for i in range(5))))
    process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    print((await process.communicate(b"through cat"))[0])
    print(await asyncio.get_running_loop().run_in_executor(None, sum, range(100)))
    infos = await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)
    print(infos[0][4])
asyncio.run(main())
PY
L python3 work.py
L python3 -c 'import curses; curses.setupterm("xterm", 1); print(curses.tigetnum("cols"), curses.tigetstr("cup"))'
L python3 -c 'import readline; readline.add_history("a"); print(readline.get_current_history_length(), readline.get_history_item(1))'
cat >processes.py <<'PY'
import multiprocessing, sys
def square(x): return x * x
def put(queue): queue.put("from the child")
if __name__ == "__main__":
    for way in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(way)
        with context.Pool(3) as pool:
            print(way, pool.map(square, range(10)))
        queue = context.Queue()
        child = context.Process(target=put, args=(queue,))
        child.start(); print(queue.get()); child.join(); print(child.exitcode)
PY
L python3 processes.py
