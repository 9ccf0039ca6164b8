/* What the parts of the test in C++ share. They use the language alone and no header of a C++ library: the one that
   they run with was built elsewhere. */
#include <stdio.h>

/* Says when it comes and goes. */
struct Noise {
    const char *name;
    explicit Noise(const char *name) : name(name) { printf("+%s\n", name); }
    ~Noise() { printf("-%s\n", name); }
};

struct Error {
    virtual ~Error();
    virtual int code() const;
};

struct Shape {
    virtual ~Shape();
    virtual int area() const = 0;
};

/* A symbol that is unique under glibc. */
template <class T> struct Counted { static int number; };
template <class T> int Counted<T>::number = 0;

extern thread_local Noise shared;
void throw_from(int depth);
void call_back(void (*function)(int), int number);
