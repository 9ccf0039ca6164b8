L bash -c 'for i in {1..30}; do (exit $((i % 7))) & p[$i]=$!; done; s=0; for i in {1..30}; do wait ${p[$i]} || s=$((s+$?)); done; echo $s
sleep 30 & kill $!; wait $! || echo killed $?; ulimit -s >/dev/null; printf "%s\n" *'
(L sh -c 'kill -SEGV $$') 2>/dev/null || echo $?
