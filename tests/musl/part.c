#ifdef FIRST
int part(void) { return 0; }
#endif
