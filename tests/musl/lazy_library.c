#ifdef LATER
int own(void) { return 2; }
int missing(void) { return 3; }
#else
int missing(void);
int own(void) { return 1; }
int asks_own(void) { return own(); }
int asks_missing(void) { return missing(); }
#ifdef DATA
int (*const address)(void) = missing;
#endif
#endif
