L id
L id -un
L whoami
L groups || true
L id nobody
