// What the program needs.
int common(void) { return 1; }
