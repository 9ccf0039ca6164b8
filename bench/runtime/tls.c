// Thread-local storage by the general dynamic model: each access asks for the variable's address,
// by __tls_get_addr or, with -mtls-dialect=gnu2, by a TLS descriptor.
static __thread int NAME[100] = {1};

// noipa: else the compiler sees that the address never changes.
__attribute__((noipa)) static int *address(void) { return NAME; }

// n accesses; their sum is n.
long LOOP(long n) {
    long sum = 0;
    for (long i = 0; i < n; i++) {
        __asm__ volatile("" ::: "memory");
        sum += *address();
    }
    return sum;
}
