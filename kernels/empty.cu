// The empty launch: what it costs to have a kernel run at all.
//
// Work: one event. Bound: the command processor, and the wait for the launch before, whose count the second kernel goes
// on with.
//
// build: compute_70, PTX 7.4

#include "words.cuh"

KERNEL __launch_bounds__(32) empty() {}

// The same with a trace: one thread adds one to `count`.
KERNEL __launch_bounds__(32) empty_counted(u32* count) { *count += 1; }
