mkdir -p t/{a,b,c}/d; for f in t/*/d; do echo needle >$f/x; echo hay >$f/y; done
L find t -type f -name x -exec grep -l needle {} + | sort
L find t -type d -empty
L find t -newer t/a -name q
L grep -rnE 'ne+dle|zzz' t | sort
L grep -c hay t/a/d/y
L grep -q none t/a/d/y || echo $?
L grep -P 'n(?=eed)' t/a/d/x
