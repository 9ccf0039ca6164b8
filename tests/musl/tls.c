/* Thread-local variables by every model, in the program and in libraries, in many threads. */
#include <pthread.h>
#include <stdio.h>

#define LIBRARY(name) int name##_check(int); void name##_change(int); extern __thread int *name##_pointer;
LIBRARY(ie) LIBRARY(gd) LIBRARY(desc)

static int cell = 5;
static __thread int *own = &cell;
static __thread long aligned __attribute__((aligned(256))) = 99;
static __thread char large[100000];
static __thread struct { char text[8]; } name = { "own" };

static int check(int add)
{
    int wrong = ie_check(add) + gd_check(add) + desc_check(add);
    wrong += own != &cell;
    wrong += (unsigned long)&aligned % 256 != 0;
    wrong += aligned != 99 + add;
    wrong += large[0] != 0 || large[99999] != add;
    wrong += name.text[1] != 'w';
    wrong += *ie_pointer != 2 || *gd_pointer != 2 || *desc_pointer != 2;
    return wrong;
}

static void change(int add)
{
    ie_change(add);
    gd_change(add);
    desc_change(add);
    aligned += add;
    large[99999] += add;
}

static void *run(void *number)
{
    int add = (int)(long)number, wrong = check(0);
    change(add);
    wrong += check(add);
    return (void *)(long)wrong;
}

int main(void)
{
    enum { THREADS = 50 };
    pthread_t threads[THREADS];
    printf("main %d\n", check(0));
    change(3);
    for (long at = 0; at < THREADS; at++) pthread_create(&threads[at], 0, run, (void *)(at + 1));
    long wrong = 0;
    for (int at = 0; at < THREADS; at++) {
        void *answer;
        pthread_join(threads[at], &answer);
        wrong += (long)answer;
    }
    printf("threads %ld, main %d\n", wrong, check(3));
    return 0;
}
