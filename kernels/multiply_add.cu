// Multiply-adds on values in registers, of every format that vector units have.
//
// Work: 8 chains * 16 rounds * 2 = 256 multiply-adds to a turn of the loop, for each thread: two operations for each of
// their elements, of which f16x2 and bf16x2 have two; dp4a has four multiply-adds and so eight operations. Bound: the
// issue rate of multiply-adds.
//
// Every thread has a factor and first sums of its own, and adds two numbers in turns: operands move as real data does,
// no sum overflows, and a loop that ran too short has another result. The same steps in the same format on a processor
// give the same bits, because every step rounds once.
//
// build: compute_70, PTX 7.4
// build: compute_80, PTX 7.4

#include "words.cuh"

// Chains that do not depend on one another, and steps of each to a turn: the loop's own instructions are 1 % of all.
constexpr int CHAINS = 8;
constexpr int ROUNDS = 16;

// The first sum of an element of a thread's chains, in units of UNIT.
constexpr float UNIT = 0.125f;
DEVICE u32 first_sum(u32 thread, u32 element) { return (thread + 37 * element) % 61; }

// Formats: what a chain is made of, its first sum, one step, and what a chain adds to the thread's result. A thread's
// factor is `x - (thread % 8) * step`; it adds `y` and `-y / 2` in turns, or among integers `y` and `y ^ FLIP`.
constexpr u32 FLIP = 0x10325476;

struct F32 {
    typedef float Scalar;
    typedef float Chain;
    DEVICE Chain factor(Scalar x, Scalar step, u32 thread) { return x - (float)(thread & 7) * step; }
    DEVICE Chain first(Scalar y) { return y; }
    DEVICE Chain second(Scalar y) { return y * -0.5f; }
    DEVICE Chain start(u32 thread, u32 chain) { return (float)first_sum(thread, chain) * UNIT; }
    DEVICE Chain step(Chain sum, Chain x, Chain y) { return __fmaf_rn(sum, x, y); }
    DEVICE Scalar total(Scalar total, Chain sum) { return total + sum; }
};

struct F64 {
    typedef double Scalar;
    typedef double Chain;
    DEVICE Chain factor(Scalar x, Scalar step, u32 thread) { return x - (double)(thread & 7) * step; }
    DEVICE Chain first(Scalar y) { return y; }
    DEVICE Chain second(Scalar y) { return y * -0.5; }
    DEVICE Chain start(u32 thread, u32 chain) { return (double)first_sum(thread, chain) * UNIT; }
    DEVICE Chain step(Chain sum, Chain x, Chain y) { return __fma_rn(sum, x, y); }
    DEVICE Scalar total(Scalar total, Chain sum) { return total + sum; }
};

// Two elements to a chain: numbers 2 * chain and 2 * chain + 1. Factors are rounded from f32 once, results added up in
// f32.
template <typename Half> struct Pair {
    typedef float Scalar;
    typedef u32 Chain;
    DEVICE Chain both(float value) { return Half::pair(value, value); }
    DEVICE Chain factor(Scalar x, Scalar step, u32 thread) { return both(x - (float)(thread & 7) * step); }
    DEVICE Chain first(Scalar y) { return both(y); }
    DEVICE Chain second(Scalar y) { return both(y * -0.5f); }
    DEVICE Chain start(u32 thread, u32 chain) {
        return Half::pair((float)first_sum(thread, 2 * chain) * UNIT, (float)first_sum(thread, 2 * chain + 1) * UNIT);
    }
    DEVICE Chain step(Chain sum, Chain x, Chain y) { return Half::step(sum, x, y); }
    DEVICE Scalar total(Scalar total, Chain sum) { return total + Half::low(sum) + Half::high(sum); }
};

