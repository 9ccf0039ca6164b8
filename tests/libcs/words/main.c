// The words of `_rtld_global_ro`.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

int main(void)
{
    const uint32_t *words = dlvsym(RTLD_DEFAULT, "_rtld_global_ro", "GLIBC_PRIVATE");
    if (!words) return 1;
    for (int i = 0; i < 180; i++) printf("%x\n", words[i]);
    return 0;
}
