L bash -c 'echo $((6*7)); for i in {1..5}; do (echo sub $i; exit $i) || true; done; x=$(echo captured); echo $x
seq 100 | grep 7 | sort -r | sed -n 1,3p | while read -r l; do echo "<$l>"; done; echo ${BASH_VERSINFO[0]}
coproc cat; echo through >&"${COPROC[1]}"; read -r l <&"${COPROC[0]}"; echo $l; trap "echo bye" EXIT
cat <<<here; cat <(echo substituted); exec {COPROC[1]}>&-; wait; kill -0 $$; [[ abc =~ b(.) ]] && echo ${BASH_REMATCH[1]}; exit 3' || echo $?
