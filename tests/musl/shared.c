int shared = 30;
int *address_of_shared(void) { return &shared; }
int function(void) { return 1; }
int (*address_of_function(void))(void) { return function; }
