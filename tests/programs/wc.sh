L seq 1000 | L tee copy | L wc
L wc -l copy
L head -c 100 copy | L md5sum
L tail -3 copy