struct F16 {
    DEVICE u32 pair(float low, float high) { return f16_pair(low, high); }
    DEVICE float low(u32 pair) { return f16_low(pair); }
    DEVICE float high(u32 pair) { return f16_high(pair); }
    DEVICE u32 step(u32 sum, u32 x, u32 y) {
        u32 result;
        asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(sum), "r"(x), "r"(y));
        return result;
    }
};

#if __CUDA_ARCH__ >= 800
struct Bf16 {
    DEVICE u32 pair(float low, float high) { return bf16_pair(low, high); }
    DEVICE float low(u32 pair) { return bf16_low(pair); }
    DEVICE float high(u32 pair) { return bf16_high(pair); }
    DEVICE u32 step(u32 sum, u32 x, u32 y) {
        u32 result;
        asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(sum), "r"(x), "r"(y));
        return result;
    }
};
#endif

// 32-bit integers, wrapping.
struct Int32 {
    typedef u32 Scalar;
    typedef u32 Chain;
    DEVICE Chain factor(Scalar x, Scalar step, u32 thread) { return x - (thread & 7) * step; }
    DEVICE Chain first(Scalar y) { return y; }
    DEVICE Chain second(Scalar y) { return y ^ FLIP; }
    DEVICE Chain start(u32 thread, u32 chain) { return first_sum(thread, chain); }
    DEVICE Chain step(Chain sum, Chain x, Chain y) {
        u32 result;
        asm("mad.lo.u32 %0, %1, %2, %3;" : "=r"(result) : "r"(sum), "r"(x), "r"(y));
        return result;
    }
    DEVICE Scalar total(Scalar total, Chain sum) { return total + sum; }
};

// Four signed bytes times four, added to 32 bits: here `y` is the factor, and `x` is added.
struct Int8 : Int32 {
    DEVICE Chain step(Chain sum, Chain x, Chain y) {
        u32 result;
        asm("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(result) : "r"(sum), "r"(y), "r"(x));
        return result;
    }
};

template <typename Format, typename Scalar = typename Format::Scalar>
DEVICE void multiply_add(Scalar* results, u32 turns, u32 longer, Scalar x, Scalar step, Scalar y) {
    typedef typename Format::Chain Chain;
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    const Chain factor = Format::factor(x, step, thread), first = Format::first(y), second = Format::second(y);
    Chain sums[CHAINS];
#pragma unroll
    for (int chain = 0; chain < CHAINS; chain++) sums[chain] = Format::start(thread, chain);
    turns += thread < longer;
#pragma unroll 1
    for (u32 turn = 0; turn < turns; turn++) {
#pragma unroll
        for (int round = 0; round < ROUNDS; round++) {
#pragma unroll
            for (int chain = 0; chain < CHAINS; chain++) sums[chain] = Format::step(sums[chain], factor, first);
#pragma unroll
            for (int chain = 0; chain < CHAINS; chain++) sums[chain] = Format::step(sums[chain], factor, second);
        }
    }
    Scalar total = 0;
#pragma unroll
    for (int chain = 0; chain < CHAINS; chain++) total = Format::total(total, sums[chain]);
    results[thread] = total;
}

// Entry points. `results` has a scalar for each thread of the grid. Threads run `turns` turns, and the first `longer` of
// them one more. `x`, `step`, `y`: see above.
#define MULTIPLY_ADD(name, Format, Scalar) \
    KERNEL __launch_bounds__(1024) multiply_add_##name(Scalar* results, u32 turns, u32 longer, Scalar x, Scalar step, \
                                                       Scalar y) { \
        multiply_add<Format>(results, turns, longer, x, step, y); \
    }

MULTIPLY_ADD(f64, F64, double)
MULTIPLY_ADD(f32, F32, float)
MULTIPLY_ADD(f16, Pair<F16>, float)
#if __CUDA_ARCH__ >= 800
MULTIPLY_ADD(bf16, Pair<Bf16>, float)
#endif
MULTIPLY_ADD(int32, Int32, u32)
MULTIPLY_ADD(int8, Int8, u32)
