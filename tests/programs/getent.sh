L getent passwd root nobody
L getent passwd 0 65534
L getent passwd | L sha256sum
L getent group root
L getent group | L wc -l
L getent shadow root >/dev/null || echo "shadow $?"
L getent services ssh 80/tcp domain
L getent protocols tcp udp 1
L getent networks loopback || echo "networks $?"
L getent rpc portmapper || echo "rpc $?"
L getent ethers nobody || echo "ethers $?"
L getent hosts localhost
L getent hosts 127.0.0.1
L getent ahosts localhost
L getent ahostsv4 localhost
L getent hosts ::1 || echo "::1 $?"
L getent initgroups root
L getent -s files passwd root
L getent -s compat group root || echo "compat $?"
# A service that there is none of: NSS asks for its library and goes on.
L getent -s 'nothing files' passwd root || echo "nothing $?"
L getent -s nothing passwd root || echo "nothing $?"
L getent -s db services ssh || echo "db $?"
L getent passwd no-such-user || echo $?
L getent nothing x 2>/dev/null || echo $?
L id
L id -Gn
L id root
L whoami
L logname 2>/dev/null || true
touch f
L stat -c '%U %G' f
L chown "$(id -un)" f
L find f -user "$(id -un)"
L ls -l /etc/passwd | L awk '{print $3, $4}'
L tar -cf - f | L tar -tvf - | L awk '{print $2}'
L python3 -c '
import grp, pwd, socket
print(pwd.getpwnam("root").pw_uid, grp.getgrgid(0).gr_name, len(pwd.getpwall()) > 5)
print(sorted({a[4][0] for a in socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)}))
print(socket.gethostbyname("localhost"), socket.getservbyname("ssh"), socket.getnameinfo(("127.0.0.1", 22), 0))
try: socket.getaddrinfo("no such host", 80, flags=socket.AI_NUMERICHOST)
except socket.gaierror as e: print(e)'
L perl -e 'print join(":", (getpwnam "root")[0, 2, 7]), " ", scalar(getgrgid 0), " ", join(".", unpack "C4", gethostbyname "localhost"), "\n"'
