# Names and ids: nothing here changes them, but libc asks all threads to when a threaded program does.
python3 - <<'PY'
import os, threading
stop = threading.Event()
threads = [threading.Thread(target=stop.wait) for _ in range(5)]
[t.start() for t in threads]
os.setresuid(os.getuid(), os.geteuid(), os.geteuid())
os.setresgid(os.getgid(), os.getegid(), os.getegid())
ids = set()
for task in os.listdir("/proc/self/task"):
    for line in open(f"/proc/self/task/{task}/status"):
        if line.startswith(("Uid", "Gid")):
            ids.add(len(set(line.split()[1:])))
print(sorted(ids), threading.active_count())
stop.set()
[t.join() for t in threads]
PY
