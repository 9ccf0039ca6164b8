L ssh-keygen -q -t ed25519 -N '' -C comment -f k
L ssh-keygen -l -f k | sed -E 's/SHA256:[^ ]{43} /SHA256:F /'
L ssh-keygen -y -f k | cmp - k.pub && echo same
L ssh-keygen -q -t rsa -b 2048 -N secret -f r
L ssh-keygen -y -P secret -f r | cut -c1-20
L ssh-keygen -Y sign -q -f k -n test <k.pub | L ssh-keygen -Y check-novalidate -n test -s /dev/stdin <k.pub 2>&1 | cut -c1-4 || echo $?
