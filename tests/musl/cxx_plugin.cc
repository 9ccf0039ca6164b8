#include "cxx.h"
#include <pthread.h>

struct Square : Shape {
    int area() const override { return SIDE * SIDE; }
};
struct OwnError : Error {
    int code() const override { return SIDE; }
};

static Noise global("the plugin's");
static thread_local Noise own("a thread's, of the plugin");
static int calls;
static int start() { return 100 * SIDE + calls++; }
static thread_local int started = start();

static void *run(void *)
{
    Noise *use = &own;
    int caught = 0;
    for (int at = 0; at < 100; at++) {
        try {
            if (at % 2) throw OwnError();
            throw_from(0);
        } catch (const Error &error) {
            caught += error.code();
        }
    }
    printf("a thread has caught %d %d\n", caught, use != nullptr);
    return nullptr;
}

extern "C" Shape *make() { return new Square; }

extern "C" int touch()
{
    printf("%s, %s\n", own.name, shared.name);
    return started + ++Counted<int>::number;
}

extern "C" void fail(int how)
{
    Noise frame("frame of the plugin");
    pthread_t thread;
    switch (how) {
    case 0: throw OwnError();
    case 1: throw_from(3); break;
    case 2: throw 5;
    case 3:
        pthread_create(&thread, nullptr, run, nullptr);
        pthread_join(thread, nullptr);
        break;
    case 4:
        try {
            throw_from(0);
        } catch (Error &) {
            throw OwnError();
        }
    }
}
