# The standard library: every module, and every extension first in its process.
cat >all.py <<'PY'
import importlib, os, sys, sysconfig
skipped = {"antigravity", "this", "idlelib", "turtledemo", "__main__", "pydoc_data", "lib2to3"}
known = getattr(sys, "stdlib_module_names", None)
if known is None:
    folder = os.path.dirname(os.__file__)
    known = {name.split(".")[0] for name in os.listdir(folder)} | set(sys.builtin_module_names)
for name in sorted(known - skipped):
    if name.isidentifier():
        try:
            importlib.import_module(name)
            print(name, "ok")
        except BaseException as e:
            print(name, type(e).__name__)
PY
python3 -W ignore all.py
folder=$(python3 -c 'import sysconfig; print(sysconfig.get_path("platstdlib"))')/lib-dynload
for file in "$folder"/*.so; do
    module=${file##*/}; module=${module%%.*}
    echo "$module" "$(python3 -S -W ignore -c "import $module; print(len(dir($module)))" 2>/dev/null)"
done
python3 - <<'PY'
import asyncio, bz2, ctypes, decimal, hashlib, lzma, multiprocessing, sqlite3, ssl, uuid, zlib
context = ssl.create_default_context()
print(context.verify_mode.name, len(context.get_ciphers()) > 5, ssl.OPENSSL_VERSION)
libc, libm = ctypes.CDLL("libc.so.6"), ctypes.CDLL("libm.so.6")
libm.cos.restype, libm.cos.argtypes = ctypes.c_double, [ctypes.c_double]
print(libc.strlen(b"seven77"), libm.cos(0.5), ctypes.CDLL(None).abs(-4))
compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
numbers = (ctypes.c_int * 5)(5, 1, 4, 2, 3)
libc.qsort(numbers, 5, 4, compare(lambda a, b: a[0] - b[0]))
print(list(numbers), decimal.Decimal(2).sqrt(decimal.Context(prec=50)))
data = bytes(range(256)) * 400
for module in (lzma, zlib, bz2):
    packed = module.compress(data)
    print(module.__name__, len(packed) < 2000, module.decompress(packed) == data)
print(hashlib.scrypt(b"p", salt=b"s", n=16, r=1, p=1).hex()[:16])
print(uuid.uuid5(uuid.NAMESPACE_DNS, "example.org"))
db = sqlite3.connect(":memory:")
db.execute("create table t(a, b)")
db.executemany("insert into t values (?, ?)", [(i, str(i) * 3) for i in range(1000)])
print(db.execute("select sum(a), max(b) from t").fetchone())
with multiprocessing.get_context("fork").Pool(3) as pool:
    print(pool.map(abs, range(-5, 5)))
async def main():
    process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    print((await process.communicate(b"through cat"))[0])
    print(await asyncio.get_running_loop().run_in_executor(None, sum, range(100)))
asyncio.run(main())
PY
