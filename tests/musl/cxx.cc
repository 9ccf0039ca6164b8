/* Programs in C++: exceptions and casts between libraries, initialisers and destructors of objects and threads,
   plugins. */
#include "cxx.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#ifdef REPLACE
static int news, deletes;
void *operator new(decltype(sizeof 0) size) { return news++, malloc(size); }
void operator delete(void *memory) noexcept { deletes++, free(memory); }
void operator delete(void *memory, decltype(sizeof 0)) noexcept { deletes++, free(memory); }
#endif

struct Circle : Shape {
    int area() const override { return 3; }
};
static Noise global("the program's");
static int (*touch)();

static void thrower(int number) { throw number; }

static void *run(void *)
{
    printf("%d\n", touch());
    return nullptr;
}

static void *leave(void *)
{
    exit(*shared.name ? 3 : 4);
}

static void use(const char *file)
{
    void *plugin = dlopen(file, RTLD_NOW);
    if (!plugin) {
        puts(dlerror());
        return;
    }
    touch = (int (*)())dlsym(plugin, "touch");
    auto make = (Shape * (*)()) dlsym(plugin, "make");
    auto fail = (void (*)(int))dlsym(plugin, "fail");
    Shape *shape = make();
    printf("%d %d\n", shape->area(), dynamic_cast<Circle *>(shape) != nullptr);
    delete shape;
    printf("%d\n", touch());
    for (int at = 0; at < 2; at++) {
        pthread_t thread;
        pthread_create(&thread, nullptr, run, nullptr);
        pthread_join(thread, nullptr);
    }
    for (int how = 0; how < 5; how++) {
        try {
            fail(how);
        } catch (const Error &error) {
            printf("%d: %d\n", how, error.code());
        } catch (...) {
            printf("%d: something else\n", how);
        }
    }
    printf("closed: %d\n", dlclose(plugin));
}

int main(int argc, char **argv)
{
    setvbuf(stdout, nullptr, _IOLBF, 0);
    Circle circle;
    Shape *shape = &circle;
    printf("%d %s\n", dynamic_cast<Circle *>(shape) == &circle, shared.name);
    try {
        throw_from(2);
    } catch (const Error &error) {
        printf("caught %d\n", error.code());
    }
    try {
        call_back(thrower, 9);
    } catch (int number) {
        printf("caught %d\n", number);
    }
    use("./libplugin3.so");
    use("./libplugin4.so");
    use("./libplugin3.so");
#ifdef REPLACE
    printf("new and delete: %d %d\n", news, deletes);
#endif
    pthread_t thread;
    if (argc > 1 && !strcmp(argv[1], "exit")) {
        pthread_create(&thread, nullptr, leave, nullptr);
        pthread_join(thread, nullptr);
    }
    if (argc > 1 && !strcmp(argv[1], "terminate")) throw Error();
    return 0;
}
