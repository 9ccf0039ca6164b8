// A plugin: bound to its program's library when it is first called, with an initialiser and a finaliser.
#include <stdio.h>
#include <unistd.h>

int common(void);

static __attribute__((constructor)) void begin(void) { printf("plugin begins\n"); }
static __attribute__((destructor)) void end(void) { printf("plugin ends\n"); }

int plugin(void) { return common() + (getppid() == 0); }
