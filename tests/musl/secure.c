/* What a set-user-ID program sees of its caller's environment. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv)
{
    printf("secure %lu, user %s, group %s\n", getauxval(AT_SECURE), getuid() == geteuid() ? "same" : "other",
        getgid() == getegid() ? "same" : "other");
    /* rld removes what ld.so removes; musl leaves it there. */
    for (char **it = environ; *it; it++)
        if (strncmp(*it, "LD_", 3) && strncmp(*it, "RLD_", 4)) puts(*it);
    void *library = dlopen("libneeded.so", RTLD_NOW);
    printf("libneeded.so is %s\n", library ? "found" : "not found");
    printf("%d arguments, %s\n", argc, argv[argc - 1]);
    return 3;
}
