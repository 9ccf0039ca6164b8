mkdir -p a/b; echo x >a/f
L cp -r a c
L mv c e
L ln -s f e/g
L readlink e/g
L rm -r a
L ls -R
L dd if=/dev/zero of=z bs=1024 count=64 status=none
L truncate -s 10 z
L stat -c %s z
L split -b 3 z part
L ls part*
L chmod u+x z
L test -x z && echo executable
L sync z
L mktemp -u tXXX >mktemp.out
