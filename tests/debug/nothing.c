// Defines what its users will miss, for it is replaced.
int nothing_defines_this(void) { return 0; }
