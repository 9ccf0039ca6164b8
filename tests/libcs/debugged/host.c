#include <pthread.h>
#include <stdio.h>

int library_work(int);
__thread int own = 7;
static pthread_barrier_t barrier;

static void *wait_here(void *up)
{
    own = library_work(*(int *)up);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return up;
}

static void all_up(void)
{
    own++;
}

int main(void)
{
    pthread_t threads[3];
    int numbers[3] = {1, 2, 3};
    pthread_barrier_init(&barrier, 0, 4);
    library_work(0);
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], 0, wait_here, &numbers[i]);
    pthread_barrier_wait(&barrier);
    all_up();
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
    printf("own: %d\n", own);
    return 0;
}
