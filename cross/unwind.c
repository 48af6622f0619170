/* What std's panics refer to of libunwind, though they never unwind here: an end of the stack that is found at once. */

int _Unwind_Backtrace(int (*trace)(void *, void *), void *argument) {
    (void)trace;
    (void)argument;
    return 5; /* _URC_END_OF_STACK */
}

unsigned long _Unwind_GetIP(void *context) {
    (void)context;
    return 0;
}

#ifdef __arm__
/* ARM's _Unwind_GetIP is inline, around this. */
int _Unwind_VRS_Get(void *context, int class, unsigned reg, int representation, void *value) {
    (void)context;
    (void)class;
    (void)reg;
    (void)representation;
    *(unsigned *)value = 0;
    return 0;
}

void __aeabi_unwind_cpp_pr0(void) {}
void __aeabi_unwind_cpp_pr1(void) {}
void __aeabi_unwind_cpp_pr2(void) {}
#endif
