static __thread int value_of_thread = 4;
int value(void) { return value_of_thread; }
