# needs: nginx curl
mkdir site; echo "a page" >site/page; L seq 5000 >site/numbers
user=
((EUID)) || user="user $(id -un) $(id -gn);"
cat >conf <<CONF
$user
daemon off; worker_processes 2; pid $PWD/pid; error_log $PWD/error.log;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path $PWD/body; proxy_temp_path $PWD/proxy; fastcgi_temp_path $PWD/fastcgi;
    uwsgi_temp_path $PWD/uwsgi; scgi_temp_path $PWD/scgi;
    gzip on; gzip_types *; gzip_min_length 1;
    server {
        listen unix:$PWD/socket;
        root $PWD/site;
        location ~ ^/number/([0-9]+)\$ { return 200 "number \$1\n"; }
        location /gone { return 410; }
        location /through/ { proxy_pass http://unix:$PWD/socket:/; }
    }
}
CONF
((${#PWD} < 90)) || skip "the scratch folder's name is too long for a socket"
L nginx -v 2>&1
L nginx -e error.log -p "$PWD" -c "$PWD/conf" -t 2>&1
L nginx -e error.log -p "$PWD" -c "$PWD/conf" &
until_it test -S socket
get() { L curl -sS --unix-socket socket "http://localhost$@"; }
until_it get /page
get /numbers --compressed | L sha256sum
get /number/42
get /through/page
get /gone -o /dev/null -w '%{http_code}\n'
get /nothing -o /dev/null -w '%{http_code}\n'
L nginx -e error.log -p "$PWD" -c "$PWD/conf" -s reload
until_it get /page
L nginx -e error.log -p "$PWD" -c "$PWD/conf" -s quit
wait $!
echo $?
cat >conf <<CONF
load_module $PWD/nothing.so;
events {}
CONF
L nginx -e error.log -p "$PWD" -c "$PWD/conf" -t 2>&1 || echo $?
