L seq 30 | L paste - - - | L cut -f2 | L tac | L nl | L fold -w 7 | L expand | L uniq -c
L printf '%s|%5d|%.3f\n' x 42 2.5
L expr 6 \* 7
L factor 1234567890
L numfmt --to=iec 1048576
L basename /a/b.c .c
L dirname /a/b
L base64 <<<hello
L od -c <<<hi
L join <(echo 1 a) <(echo 1 b)
