# needs: lldb
cat >work.c <<'C'
int library_work(int n)
{
    return n + 1;
}
C
cat >plugin.c <<'C'
int library_work(int);
int plugin_work(int n)
{
    return library_work(n) + 10;
}
C
cat >host.c <<'C'
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
int library_work(int);
static pthread_barrier_t barrier;
static void *wait_here(void *up)
{
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return up;
}
static void all_up(void)
{
}
int main(int count, char **words)
{
    pthread_t threads[3];
    int n = library_work(1);
    void *plugin = dlopen("./plugin.so", RTLD_NOW);
    if (!plugin) return puts(dlerror());
    n += ((int (*)(int))dlsym(plugin, "plugin_work"))(n);
    pthread_barrier_init(&barrier, 0, 4);
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], 0, wait_here, words);
    pthread_barrier_wait(&barrier);
    all_up();
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
    printf("%d from %d\n", n, getpid());
    fflush(stdout);
    if (count > 1) pause();
    dlclose(plugin);
    return 0;
}
C
gcc -g -O0 -shared -fPIC work.c -o libwork.so
gcc -g -O0 -shared -fPIC -Wl,-z,lazy plugin.c -o plugin.so -Wl,-rpath,"$PWD" -L. -lwork
gcc -g -O0 -Wl,-z,lazy host.c -o host -Wl,-rpath,"$PWD" -L. -lwork
# What is printed of the loader, of addresses, and of numbers of processes is not compared.
debug() {
    printf '%s\n' "${@:2}" quit >commands
    { L timeout 60 lldb --no-lldbinit --no-use-colors --batch --source commands $1 2>&1 </dev/null || echo "status $?"; } |
        sed -E 's/0x[0-9a-fA-F]+/ADDRESS/g; s/(P|p)rocess [0-9]+/\1rocess N/; s/tid = [0-9]+/tid = N/; s/--pid [0-9]+/--pid N/
            /^ *(\* )?frame #[0-9]+: ADDRESS (ld-linux|rld)/d; /_dl_|^warning|^Traceback|^ModuleNotFound|^$/d'
}
frames() { sed -nE 's/.*frame #[0-9]+: ADDRESS ((host|plugin\.so|libwork\.so)`[a-z_]+).*/\1/p'; }
# The file names of libraries, those of the C library and of the loader aside.
libraries() { sed -nE 's/^\[ *[0-9]+\] .*[ \/]((host|plugin|lib[a-z]*)(\.so[.0-9]*)?) *$/\1/p' | LC_ALL=C sort; }
runs=$(lldb --no-lldbinit --batch --one-line run ./host 2>&1 </dev/null || true)
[[ $runs == *"exited with status = 0"* ]] || skip "lldb cannot trace a process here"
echo "== breakpoints in a library and in one that is opened"
debug ./host 'breakpoint set --name library_work' 'breakpoint set --name plugin_work' run bt continue bt continue bt |
    tee all | frames
grep -c 'stop reason = breakpoint' all
echo "== values"
debug ./host 'breakpoint set --name plugin_work' run 'frame variable' finish 'breakpoint disable' continue |
    grep -E '^\((int|void)|Return value|exited'
echo "== libraries"
debug ./host 'breakpoint set --name all_up' run 'image list' | libraries
echo "== threads"
debug ./host 'breakpoint set --name all_up' run 'thread backtrace all' | frames | LC_ALL=C sort | uniq -c
echo "== attach"
L ./host stay >up 2>/dev/null &
until_it grep -q from up
pid=$(sed 's/.* from //' up)
debug "--attach-pid $pid" bt 'image list' detach >all
frames <all; libraries <all
kill $pid; wait $! 2>/dev/null || echo $?
