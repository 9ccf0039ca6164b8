// Defines what the program's library defines, too: found first where it is searched first.
int common(void) { return 2; }
int deep(void) { return common(); }
