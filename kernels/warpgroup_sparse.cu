// Sparse multiply-adds of Hopper's matrix units by `wgmma`, on matrices in shared memory.
//
// Work: 2 * 64 * 192 * K operations to a step of a warpgroup, K being the elements of 64 bytes: counted as that of the dense
// product, of which half is with zeros of A and not done. Bound: the issue rate of sparse warpgroup multiply-adds.
//
// A is zero in two of each four places of a row, or in one of two where elements have 32 bits, by a random pattern; in
// shared memory it is without these zeros. A block has two warpgroups, each with 64 rows A of its own in four stretches of
// 32 bytes, and 192 rows B twice in two stretches of 64. Step t multiplies stretch t / 2 % 4 of A by stretch t / 2 % 2 of
// the first B where t is even, of the second one where it is odd; after the last step each stretch of A is multiplied by
// the first B once more. The second B is the first with its sign turned and a digit changed in the first four places of
// each stretch: see matrix_multiply_add.cu.
//
// build: compute_90a, PTX 8.2

#include "words.cuh"

#include "elements.cuh"
#include "warpgroup.cuh"

#include "warpgroup_factors.cuh"

// An instruction with the letter of its sums, and what follows after whether to add. It takes indices of the places of A that are not zero, and which of a row's lanes have them.
#define STEP_SPARSE(instruction, s, rest) \
    template <int SELECTOR> DEVICE void step(Sum (&d)[SUMS], u64 a, u64 b, u32 indices) { \
        asm volatile("{ .reg .pred adds; setp.ne.u32 adds, %98, 0; wgmma.mma_async.sp.sync.aligned." instruction " " \
                     ALL_SUMS ", %96, %97, %99, %100, adds" rest "; }" \
                     : FORTY_EIGHT(s, 0), FORTY_EIGHT(s, 48) : "l"(a), "l"(b), "r"(1), "r"(indices), "n"(SELECTOR)); \
    }
struct SparseF16F32 : Factors<F16Elements, 2, float> {
    STEP_SPARSE("m64n192k32.f32.f16.f16", "f", ", 1, 1, 0, 0")
};
struct SparseBf16F32 : Factors<Bf16Elements, 2, float> {
    STEP_SPARSE("m64n192k32.f32.bf16.bf16", "f", ", 1, 1, 0, 0")
};
struct SparseTf32F32 : Factors<Tf32Elements, 1, float> {
    STEP_SPARSE("m64n192k16.f32.tf32.tf32", "f", ", 1, 1")
};
struct SparseFp8F32 : Factors<ShortFp8Elements, 4, float> {
    STEP_SPARSE("m64n192k64.f32.e4m3.e4m3", "f", ", 1, 1")
};
struct SparseInt8Int32 : Factors<Integer, 4, i32> {
    STEP_SPARSE("m64n192k64.s32.s8.s8", "r", "")
};

// A register of a lane has the indices of eight groups. Of 8-bit elements, four lanes that hold a
// row have the indices of one stretch; of wider ones those of two, which a selector tells apart.
template <typename F> DEVICE u32 indices_of(u32 number, u32 group, u32 lane) {
    u32 indices = 0;
#pragma unroll 1
    for (u32 i = 0; i < 8; i++) {
        const u32 row = lane / 4 + 8 * (F::PACKED == 4 ? lane % 2 : i / 4);
        const u32 place = F::PACKED == 4 ? number * 16 + lane / 2 % 2 * 8 + i
                                         : (2 * number + lane / 2 % 2) * 8 + lane % 2 * 4 + i % 4;
        const u32 random = random_bits(GROUPS + 1 + group, threadIdx.x % GROUP / WARP * 16 + row, place);
        indices |= (F::PACKED == 1 ? one_of_two(random) : two_of_four(random)) << (4 * i);
    }
    return indices;
}

// Stretches of A whose indices are in one register.
template <typename F> constexpr u32 SELECTORS = F::PACKED == 4 ? 1 : 2;

// A sparse step by its number, of those that multiply each stretch of A twice.
template <typename F, typename M>
DEVICE void sparse_step(typename F::Sum (&sums)[SUMS], const M& in, const u32 (&indices)[STRETCHES], u32 step) {
    const u32 stretch = step / 2;
    const u64 a = in.a + stretch * 2, b = (step % 2 ? in.second_b : in.first_b) + stretch % 2 * 4;
    if (stretch % SELECTORS<F> == 0) {
        F::template step<0>(sums, a, b, indices[stretch / SELECTORS<F>]);
    } else {
        F::template step<1>(sums, a, b, indices[stretch / SELECTORS<F>]);
    }
}

template <typename F> DEVICE void multiply_add_sparse(u32* results, u32 steps, u32 longer, u32 keep) {
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x, group = threadIdx.x / GROUP;
    const Matrices<F, 2 * OF_STRETCH, 4> in(keep);
    u32 indices[STRETCHES];
#pragma unroll
    for (u32 i = 0; i < STRETCHES / SELECTORS<F>; i++) indices[i] = indices_of<F>(i, group, threadIdx.x % WARP);
    typename F::Sum sums[SUMS];
#pragma unroll
    for (u32 i = 0; i < SUMS; i++) sums[i] = 0;
    steps += thread / GROUP < longer;
    u32 step = 0;
#pragma unroll 1
    for (; step + 2 * STRETCHES <= steps; step += 2 * STRETCHES) {
        fence();
#pragma unroll
        for (u32 i = 0; i < 2 * STRETCHES; i++) sparse_step<F>(sums, in, indices, i);
        end_group();
        wait<0>();
    }
#pragma unroll
    for (u32 i = 0; i < 2 * STRETCHES - 1; i++) {
        if (step + i < steps) {
            fence();
            sparse_step<F>(sums, in, indices, i);
            end_group();
            wait<0>();
        }
    }
    fence();
#pragma unroll
    for (u32 i = 0; i < STRETCHES; i++) sparse_step<F>(sums, in, indices, 2 * i);
    end_group();
    wait<0>();
    results[thread] = result<F>(sums);
}

// Entry points, as those of warpgroup_multiply_add.cu.
#define WARPGROUP_SPARSE(name, F) \
    KERNEL __launch_bounds__(GROUP* GROUPS, 1) warpgroup_sparse_##name(u32* results, u32 steps, u32 longer, u32 keep) { \
        multiply_add_sparse<F>(results, steps, longer, keep); \
    }

WARPGROUP_SPARSE(f16, SparseF16F32)
WARPGROUP_SPARSE(bf16, SparseBf16F32)
WARPGROUP_SPARSE(tf32, SparseTf32F32)
WARPGROUP_SPARSE(fp8, SparseFp8F32)
WARPGROUP_SPARSE(int8, SparseInt8Int32)
