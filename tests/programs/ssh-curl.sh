L ssh -V 2>&1 | L sed 's/,.*//'
L ssh -Q cipher | L sort | L sha256sum
L ssh -T -G -F none example.org | L sed -n '/^port/p;/^hostname/p'
mkdir site; echo "a page" >site/page; L seq 20000 >site/numbers
python3 -u -m http.server --bind 127.0.0.1 --directory site 0 >server.log 2>/dev/null &
until_it grep -q ' port ' server.log
port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' server.log)
L curl -sS "http://127.0.0.1:$port/page"
L curl -sS "http://localhost:$port/numbers" | L sha256sum
L curl -sS --no-progress-meter --parallel "http://127.0.0.1:$port/page" "http://127.0.0.1:$port/page"
L curl -sSf "http://127.0.0.1:$port/missing" 2>/dev/null || echo $?
L curl -sS -o /dev/null -w '%{http_code} %{size_download}\n' "http://127.0.0.1:$port/numbers"
L curl -sS nothing://127.0.0.1 2>/dev/null || echo $?
L wget -q -O - "http://127.0.0.1:$port/page"
L wget -q -O copy "http://127.0.0.1:$port/numbers"
L cmp copy site/numbers && echo same
L wget -q -O /dev/null "http://127.0.0.1:$port/missing" || echo $?
L curl --version | L sed -n '1s/ (.*//p;/^Protocols/p;/^Features/p'
L wget --version | L sed -n 1p
L openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 30 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost 2>/dev/null
L openssl s_server -accept 127.0.0.1:0 -key key -cert cert -www >tls.log 2>&1 &
until_it grep -q '^ACCEPT' tls.log
port=$(sed -n 's/^ACCEPT.*:\([0-9]*\)$/\1/p' tls.log)
L curl -s "https://localhost:$port/" || echo $?
L wget -q -O - "https://localhost:$port/" || echo $?
L curl -s --cacert cert "https://localhost:$port/" | grep -c '<HTML>'
L curl -s -k "https://localhost:$port/" | grep -c '<HTML>'
L wget -q -O - --ca-certificate=cert "https://localhost:$port/" | grep -c '<HTML>'
L openssl s_client -connect "localhost:$port" -CAfile cert 2>&1 </dev/null | sed -n 's/ *\(Verify return code.*\)/\1/p' | sed -n 1p
