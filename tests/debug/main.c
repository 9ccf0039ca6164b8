// Does at run time what LD_DEBUG has lines for. The library it needs defines `common`, so does a plugin.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int common(void);

static void *plugin(const char *name, int mode) {
    void *handle = dlopen(name, mode);
    printf("%s: %s\n", name ? name : "the program", handle ? "opened" : "refused");
    return handle;
}

static int call(void *handle, const char *name) {
    int (*function)(void) = dlsym(handle, name);
    printf("%s: %d\n", name, function ? function() : -1);
    return function != NULL;
}

static void *thread(void *unused) {
    (void)unused;
    for (int i = 0; i < 20; i++) {
        void *handle = dlopen("libplugin.so", RTLD_LAZY);
        int (*function)(void) = dlsym(handle, "plugin");
        function();
        dlclose(handle);
    }
    return NULL;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "threads") == 0) {
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            pthread_create(&threads[i], NULL, thread, NULL);
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        return 0;
    }
    if (strcmp(what, "fork") == 0) {
        pid_t child = fork();
        if (child == 0)
            return call(plugin("libplugin.so", RTLD_LAZY), "plugin") ? 7 : 8;
        int status;
        waitpid(child, &status, 0);
        return call(plugin("libplugin.so", RTLD_NOW), "plugin") ? WEXITSTATUS(status) : 9;
    }
    printf("common: %d\n", common());
    void *first = plugin("libplugin.so", RTLD_LAZY);
    call(first, "plugin");
    call(first, "common");
    void *again = plugin("libplugin.so", RTLD_LAZY);
    dlclose(again);
    dlclose(first);
    void *global = plugin("libplugin.so", RTLD_NOW | RTLD_GLOBAL);
    call(RTLD_DEFAULT, "plugin");
    dlclose(global);
    plugin("libplugin.so", RTLD_LAZY | RTLD_NODELETE);
    void *symbolic = plugin("libsymbolic.so", RTLD_NOW);
    call(symbolic, "deep");
    void *deep = plugin("libdeep.so", RTLD_NOW | RTLD_DEEPBIND);
    call(deep, "deep");
    dlclose(deep);
    dlclose(symbolic);
    dlclose(plugin("libm.so.6", RTLD_LAZY));
    dlclose(plugin(NULL, RTLD_LAZY));
    call(RTLD_DEFAULT, "nowhere");
    plugin("libundefined.so", RTLD_NOW);
    plugin("libincomplete.so", RTLD_NOW);
    return 0;
}
