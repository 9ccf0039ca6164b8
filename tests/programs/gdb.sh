# needs: gdb
cat >work.c <<'C'
int library_work(int n)
{
    return n + 1;
}
C
cat >plugin.c <<'C'
__thread int plugin_number = 11;
int library_work(int);
static int started;
static void in_constructor(void)
{
    started++;
}
static void __attribute__((constructor)) plugin_start(void)
{
    in_constructor();
}
int plugin_work(int n)
{
    plugin_number += n;
    return library_work(plugin_number) + started;
}
C
cat >host.c <<'C'
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
__thread int number = 7;
int library_work(int);
static pthread_barrier_t barrier;
static void *wait_here(void *up)
{
    number = *(int *)up;
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return up;
}
static void all_up(void)
{
    number++;
}
int main(void)
{
    pthread_t threads[3];
    int numbers[3] = {1, 2, 3};
    int n = library_work(1);
    void *plugin = dlopen("./plugin.so", RTLD_NOW);
    if (!plugin) return puts(dlerror());
    int (*work)(int) = (int (*)(int))dlsym(plugin, "plugin_work");
    n += work(n);
    pthread_barrier_init(&barrier, 0, 4);
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], 0, wait_here, &numbers[i]);
    pthread_barrier_wait(&barrier);
    all_up();
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
    dlclose(plugin);
    printf("%d %d\n", n, number);
    return 0;
}
C
gcc -g -O0 -shared -fPIC work.c -o libwork.so
gcc -g -O0 -shared -fPIC -Wl,-z,lazy plugin.c -o plugin.so -Wl,-rpath,"$PWD" -L. -lwork
gcc -g -O0 -Wl,-z,lazy host.c -o host -Wl,-rpath,"$PWD" -L. -lwork
ulimit -c unlimited 2>/dev/null || true
options=(-batch -nx -ex 'set disable-randomization off' -ex 'set confirm off' -ex 'set width 0' -ex 'set breakpoint pending on')
# Its status is the last command's, which may have nothing left to do.
# What is printed of the loader's own frames, of addresses and of threads' numbers is not compared.
debug() {
    local words=() command
    for command; do words+=(-ex "$command"); done
    { L gdb "${options[@]}" "${words[@]}" "${program[@]}" 2>&1 || true; } |
        sed -E 's/0x[0-9a-f]+/ADDRESS/g; s/\(LWP [0-9]+\)/(LWP N)/; s/process [0-9]+/process N/; s/^#[0-9]+ +(ADDRESS in )?/# /
            /^# .* (at [a-z]+\.c:|in main)/p; /^# /d; /^\[(New|Switching)|^\[Thread ADDRESS|^warning|^$/d; /^Reading|^Loaded|^Using host/d'
}
program=(./host)
[[ $(gdb "${options[@]}" -ex run ./host 2>&1) == *"exited normally"* ]] || skip "gdb cannot trace a process here"
echo "== runs"; debug run
echo "== pending breakpoint"
debug 'break plugin_work' run bt 'info breakpoints' finish continue
echo "== constructor"
debug 'break in_constructor' run bt 'print started' continue
echo "== libraries"
debug 'break all_up' run 'info sharedlibrary' | sed -nE 's/.*(Yes|No)( \(\*\))? +//p' | sed 's/.*\/\(ld-linux\|lib[a-z]*\)/\1/' | LC_ALL=C sort
echo "== a step into a lazily bound call"
debug 'break main' run next step bt finish continue
debug 'break plugin_work' run next step bt
echo "== threads"
debug 'break all_up' run 'print number' 'print plugin_number' 'print $_inferior_thread_count' 'thread apply all -q bt 12' |
    sed -E 's/^\$[0-9]+ = //; s/host\.c:1[01]$/host.c:10/' | LC_ALL=C sort | uniq -c
debug 'break all_up' run 'thread apply all -q print number' | sed -nE 's/^\$[0-9]+ = //p' | sort
echo "== events"
debug 'break main' run 'set stop-on-solib-events 1' continue continue continue continue continue continue continue continue |
    sed -n '/plugin/p'
echo "== catch"
debug 'catch load plugin' run 'info symbol plugin_work' 'delete' 'catch unload plugin' continue | sed -n '/plugin/p'
echo "== core"
debug 'break all_up' run 'generate-core-file core' kill | sed '/^\[Inferior/d'
program=(./host core)
debug bt 'info threads' 'print number' 'print plugin_number' 'info symbol plugin_work' | sed -nE '/^# |^\$|section/p; /Thread/s/.*/a thread/p' | sort | uniq -c
debug 'info sharedlibrary' | sed -nE 's/.*(Yes|No)( \(\*\))? +//p' | sed 's/.*\/\(ld-linux\|lib[a-z]*\)/\1/' | LC_ALL=C sort
echo "== attach"
cat >sleeper.c <<'C'
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
int main(void) { void *p = dlopen("./plugin.so", RTLD_LAZY); if (!p) return puts(dlerror()); printf("%d up\n", getpid()); fflush(stdout); pause(); return 0; }
C
gcc -g sleeper.c -o sleeper -Wl,-rpath,"$PWD"
# The process that is looked at runs under the loader being tested in each way.
L ./sleeper >up 2>/dev/null &
until_it grep -q up up
pid=$(sed 's/ up//' up)
program=(-p $pid)
debug 'info sharedlibrary' 'info symbol plugin_work' detach | grep -E 'plugin|^\$' | sed -E 's/.*(Yes|No) +//'
kill $pid; wait $! 2>/dev/null || echo $?
