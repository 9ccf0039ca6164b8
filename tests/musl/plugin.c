/* A library that is opened. It has variables of every kind, needs another, and says when it comes and goes. */
#include <stdio.h>
int needed(void);
__thread int counter = 100;
__thread char name[16] = "plugin";
int *const address_of_counter = 0;
__attribute__((constructor)) static void begin(void) { printf("plugin begins, %d\n", needed()); }
__attribute__((destructor)) static void end(void) { puts("plugin ends"); }
int count(void) { return ++counter; }
const char *thread_name(void) { return name; }
int own(void) { return 1; }
