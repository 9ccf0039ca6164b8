L dash -c 'i=0; while [ $i -lt 200 ]; do i=$((i+1)); done; echo $i | (read x; echo $x); exit 4' || echo $?
