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

constexpr u32 GROUPS = 2;
constexpr u32 COLUMNS = 192;
constexpr u32 STRETCHES = 4;
constexpr u32 SUMS = ROWS * COLUMNS / GROUP;
// Words of a row, and of a stretch.
constexpr u32 WORDS = ROW_BYTES / 4;
constexpr u32 OF_STRETCH = WORDS / STRETCHES;

#define ALL_SUMS \
    "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, " \
    "%23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, " \
    "%44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, %64, " \
    "%65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, %85, " \
    "%86, %87, %88, %89, %90, %91, %92, %93, %94, %95}"
#define EIGHT(s, i) \
    "+" s(d[i]), "+" s(d[i + 1]), "+" s(d[i + 2]), "+" s(d[i + 3]), "+" s(d[i + 4]), "+" s(d[i + 5]), "+" s(d[i + 6]), \
        "+" s(d[i + 7])
#define FORTY_EIGHT(s, i) \
    EIGHT(s, i), EIGHT(s, i + 8), EIGHT(s, i + 16), EIGHT(s, i + 24), EIGHT(s, i + 32), EIGHT(s, i + 40)

// An instruction with the letter of its sums, and what follows after whether to add.
#define STEP(instruction, s, rest) \
    DEVICE void step(Sum (&d)[SUMS], u64 a, u64 b) { \
        asm volatile("{ .reg .pred adds; setp.ne.u32 adds, %98, 0; wgmma.mma_async.sync.aligned." instruction " " \
                     ALL_SUMS ", %96, %97, adds" rest "; }" \
                     : FORTY_EIGHT(s, 0), FORTY_EIGHT(s, 48) : "l"(a), "l"(b), "r"(1)); \
    }

template <typename E, int N_PACKED, typename S> struct Factors {
    typedef E Elements;
    typedef S Sum;
    static constexpr int PACKED = N_PACKED;
};
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

// Writes the rows of a matrix, or of the second B.
template <typename F> DEVICE void fill(u32 to, u32 matrix, u32 rows, bool second) {
    typedef typename F::Elements Elements;
    for (u32 index = threadIdx.x; index < rows * WORDS; index += blockDim.x) {
        const u32 row = index / WORDS, place = index % WORDS, random = random_bits(matrix, row, place);
        u32 bits = 0, flips = place % OF_STRETCH == 0 ? (u32)Elements::NUDGE : 0;
#pragma unroll
        for (int i = 0; i < F::PACKED; i++) {
            bits |= (u32)Elements::of(random >> (32 / F::PACKED * i)) << (i * Elements::BITS);
            flips ^= (u32)Elements::FLIP << (i * Elements::BITS);
        }
        const u32 at = to + row * ROW_BYTES + ((place / 4) ^ (row % 8)) * 16 + place % 4 * 4;
        asm volatile("st.shared.u32 [%0], %1;" :: "r"(at), "r"(second ? bits ^ flips : bits) : "memory");
    }
}

template <typename F> DEVICE void multiply_add(u32* results, u32 steps, u32 longer) {
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x, group = threadIdx.x / GROUP;
    const u32 first = shared_address(memory), second = first + COLUMNS * ROW_BYTES;
    const u32 own = second + COLUMNS * ROW_BYTES;
    fill<F>(first, GROUPS, COLUMNS, false);
    fill<F>(second, GROUPS, COLUMNS, true);
#pragma unroll
    for (u32 i = 0; i < GROUPS; i++) fill<F>(own + i * ROWS * ROW_BYTES, i, ROWS, false);
    fence_of_proxies();
    __syncthreads();
    const u64 a = descriptor(own + group * ROWS * ROW_BYTES);
    const u64 first_b = descriptor(first), second_b = descriptor(second);
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
    u32 total = 0;
#pragma unroll
    for (u32 i = 0; i < SUMS; i++) total = note(total, sums[i]);
    results[thread] = total;
}

// Entry points. Blocks of 256 threads with 64 KiB of dynamic shared memory. `results` has a word for each thread of the
// grid. Warpgroups make `steps` steps, and the first `longer` of them one more.
#define WARPGROUP(name, F) \
    KERNEL __launch_bounds__(GROUP* GROUPS, 1) warpgroup_##name(u32* results, u32 steps, u32 longer) { \
        multiply_add<F>(results, steps, longer); \
    }

WARPGROUP(f16, F16F32)
WARPGROUP(bf16, Bf16F32)
WARPGROUP(tf32, Tf32F32)
WARPGROUP(fp8, Fp8F32)
WARPGROUP(int8, Int8Int32)
