// The first calls of functions through the PLT, in TSC cycles: of the first library's and of the
// last one's. `calls.h`, made with the libraries, lists them: FIRST(X) and LAST(X) say X(function,
// what it returns) for each.
//
//   lazy [zmm]     with the upper vector registers in use
#include <cpuid.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <x86intrin.h>

#include "calls.h"

static uint64_t cycles[CALLS];

static uint64_t now(void) {
    unsigned cpu;
    _mm_lfence();
    uint64_t time = __rdtscp(&cpu);
    _mm_lfence();
    return time;
}

static int order(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t median(void) {
    qsort(cycles, CALLS, sizeof *cycles, order);
    return cycles[CALLS / 2];
}

static void report(const char *figure, const char *zmm, int wrong, uint64_t overhead) {
    if (wrong)
        printf("%s%s error %d of %d functions returned nonsense\n", figure, zmm, wrong, CALLS);
    else
        printf("%s%s %ld\n", figure, zmm, (long)(median() - overhead));
}

static void dirty(void) {
    __asm__ volatile("vpternlogd $255,%%zmm5,%%zmm5,%%zmm5\n"
                     "vpternlogd $255,%%zmm20,%%zmm20,%%zmm20" ::: "memory");
}

int main(int argc, char **argv) {
    (void)argv;
    const char *zmm = argc > 1 ? "-zmm" : "";
    if (argc > 1 && !__builtin_cpu_supports("avx512f")) {
        printf("first-call-1%s error no AVX-512\nfirst-call-100%s error no AVX-512\n", zmm, zmm);
        return 0;
    }
    for (int i = 0; i < CALLS; i++) {
        uint64_t start = now();
        cycles[i] = now() - start;
    }
    uint64_t overhead = median(), start;
    int n = 0, wrong = 0;
#define CALL(f, value)                                                                            \
    {                                                                                             \
        start = now();                                                                            \
        int result = f();                                                                         \
        cycles[n++] = now() - start;                                                              \
        wrong += result != value;                                                                 \
    }
    if (argc > 1)
        dirty();
    FIRST(CALL)
    report("first-call-1", zmm, wrong, overhead);
    n = wrong = 0;
    if (argc > 1)
        dirty();
    LAST(CALL)
    report("first-call-100", zmm, wrong, overhead);
    return 0;
}
