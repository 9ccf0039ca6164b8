/* Compiled once for each model: variables with images that must be relocated, with an alignment, and without. */
#define JOIN(a, b) a##b
#define NAME(a, b) JOIN(a, b)
static int anchor[3] = { 1, 2, 3 };
__thread int *NAME(MODEL, _pointer) = &anchor[1];
__thread long NAME(MODEL, _words)[5] __attribute__((aligned(64))) = { 11, 22, 33, 44, 55 };
__thread char NAME(MODEL, _zeros)[300];
static __thread int hidden = 7;
static __thread int hidden_too = 8;

/* How much is wrong, after a change that other threads must not see. */
int NAME(MODEL, _check)(int add)
{
    int wrong = 0;
    wrong += *NAME(MODEL, _pointer) != 2;
    wrong += (unsigned long)NAME(MODEL, _words) % 64 != 0;
    for (int at = 0; at < 5; at++) wrong += NAME(MODEL, _words)[at] != 11 * (at + 1) + add;
    for (int at = 0; at < 300; at++) wrong += NAME(MODEL, _zeros)[at] != 0;
    wrong += hidden != 7 + add;
    wrong += hidden_too != 8 + add;
    return wrong;
}

void NAME(MODEL, _change)(int add)
{
    for (int at = 0; at < 5; at++) NAME(MODEL, _words)[at] += add;
    hidden += add;
    hidden_too += add;
}
