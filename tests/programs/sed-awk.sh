L seq 20 | L sed -n 's/1\(.\)/<\1>/p;$='
L sed -i s/a/b/ <(:) 2>/dev/null || true; echo abc >f
L sed -i.bak 's/b/X/' f; cat f f.bak
L seq 100 | L awk '{s+=$1; n[$1%3]++} END {print s, n[0], n[1], n[2]; printf "%.4f\n", sqrt(2)}'
L gawk 'BEGIN {print toupper("gawk"), length("abc"), strftime("%Y", 0); "echo pipe" | getline x; print x}'
