#include "cxx.h"

Error::~Error() {}
int Error::code() const { return 1; }
Shape::~Shape() {}

thread_local Noise shared("a thread's, of the library");
static Noise global("the library's");

void throw_from(int depth)
{
    Noise frame("frame");
    if (depth == 0) throw Error();
    throw_from(depth - 1);
}

void call_back(void (*function)(int), int number)
{
    Noise frame("frame of the caller");
    try {
        function(number);
    } catch (int passing) {
        printf("%d passes\n", passing);
        throw;
    }
}
