# Children, pipes, coprocesses, traps, signals.
bash -c 'echo $((6*7)); for i in {1..5}; do (echo sub $i; exit $i) || true; done; x=$(echo captured); echo $x
seq 100 | sort -r | head -n 3 | while read -r l; do echo "<$l>"; done
coproc cat; echo through >&"${COPROC[1]}"; read -r l <&"${COPROC[0]}"; echo $l; trap "echo bye" EXIT
cat <<<here; cat <(echo substituted); exec {COPROC[1]}>&-; wait; [[ abc =~ b(.) ]] && echo ${BASH_REMATCH[1]}; exit 3' || echo $?
{ bash -c 'kill -SEGV $$' || echo $?; } 2>/dev/null
sh -c 'trap "echo caught" TERM; kill -TERM $$; exit 4' || echo $?
timeout 0.2 sleep 10 || echo $?
