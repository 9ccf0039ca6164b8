/* dlopen(3) and its family: scopes, handles, errors, thread-local variables of what is opened, addresses. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

int own(void) { return 0; }
static int (*count)(void);
static const char *(*thread_name)(void);

static const char *last(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : 0;
    return slash ? slash + 1 : path;
}

static void *run(void *argument)
{
    int wrong = 0;
    for (int at = 1; at <= 20; at++) wrong += count() != 100 + at;
    return (void *)(long)(wrong + strcmp(thread_name(), "plugin"));
}

static int each(struct dl_phdr_info *info, size_t size, void *found)
{
    int *counts = found;
    counts[0]++;
    if (!strcmp(last(info->dlpi_name), "libplugin.so")) {
        counts[1] += info->dlpi_phnum > 3;
        counts[2] += info->dlpi_tls_data != 0;
        counts[3] += info->dlpi_tls_modid != 0;
    }
    return 0;
}

static void tell_error(const char *what)
{
    const char *error = dlerror();
    printf("%s: %s, then %s\n", what, error ? "an error" : "none", dlerror() ? "another" : "none");
}

int main(void)
{
    dlerror();
    printf("%d\n", dlopen("libnowhere.so", RTLD_NOW) == 0);
    tell_error("nowhere");
    void *self = dlopen(0, RTLD_LAZY);
    int (*function)(void) = (int (*)(void))dlsym(self, "own");
    printf("self %d\n", function == own);
    printf("not there yet %d\n", dlopen("libplugin.so", RTLD_NOW | RTLD_NOLOAD) == 0);
    tell_error("noload");

    void *plugin = dlopen("libplugin.so", RTLD_NOW);
    if (!plugin) return puts(dlerror()), 1;
    printf("again %d\n", dlopen("libplugin.so", RTLD_LAZY) == plugin);
    printf("local %d\n", dlsym(RTLD_DEFAULT, "count") == 0);
    tell_error("local");
    function = (int (*)(void))dlsym(plugin, "own");
    printf("own %d\n", function());
    function = (int (*)(void))dlsym(plugin, "needed");
    printf("needed %d\n", function());
    count = (int (*)(void))dlsym(plugin, "count");
    thread_name = (const char *(*)(void))dlsym(plugin, "thread_name");
    int *counter = dlsym(plugin, "counter");
    printf("count %d %d\n", count(), *counter);
    printf("puts %d\n", dlsym(RTLD_NEXT, "puts") == (void *)puts);
    printf("dlopen %d\n", dlsym(RTLD_DEFAULT, "dlopen") == (void *)dlopen);

    pthread_t threads[10];
    long wrong = 0;
    for (int at = 0; at < 10; at++) pthread_create(&threads[at], 0, run, 0);
    for (int at = 0; at < 10; at++) {
        void *answer;
        pthread_join(threads[at], &answer);
        wrong += (long)answer;
    }
    printf("threads %ld, main %d\n", wrong, *counter);

    Dl_info info;
    memset(&info, 0, sizeof info);
    printf("dladdr %d", dladdr((char *)count + 1, &info));
    printf(" %s %s %d\n", last(info.dli_fname), info.dli_sname, info.dli_saddr == (void *)count);
    printf("nothing there %d\n", dladdr((void *)8, &info));
    struct link_map *map;
    printf("dlinfo %d", dlinfo(plugin, RTLD_DI_LINKMAP, &map));
    printf(" %s %d\n", last(map->l_name), (void *)map->l_addr == info.dli_fbase || info.dli_fbase != 0);
    int counts[4] = { 0 };
    dl_iterate_phdr(each, counts);
    printf("phdr %d %d %d %d\n", counts[0], counts[1], counts[2], counts[3]);

    printf("global %d\n", dlopen("libplugin.so", RTLD_NOW | RTLD_GLOBAL) == plugin);
    printf("found %d\n", dlsym(RTLD_DEFAULT, "count") == (void *)count);
    printf("close %d %d\n", dlclose(plugin), dlclose(plugin));
    printf("still there %d\n", count());
    printf("invalid %d\n", dlclose((void *)main) != 0);
    tell_error("invalid");
    return 0;
}
