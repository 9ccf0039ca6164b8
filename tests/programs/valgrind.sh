# needs: valgrind
cat >plugin.c <<'C'
#include <stdlib.h>
#include <string.h>
__thread char buffer[300];
__thread char *own;
int plugin_work(int n) {
    char *text = malloc(64);
    memset(buffer, n, sizeof buffer);
    memset(text, buffer[299], 64);
    own = text;
    int result = own[63] + buffer[0];
    free(text);
    return result;
}
C
cat >host.c <<'C'
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static __thread int number;
static int (*work)(int);
static void *run(void *p) { number = work(*(int *)p); *(int *)p = number; return p; }
int main(int argc, char **argv) {
    for (int round = 0; round < 3; round++) {
        void *plugin = dlopen("./plugin.so", round & 1 ? RTLD_LAZY : RTLD_NOW);
        if (!plugin) return puts(dlerror());
        work = (int (*)(int))dlsym(plugin, "plugin_work");
        pthread_t threads[4];
        int numbers[4], sum = 0;
        for (int i = 0; i < 4; i++) numbers[i] = i + 1, pthread_create(&threads[i], 0, run, &numbers[i]);
        for (int i = 0; i < 4; i++) pthread_join(threads[i], 0), sum += numbers[i];
        printf("%d %d\n", sum, work(10));
        if (dlsym(plugin, "nothing")) return 1;
        dlclose(plugin);
    }
    if (dlopen("./nothing.so", RTLD_NOW)) return 1;
    puts(dlerror());
    if (argc > 1) {
        char *block = malloc(10);
        strcpy(block, argv[1]);
        printf("%s\n", block[12] ? "set" : "clear");
        free(block);
    }
    return 0;
}
C
gcc -g -O1 -shared -fPIC plugin.c -o plugin.so
gcc -g -O1 host.c -o host
valgrind -q --error-exitcode=9 true 2>error || skip "valgrind cannot run true here: $(sed -n 1p error)"
L valgrind -q --error-exitcode=9 /bin/true
L valgrind -q --error-exitcode=9 ./host
L valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite ./host
# An error that is there is found, and named by function and line.
L valgrind -q --error-exitcode=9 ./host 'much too long' 2>error || echo $?
sed -nE 's/^==[0-9]+== +//; /Invalid|host\.c/{s/0x[0-9A-F]+/ADDRESS/g;p}' error
L valgrind -q --error-exitcode=9 ls /dev/null
L valgrind -q --error-exitcode=9 bash -c 'echo $((6 * 7)); (exit 3)' || echo $?
for tool in none cachegrind massif helgrind; do
    L valgrind -q --tool=$tool --log-file=tool.log ./host | sed -n '$p'
done
