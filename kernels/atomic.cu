// Atomic additions: to a word of each thread's own, to one that some threads share, or to one that all share.
//
// Work: 16 additions to a turn of the loop, for each thread. Bound: how many of them L2 takes in a cycle, to many words
// or to one.
//
// build: compute_70, PTX 7.4

#include "words.cuh"

constexpr int ADDITIONS = 16;

// Threads that share a word are 2^shift neighbours; words are `spread` words apart from one of them to the next. What a
// thread adds is its own, so that an addition which is lost or done twice shows. How far apart words are is not known
// to the assembler: of a word that a warp shares it would make one addition for all 32.
KERNEL __launch_bounds__(1024) atomic_add(u32* words, u32 shift, u32 spread, u32 turns) {
    const u32 addend = threadIdx.x % 8 + 1;
    u32* word = words + (((u64)blockIdx.x * blockDim.x + threadIdx.x) >> shift) * spread;
#pragma unroll 1
    for (u32 turn = 0; turn < turns; turn++) {
#pragma unroll
        for (int i = 0; i < ADDITIONS; i++) {
            asm volatile("red.global.add.u32 [%0], %1;" :: "l"(word), "r"(addend) : "memory");
        }
    }
}
