# needs: su
# PAM loads its modules when it is used.
((EUID == 0)) || skip "not root: su asks for a password"
L su -s /bin/sh nobody -c 'id -un; echo $HOME; exit 3' || echo $?
L su -s /bin/sh -g nogroup nobody -c 'id -gn'
L su no-such-user -c true 2>&1 || echo $?
if type -P runuser >/dev/null; then L runuser -u nobody -- id -u; fi
L setpriv --reuid=65534 --regid=65534 --clear-groups id -G
