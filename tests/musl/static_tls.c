/* A library that takes a static block for granted, and comes when there can be none. */
#include <dlfcn.h>
#include <stdio.h>
int main(void)
{
    void *library = dlopen("./libie.so", RTLD_NOW);
    const char *error = dlerror();
    printf("%d %d\n", library == 0, error != 0);
    return 0;
}
