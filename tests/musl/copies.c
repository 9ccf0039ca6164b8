/* A program that is not position-independent has copies of variables, and an allocator in place of libc's. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern int shared, *address_of_shared(void);
extern int (*address_of_function(void))(void);
extern int function(void);

#ifdef ALLOCATOR
static _Alignas(16) char arena[1 << 22];
static size_t used;
static int calls;
void *malloc(size_t size)
{
    size_t *block = (size_t *)(arena + used);
    used += (size + 31) & ~15ul;
    calls++;
    if (used > sizeof arena) return errno = ENOMEM, (void *)0;
    *block = size;
    return block + 2;
}
void free(void *block) { calls++; }
void *realloc(void *block, size_t size)
{
    void *new = malloc(size);
    if (new && block) memcpy(new, block, ((size_t *)block)[-2] < size ? ((size_t *)block)[-2] : size);
    return new;
}
#endif

int main(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "ab:")) != -1) printf("%c %s %d\n", option, optarg ? optarg : "", optind);
    shared++;
    printf("%d %d\n", shared, address_of_shared() == &shared);
    printf("%d\n", address_of_function() == function);
    printf("%s %d\n", environ[0] ? "environment" : "nothing", strncmp(program_invocation_short_name, "copies", 6) == 0);
    setenv("TZ", "EST5EDT", 1);
    tzset();
    printf("%s %s %ld %d\n", tzname[0], tzname[1], timezone, daylight);
    fprintf(stderr, "%s\n", "stderr");
    char *line = 0;
    size_t room = 0;
    FILE *file = fopen("/proc/sys/kernel/ostype", "r");
    printf("%zd\n", getline(&line, &room, file));
    fclose(file);
    void *zeros = calloc(100, 100);
    printf("%d\n", ((char *)zeros)[9999]);
    free(zeros);
    char *copy = strdup("copied");
    puts(copy);
#ifdef ALLOCATOR
    printf("%d %d\n", calls > 5, copy > arena && copy < arena + sizeof arena);
    printf("%d\n", aligned_alloc(64, 64) == 0);
#endif
    return shared;
}
