/* To be preloaded: stands before libc's functions, and calls them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((constructor)) static void begin(void) { write(1, "preloaded\n", 10); }
__attribute__((destructor)) static void end(void) { write(1, "preload ends\n", 13); }

int puts(const char *text)
{
    int (*next)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "puts");
    fputs("[puts] ", stdout);
    return next(text);
}

void *dlopen(const char *name, int mode)
{
    void *(*next)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
    printf("[dlopen %s]\n", name ? name : "self");
    return next(name, mode);
}

typedef int start(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void));
static int (*real_main)(int, char **, char **);
static int my_main(int argc, char **argv, char **envp)
{
    write(1, "before main\n", 12);
    int status = real_main(argc, argv, envp);
    puts("after main");
    return status;
}
int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
    void (*fini)(void), void (*last)(void))
{
    start *next = (start *)dlsym(RTLD_NEXT, "__libc_start_main");
    real_main = main;
    if (getenv("GREETING")) write(1, "with an environment\n", 20);
    return next(my_main, argc, argv, init, fini, last);
}
