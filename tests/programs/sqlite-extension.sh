cat >ext.c <<'C'
#include <sqlite3ext.h>
#include <string.h>
SQLITE_EXTENSION_INIT1
static __thread int calls;
static void reverse(sqlite3_context *c, int n, sqlite3_value **v) {
    const char *text = (const char *)sqlite3_value_text(v[0]);
    size_t length = text ? strlen(text) : 0;
    char *out = sqlite3_malloc(length + 1);
    (void)n;
    calls++;
    for (size_t i = 0; i < length; i++) out[i] = text[length - 1 - i];
    sqlite3_result_text(c, out, (int)length, sqlite3_free);
}
static void count(sqlite3_context *c, int n, sqlite3_value **v) {
    (void)n, (void)v;
    sqlite3_result_int(c, calls);
}
int sqlite3_extension_init(sqlite3 *db, char **error, const sqlite3_api_routines *api) {
    SQLITE_EXTENSION_INIT2(api);
    (void)error;
    sqlite3_create_function(db, "reverse", 1, SQLITE_UTF8, 0, reverse, 0, 0);
    return sqlite3_create_function(db, "calls", 0, SQLITE_UTF8, 0, count, 0, 0);
}
C
gcc -O1 -shared -fPIC ext.c -o ext.so
gcc -O1 -shared -fPIC -Dsqlite3_extension_init=other ext.c -o other.so
L sqlite3 :memory: '.load ./ext' 'with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000) select max(reverse(i)), calls() from n; select calls();'
L sqlite3 :memory: "select load_extension('./ext.so', 'sqlite3_extension_init') is null; select reverse('abc');"
L sqlite3 :memory: '.load ./nothing' 2>&1 || echo $?
L sqlite3 :memory: '.load ./other' 2>&1 || echo $?
L sqlite3 :memory: '.load ./ext.c' 2>&1 || echo $?
L sqlite3 :memory: "select load_extension('./ext', 'no_such_entry');" 2>&1 || echo $?
L python3 -c '
import sqlite3
for i in range(3):
    db = sqlite3.connect(":memory:")
    db.enable_load_extension(True)
    db.load_extension("./ext.so")
    print(db.execute("select reverse(?), calls()", ("python",)).fetchone())
    db.close()
try: db = sqlite3.connect(":memory:"); db.enable_load_extension(True); db.load_extension("./nothing")
except sqlite3.OperationalError as e: print(e)'
