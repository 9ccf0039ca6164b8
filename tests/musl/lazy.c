/* RTLD_LAZY under musl: what is defined is bound at once, and what is not may come later. */
#include <dlfcn.h>
#include <stdio.h>

static int call(void *handle, const char *name)
{
    return ((int (*)(void))dlsym(handle, name))();
}

int main(void)
{
    printf("RTLD_NOW: %d\n", dlopen("./libnow.so", RTLD_NOW) != 0);
    printf("data: %d\n", dlopen("./libdata.so", RTLD_NOW) != 0);
    void *lazy = dlopen("./liblazy.so", RTLD_LAZY);
    if (!lazy) return puts(dlerror()), 1;
    printf("own: %d\n", call(lazy, "asks_own"));
    void *later = dlopen("./liblater.so", RTLD_NOW | RTLD_GLOBAL);
    if (!later) return puts(dlerror()), 1;
    printf("still own: %d\n", call(lazy, "asks_own"));
    printf("missing: %d %d\n", call(lazy, "asks_missing"), call(lazy, "asks_missing"));
    printf("RTLD_NOW: %d\n", dlopen("./libnow.so", RTLD_NOW) != 0);
    return 0;
}
