/* The order of initialisers and finalisers: main → liba → libc1, main → libb → libc1, libb → liba; and atexit(3). */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef NAME
#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)
#define LABEL TEXT(NAME)
#else
#define LABEL "main"
#endif
#ifdef NEEDS
int NEEDS(void);
#endif
#ifdef NEEDS_TOO
int NEEDS_TOO(void);
#endif
#ifdef NAME
int NAME(void) { return 1
#ifdef NEEDS
    + NEEDS()
#endif
#ifdef NEEDS_TOO
    + NEEDS_TOO()
#endif
    ; }
#endif
static void at_exit(void) { puts("atexit of " LABEL); }
static void late(void) { puts("late atexit of " LABEL); }
__attribute__((constructor(101))) static void early(void) { puts("early " LABEL); }
__attribute__((constructor)) static void begin(void)
{
    puts("begin " LABEL);
    atexit(at_exit);
#ifdef LEAVES
    if (getenv("LEAVE")) exit(9);
#endif
}
__attribute__((destructor)) static void end(void)
{
    puts("end " LABEL);
    atexit(late);
}
void _init(void) __attribute__((weak));
#ifndef NAME
int b(void);
int a(void);
int main(int argc, char **argv)
{
    printf("main %d\n", a() + b());
    fflush(stdout);
    if (argc > 1 && argv[1][0] == '_') _exit(5);
    if (argc > 1) exit(7);
    return 0;
}
#endif
