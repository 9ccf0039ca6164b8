# needs: gcc g++ python3
# What an auditor is told of real programs, but for what concerns the loader itself.
cat >auditor.c <<'C'
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>
static int is_loader(uintptr_t *cookie) {
    const struct link_map *map = (struct link_map *)*cookie;
    return strstr(map->l_name, "rld") || strstr(map->l_name, "ld-linux");
}
static const char *name(uintptr_t *cookie) {
    const struct link_map *map = (struct link_map *)*cookie;
    return is_loader(cookie) ? "loader" : *map->l_name ? map->l_name : "main";
}
static void say(const char *format, ...) {
    static int log = -1;
    char line[2048];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (log < 0) log = open(getenv("AUDIT_LOG"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (write(log, line, length) < 0) _exit(99);
}
unsigned la_version(unsigned version) { return version; }
char *la_objsearch(const char *file, uintptr_t *cookie, unsigned flag) {
    // Directories that only one of the two loaders knows of.
    if (flag == LA_SER_ORIG ? !strstr(file, "ld-linux") : flag == LA_SER_CONFIG && !strstr(file, "ld-linux"))
        say("objsearch %s for %s: %x\n", file, name(cookie), flag);
    return (char *)file;
}
void la_activity(uintptr_t *cookie, unsigned flag) { say("activity %s: %u\n", name(cookie), flag); }
unsigned la_objopen(struct link_map *map, Lmid_t space, uintptr_t *cookie) {
    say("objopen %s in %ld\n", name(cookie), space);
    return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}
unsigned la_objclose(uintptr_t *cookie) {
    if (!is_loader(cookie)) say("objclose %s\n", name(cookie));
    return 0;
}
void la_preinit(uintptr_t *cookie) { say("preinit %s\n", name(cookie)); }
static int is_inner(uintptr_t *from, uintptr_t *to, const char *symbol, unsigned flags) {
    static const char *const memory[] = {"calloc", "free", "malloc", "realloc"};
    for (int i = 0; i < 4; i++)
        if ((flags & LA_SYMB_DLSYM || i == 3) && !strcmp(memory[i], symbol)) return 1;
    return is_loader(from) || is_loader(to);
}
uintptr_t la_symbind64(Elf64_Sym *symbol, unsigned index, uintptr_t *from, uintptr_t *to, unsigned *flags,
                       const char *text) {
    if (!is_inner(from, to, text, *flags)) say("symbind %s: %s to %s, %x\n", text, name(from), name(to), *flags);
    return symbol->st_value;
}
#ifdef CALLS
Elf64_Addr la_x86_64_gnu_pltenter(Elf64_Sym *symbol, unsigned index, uintptr_t *from, uintptr_t *to,
                                  La_x86_64_regs *regs, unsigned *flags, const char *text, long *frame) {
    if (!is_inner(from, to, text, 0)) say("call %s: %s to %s\n", text, name(from), name(to));
    *frame = 256;
    return symbol->st_value;
}
unsigned la_x86_64_gnu_pltexit(Elf64_Sym *symbol, unsigned index, uintptr_t *from, uintptr_t *to,
                               const La_x86_64_regs *before, La_x86_64_retval *after, const char *text) {
    if (!is_inner(from, to, text, 0)) say("end of %s\n", text);
    return 0;
}
#endif
C
cat >thrower.cc <<'C'
#include <cstdio>
#include <stdexcept>
#include <string>
static int check(int n) { return n > 2 ? throw std::runtime_error("big") : n; }
int main() {
    std::string text = "ends";
    try { std::printf("%d\n", check(1)); std::printf("%d\n", check(5)); }
    catch (const std::exception &error) { std::printf("%s %s\n", error.what(), text.c_str()); }
}
C
gcc -O1 -shared -fPIC auditor.c -o binding.so
gcc -O1 -shared -fPIC -DCALLS auditor.c -o calls.so
g++ thrower.cc -o thrower
# Under the auditor and the environment given first, its log after the program's output.
audited() {
    local auditor=$1; shift
    (export AUDIT_LOG=$PWD/log LD_AUDIT=$PWD/$auditor LC_ALL=C; L "$@") || echo "status $?"
    # A child of the program would have written over it. rld tells nobody of the ends of what may return twice.
    sed "s|$PWD|.|g; /^end of _setjmp\$/d" log
}
for auditor in binding.so calls.so; do
    audited $auditor true
    audited $auditor ls -d /
    audited $auditor ./thrower
    audited $auditor wc -l auditor.c
    LD_BIND_NOW=1 audited $auditor ls -d /
done
# What these call depends on the environment.
audited binding.so bash -c 'for i in 1 2 3; do echo $((i * i)); done; [[ abc =~ b. ]] && echo "${BASH_REMATCH[0]}"'
audited binding.so python3 -c 'import json, ssl, sqlite3; print(json.dumps({"a": [1, 2.5]}))' | grep -v '^symbind'
