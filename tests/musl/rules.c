/* What musl's loader does in another way than glibc's: it takes a unique symbol for any other, a path for the file that
   is there now, and a soname for nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

static void *open(const char *file, int mode)
{
    void *handle = dlopen(file, mode);
    printf("%s %s\n", file, handle ? "is opened" : "is not found");
    return handle;
}

static int number(void *handle)
{
    return handle ? ((int (*)(void))dlsym(handle, "number"))() : -1;
}

int main(void)
{
    void *first = open("./libunique.so", RTLD_NOW);
    void *second = open("./libunique2.so", RTLD_NOW);
    printf("unique symbols: %d %d %d\n", number(first), number(first), number(second));

    void *renamed = open("./renamed.so", RTLD_NOW | RTLD_GLOBAL);
    printf("by its soname: %d\n", dlopen("libname.so", RTLD_NOW | RTLD_NOLOAD) == renamed);
    printf("what needs it: %d\n", number(open("./libasks.so", RTLD_NOW)));
    printf("the same file: %d\n", open("./other.so", RTLD_NOW) == renamed);

    char path[32];
    snprintf(path, sizeof path, "./link%d.so", getpid());
    symlink("libunique.so", path);
    void *old = dlopen(path, RTLD_NOW);
    unlink(path);
    symlink("libunique2.so", path);
    void *new = dlopen(path, RTLD_NOW);
    unlink(path);
    printf("a path: %d %d\n", old == first, new == second);
    printf("a path to nothing: %d\n", dlopen(path, RTLD_NOW) != 0);
    return 0;
}
