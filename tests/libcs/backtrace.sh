# Frames in objects whose dynamic section cannot be written: libc looks at the vDSO's and the loader's.
cat >frames.py <<'PY'
import ctypes
libc = ctypes.CDLL(None)
libc.getauxval.restype = ctypes.c_ulong
libc.backtrace_symbols.restype = ctypes.POINTER(ctypes.c_char_p)
AT_BASE, AT_SYSINFO_EHDR = 7, 33
inside = [libc.getauxval(AT_SYSINFO_EHDR) + 0xa00, libc.getauxval(AT_BASE) + 0x1000]
shown = libc.backtrace_symbols((ctypes.c_void_p * 2)(*inside), 2)
for at in range(2):
    print(shown[at].split(b"(")[0].decode())
PY
python3 frames.py
# A handler that interrupts what the vDSO does, and a child of it.
cat >interrupted.py <<'PY'
import ctypes, os, signal, time
libc = ctypes.CDLL(None)
frames = (ctypes.c_void_p * 64)()
count = 0
def handler(*_):
    global count
    count += libc.backtrace(frames, 64) > 3
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
end = time.monotonic() + 0.3
while time.monotonic() < end:
    libc.gettimeofday(frames, None)
signal.setitimer(signal.ITIMER_REAL, 0)
pid = os.fork()
if pid == 0:
    os._exit(libc.backtrace(frames, 64) > 3)
print(count > 5, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
python3 interrupted.py
