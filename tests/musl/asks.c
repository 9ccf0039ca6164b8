int counter_of_other(void);
int number(void) { return counter_of_other(); }
