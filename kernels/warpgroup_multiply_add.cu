// Multiply-adds of Hopper's matrix units by `wgmma`, on matrices in shared memory.
//
// Work: 2 * 64 * 192 * K operations to a step of a warpgroup, K being the elements of 32 bytes. Bound: the issue rate of
// warpgroup multiply-adds.
//
// A block has two warpgroups, each with 64 rows A of its own, and 192 rows B twice, all of 128 bytes: four stretches of
// 32. Step t multiplies stretch t / 2 % 4 by the first B where t is even, by the second one where it is odd; after the
// last step each stretch is multiplied by the first B once more. The second B is the first with its sign turned and a
// digit changed in each stretch: see matrix_multiply_add.cu.
//
// build: compute_90a, PTX 8.0

#include "words.cuh"

#include "elements.cuh"
#include "warpgroup.cuh"

#include "warpgroup_factors.cuh"

// An instruction with the letter of its sums, and what follows after whether to add.
#define STEP(instruction, s, rest) \
    DEVICE void step(Sum (&d)[SUMS], u64 a, u64 b) { \
        asm volatile("{ .reg .pred adds; setp.ne.u32 adds, %98, 0; wgmma.mma_async.sync.aligned." instruction " " \
                     ALL_SUMS ", %96, %97, adds" rest "; }" \
                     : FORTY_EIGHT(s, 0), FORTY_EIGHT(s, 48) : "l"(a), "l"(b), "r"(1)); \
    }

struct F16F32 : Factors<F16Elements, 2, float> {
    STEP("m64n192k16.f32.f16.f16", "f", ", 1, 1, 0, 0")
};
struct Bf16F32 : Factors<Bf16Elements, 2, float> {
    STEP("m64n192k16.f32.bf16.bf16", "f", ", 1, 1, 0, 0")
};
struct Tf32F32 : Factors<Tf32Elements, 1, float> {
    STEP("m64n192k8.f32.tf32.tf32", "f", ", 1, 1")
};
struct Fp8F32 : Factors<ShortFp8Elements, 4, float> {
    STEP("m64n192k32.f32.e4m3.e4m3", "f", ", 1, 1")
};
struct Int8Int32 : Factors<Integer, 4, i32> {
    STEP("m64n192k32.s32.s8.s8", "r", "")
};

template <typename F> DEVICE void multiply_add(u32* results, u32 steps, u32 longer, u32 keep) {
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    const Matrices<F, OF_STRETCH, 1> in(keep);
    const u64 a = in.a, first_b = in.first_b, second_b = in.second_b;
    typename F::Sum sums[SUMS];
#pragma unroll
    for (u32 i = 0; i < SUMS; i++) sums[i] = 0;
    steps += thread / GROUP < longer;
    u32 step = 0;
#pragma unroll 1
    for (; step + 2 * STRETCHES <= steps; step += 2 * STRETCHES) {
        fence();
#pragma unroll
        for (u32 i = 0; i < 2 * STRETCHES; i++) F::step(sums, a + i / 2 * 2, (i % 2 ? second_b : first_b) + i / 2 * 2);
        end_group();
        wait<0>();
    }
#pragma unroll 1
    for (; step < steps; step++) {
        const u32 stretch = step / 2 % STRETCHES * 2;
        fence();
        F::step(sums, a + stretch, (step % 2 ? second_b : first_b) + stretch);
        end_group();
        wait<0>();
    }
    fence();
#pragma unroll
    for (u32 i = 0; i < STRETCHES; i++) F::step(sums, a + i * 2, first_b + i * 2);
    end_group();
    wait<0>();
    results[thread] = result<F>(sums);
}

// Entry points. Blocks of 256 threads with 64 KiB of dynamic shared memory. `results` has a word for each thread of the
// grid. Warpgroups make `steps` steps, and the first `longer` of them one more.
#define WARPGROUP(name, F) \
    KERNEL __launch_bounds__(GROUP* GROUPS, 1) warpgroup_##name(u32* results, u32 steps, u32 longer, u32 keep) { \
        multiply_add<F>(results, steps, longer, keep); \
    }

WARPGROUP(f16, F16F32)
WARPGROUP(bf16, Bf16F32)
WARPGROUP(tf32, Tf32F32)
WARPGROUP(fp8, Fp8F32)
WARPGROUP(int8, Int8Int32)
