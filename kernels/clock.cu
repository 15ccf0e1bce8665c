// A stamp: the cycles and the nanoseconds that the multiprocessor counts which it happens to run on.
//
// Work: none to speak of. Two stamps of one multiprocessor tell its clock over whatever ran between them.
//
// build: compute_70, PTX 7.4

#include "words.cuh"

// Entry point, of one thread. `stamp` gets cycles, nanoseconds, and the number of the multiprocessor.
KERNEL __launch_bounds__(32) stamp(u64* stamp) {
    u32 multiprocessor;
    asm volatile("mov.u32 %0, %%smid;" : "=r"(multiprocessor));
    stamp[0] = cycles();
    stamp[1] = nanoseconds();
    stamp[2] = multiprocessor;
}
