/* A library with a symbol that would be one for the whole process under glibc. */
int counter = START;
__asm__(".type counter, @gnu_unique_object");
int number(void) { return counter++; }
