/* Names with 64 in them, which libc.so has itself up to 1.2.3 only. */
#include <stdio.h>
#include <sys/types.h>
FILE *fopen64(const char *, const char *);
off_t ftello64(FILE *);
int fseeko64(FILE *, off_t, int);
int open64(const char *, int, ...);
off_t lseek64(int, off_t, int);
int weak64(void) __attribute__((weak));
int main(void)
{
    FILE *file = fopen64("/proc/self/maps", "r");
    printf("%d %d\n", file != 0, fseeko64(file, 3, SEEK_SET));
    printf("%ld\n", (long)ftello64(file));
    int fd = open64("/dev/null", 0);
    printf("%d %ld %d\n", fd > 2, (long)lseek64(fd, 0, 1), weak64 == 0);
    return 0;
}
