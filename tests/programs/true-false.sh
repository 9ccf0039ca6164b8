L true
L false || echo $?
