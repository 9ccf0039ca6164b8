L seq 1 200000 >n
L sort --parallel=4 -S 1M -k1,1r n >sorted
L sha256sum sorted
L sort -n --parallel=2 sorted | L cmp - n && echo same
L shuf -i 1-9 | L sort | L tr '\n' ' '
