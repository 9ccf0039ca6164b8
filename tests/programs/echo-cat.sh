L echo hello; printf 'a\nb\n' | L cat -n
L cat missing || echo $?
