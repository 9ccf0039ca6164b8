L date -u -d @0
L date -u -d '2024-02-29 +1 year' +%F
L date -u -d @1700000000 +%c%Z%s
