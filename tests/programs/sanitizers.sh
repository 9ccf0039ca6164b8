# needs: gcc
# Sanitizers' libraries come first in the search order, ask where thread-local storage and stacks are, and look for the
# real functions behind their own.
cat >a.c <<'C'
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static __thread int own;
static int shared;
static void *work(void *n) {
    char *text = malloc(100);
    strcpy(text, "text");
    own += (int)strlen(text) + (int)(long)n;
    free(text);
    return (void *)(long)own;
}
static void *race(void *unused) {
    for (int i = 0; i < 1000; i++) shared++;
    return unused;
}
static void threads(int count, void *(*run)(void *)) {
    pthread_t ids[64];
    long sum = 0;
    for (long i = 0; i < count; i++) pthread_create(&ids[i], 0, run, (void *)i);
    for (int i = 0; i < count; i++) {
        void *result;
        pthread_join(ids[i], &result);
        sum += (long)result;
    }
    printf("%ld\n", run == work ? sum : 0);
}
__attribute__((noinline)) static int at(const char *text, int n) { return text[n]; }
int main(int argc, char **argv) {
    const char *what = argv[1];
    void *libm = dlopen("libm.so.6", RTLD_LAZY);
    double (*cosine)(double) = (double (*)(double))dlsym(libm, "cos");
    printf("%f\n", cosine(0));
    dlclose(libm);
    printf("%d\n", dlopen("./nothing.so", RTLD_NOW) == 0 && strstr(dlerror(), "nothing") != 0);
    threads(32, work);
    if (!strcmp(what, "race")) threads(2, race);
    if (!strcmp(what, "leak")) for (int i = 0; i < 100; i++) strdup("lost");
    if (!strcmp(what, "signed")) printf("%d\n", (int)strtol("2147483647", 0, 10) + argc - 1);
    if (!strcmp(what, "overflow")) {
        char *text = strdup("text");
        printf("%d\n", at(text, 4 + argc - 1) == 0);
        free(text);
    }
    return 0;
}
C
run() {
    local status=0
    L "./$1" "$2" >out 2>err || status=$?
    echo "$1 $2: $status"
    cat out
    # How much is lost is not certain: what looks like a pointer to it may be left on the stack.
    sed -n -e 's/[0-9]* byte.*/bytes/' -e 's/^SUMMARY: \([A-Za-z]*: [^/(]*\).*/\1/p' -e 's/^.*\(runtime error\)/\1/p' err
}
for kind in address leak undefined thread; do
    gcc -g -O1 -fsanitize=$kind -pthread a.c -o $kind 2>err || skip "gcc has no -fsanitize=$kind"
    run $kind fine
done
run address overflow
run address leak
run leak leak
run undefined signed
run thread race
