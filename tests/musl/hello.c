/* What a program sees of its start: arguments, environment, initialisers, standard streams, the exit. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

static void at_exit(void) { puts("atexit"); }
__attribute__((constructor)) static void begin(int argc)
{
    printf("constructor %s\n", getenv("GREETING"));
    atexit(at_exit);
}
__attribute__((destructor)) static void end(void) { puts("destructor"); }

int main(int argc, char **argv, char **envp)
{
    struct timespec now;
    printf("%d", argc);
    for (char **word = argv + 1; *word; word++) printf(" <%s>", *word);
    printf("\n%s %d\n", getenv("GREETING"), envp == environ);
    printf("%ld %d %d\n", sysconf(_SC_PAGESIZE), getauxval(AT_SECURE) == 0, getauxval(AT_ENTRY) != 0);
    printf("%d", clock_gettime(CLOCK_MONOTONIC, &now));
    printf(" %d\n", now.tv_sec > 0);
    errno = ENOENT;
    perror("perror");
    char *big = malloc(1 << 20), *small = calloc(7, 11);
    memset(big, 1, 1 << 20);
    printf("%d %d\n", big[12345], small[76]);
    free(big);
    free(small);
    return 42;
}
