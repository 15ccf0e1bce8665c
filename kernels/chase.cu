// Pointer chase: the address of each load is what the load before it brought.
//
// Work: one dependent 8-byte load per hop, one hop per cache line, by one thread. Bound: the latency of what holds the
// lines.
//
// build: compute_70, PTX 7.4

#include "words.cuh"

// Hops to a turn of the loop, whose own instructions run beside the loads.
constexpr int HOPS = 16;

template <Keep KEEP> DEVICE u64 follow(u64 place) {
    u64 next;
    if constexpr (KEEP == Keep::NEAR) {
        asm volatile("ld.global.ca.u64 %0, [%1];" : "=l"(next) : "l"(place) : "memory");
    } else {
        asm volatile("ld.global.cg.u64 %0, [%1];" : "=l"(next) : "l"(place) : "memory");
    }
    return next;
}

template <Keep KEEP> DEVICE void chase(u64* state, u32 turns) {
    u64 place = state[0];
#pragma unroll 1
    for (u32 turn = 0; turn < turns; turn++) {
#pragma unroll
        for (int hop = 0; hop < HOPS; hop++) place = follow<KEEP>(place);
    }
    state[0] = place;
}

// Entry points, of one thread. `state` holds the address of the place where the chase goes on. Every place holds the
// address of the next. chase_near lets L1 keep places; chase_far goes past it.
KERNEL __launch_bounds__(32) chase_near(u64* state, u32 turns) { chase<Keep::NEAR>(state, turns); }
KERNEL __launch_bounds__(32) chase_far(u64* state, u32 turns) { chase<Keep::FAR>(state, turns); }
