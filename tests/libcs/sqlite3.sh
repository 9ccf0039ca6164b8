sqlite3 t.db "create table t(a integer primary key, b text);
insert into t(b) values ('x'), ('y');
with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000) insert into t(b) select hex(i) from n;
create index i on t(b);"
sqlite3 t.db "select count(*), sum(a), max(b) from t; pragma integrity_check; select printf('%.3f', 1.0 / 3);"
sqlite3 t.db .dump | sha256sum
sqlite3 t.db 'select * from missing' 2>/dev/null || echo $?
sqlite3 t.db "select load_extension('./nothing.so')" 2>&1 || echo $?
