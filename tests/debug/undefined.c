// Refers to what nothing defines.
int nothing_defines_this(void);
int undefined(void) { return nothing_defines_this(); }
