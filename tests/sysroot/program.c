/* Opens what its arguments name and says where that was, or why it was not; then what its library says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

const char *outer(void);

int main(int argc, char **argv)
{
    for (int at = 1; at < argc; ++at) {
        void *opened = dlopen(argv[at], RTLD_NOW);
        void *plugin = opened ? dlsym(opened, "plugin") : NULL;
        Dl_info info;
        puts(plugin && dladdr(plugin, &info) ? info.dli_fname : dlerror());
    }
    return puts(outer()) < 0;
}
