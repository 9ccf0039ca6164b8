// What the loader does for a running program. Prints a line for each figure: its name and either
// nanoseconds per operation, the median of several batches, or `error` and what was wrong.
//
//   services FOLDER [FILTER]     FOLDER holds the libraries that are opened
//
// Built with EARLY and LAST, names of functions in the first and the last library.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <dlfcn.h>
#include <link.h>
#include <time.h>

extern "C" long start_loop(long);

static std::string folder;
static const char *filter = "";
static volatile bool wrong;

static void check(bool good) {
    if (!good)
        wrong = true;
}

static double now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static double median(std::vector<double> &v) {
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
}

static bool selected(const char *name) { return strstr(name, filter); }

static std::string reason() {
    const char *why = dlerror();
    return why ? why : "a wrong result";
}

static void report(const char *name, double ns, const std::string &why = "") {
    if (!selected(name))
        return;
    if (wrong) {
        std::printf("%s error %s\n", name, (why.empty() ? reason() : why).c_str());
    } else {
        std::printf("%s %.3f\n", name, ns);
    }
    std::fflush(stdout);
    wrong = false;
}

template <class F> static void measure(const char *name, long n, F operation, long each = 1) {
    if (!selected(name))
        return;
    operation();
    std::vector<double> batches;
    for (int batch = 0; batch < 11; batch++) {
        double start = now();
        for (long i = 0; i < n; i++)
            operation();
        batches.push_back((now() - start) / (n * each));
    }
    report(name, median(batches));
}

static bool is_named(void *address, const char *name) {
    Dl_info info;
    return address && dladdr(address, &info) && info.dli_sname && !strcmp(info.dli_sname, name);
}

static void symbols() {
    for (auto [figure, name] : {std::pair{"dlsym-early", EARLY}, {"dlsym-last", LAST}}) {
        check(is_named(dlsym(RTLD_DEFAULT, name), name));
        measure(figure, 500, [=] { check(dlsym(RTLD_DEFAULT, name)); });
    }
    measure("dlsym-miss", 200, [] { check(!dlsym(RTLD_DEFAULT, "_ZN5synth11no_functionEv")); });
    dlerror();
    void *libc = dlopen("libc.so.6", RTLD_LAZY);
    check(libc && dlsym(libc, "qsort") == dlsym(RTLD_DEFAULT, "qsort"));
    measure("dlsym-handle", 1000, [=] { check(dlsym(libc, "qsort")); });
    measure("dlopen-again", 200, [] {
        void *again = dlopen("libc.so.6", RTLD_LAZY);
        check(again && !dlclose(again));
    });
}

static int count(dl_phdr_info *, size_t, void *counter) {
    ++*static_cast<int *>(counter);
    return 0;
}

static void lookups() {
    void *last = dlsym(RTLD_DEFAULT, LAST);
    check(is_named(last, LAST));
    measure("dladdr", 200, [=] {
        Dl_info info;
        check(dladdr(last, &info) && info.dli_saddr == last);
    });
    measure("iterate", 100, [] {
        int objects = 0;
        dl_iterate_phdr(count, &objects);
        check(objects > 100);
    });
    typedef int find_t(void *, void *);
    auto find = reinterpret_cast<find_t *>(dlsym(RTLD_DEFAULT, "_dl_find_object"));
    measure("find-object", 5000, [=] {
        // struct dl_find_object: flags, then the mapping's start and end.
        struct { unsigned long flags; char *start, *end; void *rest[12]; } found;
        char *wanted = static_cast<char *>(last);
        check(find && !find(wanted, &found) && found.start <= wanted && wanted < found.end);
    });
}

__attribute__((noinline)) static void thrower(int depth) {
    if (!depth)
        throw 1;
    thrower(depth - 1);
    asm volatile("");
}

static void exceptions() {
    measure("throw", 500, [] {
        int caught = 0;
        try {
            thrower(4);
        } catch (int i) {
            caught = i;
        }
        check(caught == 1);
    });
}

static void thread_local_storage() {
    const long loop = 10000;
    measure("tls-start", 5, [=] { check(start_loop(loop) == loop); }, loop);
    for (auto [figure, file] : {std::pair{"tls-opened", "tls.so"}, {"tls-desc", "tlsdesc.so"}}) {
        if (!selected(figure))
            continue;
        void *library = dlopen((folder + "/" + file).c_str(), RTLD_NOW);
        auto run = library ? reinterpret_cast<long (*)(long)>(dlsym(library, "opened_loop")) : 0;
        if (!run) {
            check(false);
            report(figure, 0);
            continue;
        }
        measure(figure, 5, [=] { check(run(loop) == loop); }, loop);
    }
}

// Opens FOLDER/NAME.so, calls its function NAME_call, which returns a certain number, and closes it.
static void opened(const char *name, int number, int mode, int rounds, const char *open, const char *use,
                   const char *close) {
    if (!selected(open) && !selected(use) && !selected(close))
        return;
    std::string path = folder + "/" + name + ".so", function = std::string(name) + "_call";
    std::vector<double> opening, using_it, closing;
    for (int round = 0; round < rounds && !wrong; round++) {
        double start = now();
        void *handle = dlopen(path.c_str(), mode);
        double opened = now();
        auto call = handle ? reinterpret_cast<int (*)()>(dlsym(handle, function.c_str())) : 0;
        double found = now();
        check(call && call() == number);
        double used = now();
        check(handle && !dlclose(handle));
        double closed = now();
        check(!wrong && !dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD));
        opening.push_back(opened - start);
        using_it.push_back(used - found);
        closing.push_back(closed - used);
    }
    bool failed = wrong;
    std::string why = failed ? reason() : "";
    report(open, median(opening), why);
    wrong = failed;
    report(use, median(using_it), why);
    wrong = failed;
    report(close, median(closing), why);
}

int main(int argc, char **argv) {
    if (argc < 2)
        return 2;
    folder = argv[1];
    filter = argc > 2 ? argv[2] : "";
    exceptions();
    lookups();
    symbols();
    thread_local_storage();
    opened("plugin", 30, RTLD_LAZY, 7, "plugin-lazy", "plugin-lazy-use", "plugin-lazy-close");
    opened("plugin", 30, RTLD_NOW, 7, "plugin-now", "plugin-now-use", "plugin-now-close");
    opened("small", 1, RTLD_LAZY, 101, "small", "small-use", "small-close");
}
