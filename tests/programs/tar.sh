mkdir d
L seq 100000 >d/n; echo small >d/s
L touch -d @0 d/* d
for z in gzip xz bzip2; do type -P $z >/dev/null || continue
L tar --sort=name --owner=0 --group=0 -I $z -cf t.tar.$z d; mkdir o
L tar -C o -I $z -xf t.tar.$z
L diff -r d o/d && echo $z same; rm -r o; done
L tar -cf - d | L gzip -9n | L gzip -dc | L tar -tf -
L xz -T2 -k d/n
L xz -l d/n.xz | sed -n 1,1p
L xz -dc d/n.xz | L sha256sum
