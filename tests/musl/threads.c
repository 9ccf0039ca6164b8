/* Threads: start, join, exit values, stacks, keys, locks, conditions, cancellation, timers, and the end of main's. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_key_t key;
static int count, destroyed;
static sem_t fired;
static __thread int in_timer = 1;

static void destroy(void *value) { destroyed += (int)(long)value; }

static void *add(void *number)
{
    pthread_setspecific(key, (void *)1);
    errno = (int)(long)number;
    for (int at = 0; at < 1000; at++) {
        pthread_mutex_lock(&lock);
        count++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
    }
    char *text;
    if (asprintf(&text, "%d", errno) < 1) return 0;
    long answer = atol(text);
    free(text);
    return (void *)answer;
}

static void left(void *argument) { puts(argument); }

static void *wait_for_ever(void *argument)
{
    pthread_cleanup_push(left, "cancelled");
    sem_post(argument);
    for (;;) sleep(1000);
    pthread_cleanup_pop(0);
    return 0;
}

static void expired(union sigval value)
{
    /* The thread's variables begin anew with each expiry. */
    if (in_timer++ == 1 && value.sival_int == 6) sem_post(&fired);
}

static void *deep(void *argument)
{
    volatile char room[1 << 19];
    room[0] = room[sizeof room - 1] = 1;
    return (void *)(long)(room[0] + room[sizeof room - 1]);
}

int main(void)
{
    pthread_t threads[8];
    long sum = 0;
    pthread_key_create(&key, destroy);
    for (long at = 0; at < 8; at++) pthread_create(&threads[at], 0, add, (void *)(at + 1));
    pthread_mutex_lock(&lock);
    while (count < 8000) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    for (int at = 0; at < 8; at++) {
        void *answer;
        pthread_join(threads[at], &answer);
        sum += (long)answer;
    }
    printf("%d %ld %d\n", count, sum, destroyed);

    sem_t ready;
    void *answer;
    sem_init(&ready, 0, 0);
    pthread_create(&threads[0], 0, wait_for_ever, &ready);
    sem_wait(&ready);
    pthread_cancel(threads[0]);
    pthread_join(threads[0], &answer);
    printf("%d\n", answer == PTHREAD_CANCELED);

    pthread_attr_t attributes;
    size_t size;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1 << 20);
    pthread_create(&threads[0], &attributes, deep, 0);
    pthread_join(threads[0], &answer);
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstacksize(&attributes, &size);
    printf("%ld %d\n", (long)answer, size > 65536);

    sem_init(&fired, 0, 0);
    struct sigevent event = { .sigev_notify = SIGEV_THREAD, .sigev_value.sival_int = 6 };
    event.sigev_notify_function = expired;
    timer_t timer;
    struct itimerspec soon = { .it_value.tv_nsec = 1000000, .it_interval.tv_nsec = 1000000 };
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    timer_settime(timer, 0, &soon, 0);
    for (int at = 0; at < 5; at++) sem_wait(&fired);
    timer_delete(timer);
    puts("timer");
    fflush(stdout);
    pthread_exit(0);
}
