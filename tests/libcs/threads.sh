# Threads, children of threaded processes, and libraries that are opened, as Python uses them.
cat >work.py <<'PY'
import concurrent.futures, ctypes, os, queue, signal, subprocess, sys, threading, time
def child():
    pid = os.fork()
    if pid == 0:
        t = threading.Thread(target=lambda: ctypes.CDLL("libm.so.6").abs)
        t.start()
        t.join()
        import decimal, sqlite3
        sqlite3.connect(":memory:").execute("select 1")
        os._exit(len(str(decimal.Decimal(1) / 7)))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(child())
stop = threading.Event()
busy = [threading.Thread(target=stop.wait) for _ in range(200)]
[t.start() for t in busy]
print(threading.active_count(), child())
stop.set()
[t.join() for t in busy]
# A thread that ends unwinds its stack. If its process forks meanwhile, the child of ld.so 2.31 waits for ever for the
# lock of dl_iterate_phdr(3), which nobody holds there.
while len(os.listdir("/proc/self/task")) > 1:
    time.sleep(0.01)
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(lambda i: child(), range(16))))
local = threading.local()
def use(i):
    local.x = i
    import hashlib
    return hashlib.sha256(str(local.x).encode()).hexdigest()[:2]
for _ in range(20):
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        found = list(pool.map(use, range(20)))
print("".join(found))
signal.signal(signal.SIGALRM, lambda *_: print("alarm"))
signal.setitimer(signal.ITIMER_REAL, 0.05)
time.sleep(0.2)
print(subprocess.run(["true"]).returncode, subprocess.run("exit 3", shell=True).returncode)
for name in ("libnothing.so.1", "./work.py"):
    try:
        ctypes.CDLL(name)
    except OSError as e:
        print(str(e).splitlines()[0])
try:
    ctypes.CDLL(None).nothing
except AttributeError as e:
    print(str(e).splitlines()[0])
print(os.cpu_count() > 0, os.sysconf("SC_PAGESIZE"), os.sysconf("SC_CLK_TCK"))
print(os.confstr("CS_GNU_LIBC_VERSION"), sys.getrecursionlimit())
PY
python3 -W ignore work.py
