// Atomic additions: to a word of each thread's own, to one of each warp's, and to one that all share.
//
// Work: 16 additions to a turn of the loop, for each thread. Bound: how many of them L2 takes in a cycle, to many words or to one.
//
// build: compute_70, PTX 7.4

#include "words.cuh"

constexpr int ADDITIONS = 16;

// What a thread adds is its own, so that an addition which is lost or done twice shows.
DEVICE void add(u32* word, u32 turns) {
    const u32 addend = threadIdx.x % 8 + 1;
#pragma unroll 1
    for (u32 turn = 0; turn < turns; turn++) {
#pragma unroll
        for (int i = 0; i < ADDITIONS; i++) asm volatile("red.global.add.u32 [%0], %1;" :: "l"(word), "r"(addend) : "memory");
    }
}

DEVICE u64 thread_number() { return (u64)blockIdx.x * blockDim.x + threadIdx.x; }

// Entry points. Words are `spread` words apart from one thread, or warp, to the next.
KERNEL __launch_bounds__(1024) atomic_add_thread(u32* words, u32 spread, u32 turns) {
    add(words + thread_number() * spread, turns);
}
KERNEL __launch_bounds__(1024) atomic_add_warp(u32* words, u32 spread, u32 turns) {
    add(words + thread_number() / WARP * spread, turns);
}
KERNEL __launch_bounds__(1024) atomic_add_grid(u32* words, u32 turns) { add(words, turns); }
