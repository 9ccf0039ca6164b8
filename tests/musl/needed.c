#include <stdio.h>
__attribute__((constructor)) static void begin(void) { puts("needed begins"); }
__attribute__((destructor)) static void end(void) { puts("needed ends"); }
int needed(void) { return 17; }
int own(void) { return 2; }
