L perl --version | sed -n 1,2p
L perl -e 'print join(q(,), map { $_ ** 2 } 1..9), qq(\n); print qx(echo child); exit 3' || echo $?
