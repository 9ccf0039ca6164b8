# needs: postgres setpriv
bin=$(readlink -f "$(type -P postgres)"); bin=${bin%/*}
# It refuses root; and the other user must get to everything.
place=$(mktemp -d /var/tmp/rld-test-postgres.XXXXXX)
trap 'rm -rf "$place"' EXIT
as=() loader=()
if ((EUID == 0)); then
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    chown 65534:65534 "$place"
fi
if [[ -n ${DIRECT:-} ]]; then cp "$DIRECT" "$place/loader"; chmod 755 "$place/loader"; loader=("$place/loader"); fi
P() {
    local program=$1
    shift
    (cd "$place"; HOME=$place TMPDIR=$place "${as[@]}" "${loader[@]}" "$bin/$program" "$@")
}
P initdb -N --no-locale -E UTF8 -A trust -U user -D "$place/data" >initdb.log 2>&1 || skip "initdb: $(sed -n '$p' initdb.log)"
cat >>"$place/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$place'
fsync = off
dynamic_shared_memory_type = mmap
CONF
P postgres --version
P pg_ctl -D "$place/data" -w -t 60 -l "$place/log" start >/dev/null || { cat "$place/log" >&2; exit 1; }
query() { P psql -X -A -t -h "$place" -U user -d postgres "$@" 2>&1; }
query -c 'select 6 * 7' -c 'select md5($$text$$), sum(i) from generate_series(1, 100000) i'
query -c 'do $$ begin raise notice $m$from plpgsql$m$; end $$'
query -c 'create extension if not exists pgcrypto; select encode(digest($$x$$, $$sha256$$), $$hex$$)' || echo $?
query -c "load 'nothing'" || echo $?
query -c 'create function f() returns int language c as $$plpgsql$$, $$nothing$$' || echo $?
query -c 'select pg_jit_available()'
query -c 'set jit = on' -c 'set jit_above_cost = 0' -c 'set jit_optimize_above_cost = 0' -c 'select sum(i * 2.5 + 1) from generate_series(1, 50000) i'
query -c 'set max_parallel_workers_per_gather = 2' -c 'set parallel_setup_cost = 0' -c 'create table t as select i from generate_series(1, 200000) i' -c 'select sum(i) from t'
query -c "select convert_to(convert_from('\\x82a082a2', 'sjis'), 'euc_jp')"
P pg_ctl -D "$place/data" -m fast -w stop >/dev/null
echo 'select 1 + 1 as two' | P postgres --single -D "$place/data" postgres 2>/dev/null | sed -n '/two/p'
