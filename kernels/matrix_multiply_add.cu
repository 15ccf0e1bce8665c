// Multiply-adds of matrix units, on matrices in registers.
//
// Work: 131072 operations to a turn of the loop, for each warp: matrices of 16 or 8 rows, 8 columns and depth K, two
// operations for each product. Bound: the issue rate of matrix multiply-adds; from compute capability 9.0 on that of
// `mma.sync`, which is not the fastest way to the matrix units there.
//
// A warp has some factors A and twice some factors B. It multiplies each A by each first B and by each second B in turns,
// and in the end by the first ones once more. Factors are random numbers of so few digits that every sum is exact,
// whatever the order and the roundings of the hardware. The second B is the first with its sign turned and a digit
// changed: sums stay small and move all the same, so that a loop which ran too short has another result.
//
// Of sparse products the factors A are zero in two of each four places of a row, or in one of two where elements have 32
// bits, by a random pattern. Work is counted as that of the dense product: half of it is with these zeros, and not done.
//
// Matrix units draw less power the fewer bits change. Every bit of the factors is taken together with one of `keep`: all
// ones leave them as they are, zero makes them zeros, with the same instructions.
//
// build: compute_75, PTX 7.4
// build: compute_80, PTX 7.4
// build: compute_89, PTX 8.4
// build: compute_90, PTX 8.0
// build: compute_120, PTX 8.7

#include "matrix.cuh"
#include "elements.cuh"

constexpr int TURN_OPS = 131072;
// Instructions that follow one another before the loop goes round, where a turn has fewer.
constexpr int STRETCH = 128;

// Warps are of so many kinds, each with factors of its own.
constexpr u32 KINDS = 4;

DEVICE void put(u32& to, u64 bits) { to = (u32)bits; }
DEVICE u32 flipped(u32 bits, u64 flips) { return bits ^ (u32)flips; }
#if __CUDA_ARCH__ >= 800
DEVICE void put(double& to, u64 bits) { to = __longlong_as_double((long long)bits); }
DEVICE double flipped(double number, u64 flips) {
    return __longlong_as_double(__double_as_longlong(number) ^ (long long)flips);
}
#endif

// A register of a factor: see matrix.cuh.
template <typename M, typename Elements, int ROWS>
DEVICE void fill(typename M::Factor& to, u32 matrix, u32 first_row, int index, u32 lane, u64 keep) {
    const u32 random = random_bits(matrix, first_row + lane / 4 + 8 * (index % ROWS), index / ROWS * 4 + lane % 4);
    u64 bits = 0;
#pragma unroll
    for (int i = 0; i < M::PACKED; i++) bits |= Elements::of(random >> (32 / M::PACKED * i)) << (i * Elements::BITS);
    put(to, bits & keep);
}

// The same register of the second factor, of which so many first places have another digit.
template <typename M, typename Elements, int NUDGED>
DEVICE typename M::Factor second_of(typename M::Factor first, int index, u32 lane, u64 keep) {
    u64 flips = 0;
#pragma unroll
    for (int i = 0; i < M::PACKED; i++) {
        const bool is_nudged = index == 0 && lane % 4 * M::PACKED + i < NUDGED;
        flips ^= (Elements::FLIP | (is_nudged ? Elements::NUDGE : 0)) << (i * Elements::BITS);
    }
    return flipped(first, flips & keep);
}

// Where A has zeros: nowhere, or by indices, which are 4 bits for each group of neighbours in a row. A register of a lane
// has those of eight groups: which ones follows from the number of the register, the lane and the place in it.
struct Dense {
    static constexpr int REGISTERS = 0, NUDGED = 1;
};
// From 9.0 on, sparse products by `mma.sp` are not the fastest ones either.
#if (__CUDA_ARCH__ >= 800 && __CUDA_ARCH__ < 900) || __CUDA_ARCH__ >= 1200
#define HAS_SPARSE
#endif
#ifdef HAS_SPARSE
// Of 16-bit and 32-bit elements, four lanes that hold a row have the indices of two factors, which a selector tells apart:
// lane % 2 is which half of the row they are of.
template <bool OF_FOUR, int TALL> struct Halves {
    static constexpr int REGISTERS = TALL / 2, NUDGED = 4, SELECTORS = 2;
    DEVICE u32 row(u32 number, u32 lane, u32 group) {
        return (2 * number + lane % 4 / 2) * 16 + lane / 4 + 8 * (group / 4);
    }
    DEVICE u32 place(u32 lane, u32 group) { return lane % 2 * 4 + group % 4; }
    DEVICE u32 indices(u32 random) { return OF_FOUR ? two_of_four(random) : one_of_two(random); }
};
// Of 8-bit elements they have those of one factor: lane % 2 is which rows they are of.
template <int TALL> struct Bytes {
    static constexpr int REGISTERS = TALL, NUDGED = 4, SELECTORS = 1;
    DEVICE u32 row(u32 number, u32 lane, u32) { return number * 16 + lane / 4 + 8 * (lane % 2); }
    DEVICE u32 place(u32 lane, u32 group) { return lane / 2 % 2 * 8 + group; }
    DEVICE u32 indices(u32 random) { return two_of_four(random); }
};
#endif

// TALL factors A by WIDE factors B, and their sums.
template <typename M, typename Elements, int TALL, int WIDE, typename Zeros = Dense> struct Tile {
    static constexpr int ROWS = M::M / 8;
    static constexpr int CHAINS = TALL * WIDE;
    static constexpr int PAIRS = TURN_OPS / (2 * CHAINS * 2 * M::M * M::N * M::K);
    typename M::Factor a[TALL][M::A], first[WIDE][M::B], second[WIDE][M::B];
    typename M::Sum sums[TALL][WIDE][M::D];
    u32 indices[Zeros::REGISTERS > 0 ? Zeros::REGISTERS : 1];

    MEMBER void begin(u32 kind, u32 lane, u64 keep) {
#pragma unroll
        for (int i = 0; i < TALL; i++) {
#pragma unroll
            for (int r = 0; r < M::A; r++) fill<M, Elements, ROWS>(a[i][r], 2 * kind, i * M::M, r, lane, keep);
        }
#pragma unroll
        for (int j = 0; j < WIDE; j++) {
#pragma unroll
            for (int r = 0; r < M::B; r++) {
                fill<M, Elements, 1>(first[j][r], 2 * kind + 1, j * M::N, r, lane, keep);
                second[j][r] = second_of<M, Elements, Zeros::NUDGED>(first[j][r], r, lane, keep);
            }
        }
        if constexpr (Zeros::REGISTERS > 0) {
#pragma unroll
            for (u32 i = 0; i < Zeros::REGISTERS; i++) {
                indices[i] = 0;
#pragma unroll 1
                for (u32 group = 0; group < 8; group++) {
                    const u32 row = Zeros::row(i, lane, group), place = Zeros::place(lane, group);
                    indices[i] |= Zeros::indices(random_bits(2 * KINDS + kind, row, place)) << (4 * group);
                }
            }
        }
#pragma unroll
        for (int i = 0; i < CHAINS; i++) {
#pragma unroll
            for (int r = 0; r < M::D; r++) sums[i / WIDE][i % WIDE][r] = 0;
        }
    }

    MEMBER void step(const typename M::Factor (&b)[WIDE][M::B]) {
#pragma unroll
        for (int i = 0; i < TALL; i++) {
#pragma unroll
            for (int j = 0; j < WIDE; j++) {
                if constexpr (Zeros::REGISTERS == 0) {
                    M::step(sums[i][j], a[i], b[j]);
                } else if (i % Zeros::SELECTORS == 0) {
                    M::template step<0>(sums[i][j], a[i], b[j], indices[i / Zeros::SELECTORS]);
                } else {
                    M::template step<1>(sums[i][j], a[i], b[j], indices[i / Zeros::SELECTORS]);
                }
            }
        }
    }

    MEMBER void turn() {
#pragma unroll
        for (int pair = 0; pair < PAIRS; pair++) {
            step(first);
            step(second);
        }
    }

    MEMBER u32 result() const {
        u32 total = 0;
#pragma unroll
        for (int i = 0; i < TALL; i++) {
#pragma unroll
            for (int j = 0; j < WIDE; j++) {
#pragma unroll
                for (int r = 0; r < M::D; r++) total = note(total, sums[i][j][r]);
            }
        }
        return total;
    }
};

template <typename M, typename Elements, int TALL, int WIDE, typename Zeros = Dense>
DEVICE void multiply_add(u32* results, u32 turns, u32 longer, u32 keep) {
    typedef Tile<M, Elements, TALL, WIDE, Zeros> T;
    constexpr int OF_TURN = 2 * T::PAIRS * T::CHAINS;
    constexpr u32 AT_ONCE = OF_TURN < STRETCH ? STRETCH / OF_TURN : 1;
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    const u32 warp = thread / WARP;
    T tile;
    tile.begin(warp % KINDS, thread % WARP, (u64)keep << 32 | keep);
    turns += warp < longer;
    u32 turn = 0;
#pragma unroll 1
    for (; turn + AT_ONCE <= turns; turn += AT_ONCE) {
#pragma unroll
        for (u32 i = 0; i < AT_ONCE; i++) tile.turn();
    }
    if constexpr (AT_ONCE > 1) {
#pragma unroll 1
        for (; turn < turns; turn++) tile.turn();
    }
    tile.step(tile.first);
    results[thread] = tile.result();
}

// 4-bit integers, for which Hopper and what came after it have no instruction. Those of a second factor have the bits FLIP
// turned.
#if __CUDA_ARCH__ < 900
struct Integer4 {
    static constexpr int BITS = 4;
    static constexpr u64 FLIP = 0xa, NUDGE = 0;
    DEVICE u64 of(u32 random) { return random & 0xf; }
};
#if __CUDA_ARCH__ < 800
struct Int4K32 : Matrix<8, 8, 32, u32, 1, 1, i32, 2, 8> {
    STEP_2_1_1("mma.sync.aligned.m8n8k32.row.col.s32.s4.s4.s32", "r", "r")
};
#else
struct Int4K64 : Matrix<16, 8, 64, u32, 4, 2, i32, 4, 8> {
    STEP_4_4_2("mma.sync.aligned.m16n8k64.row.col.s32.s4.s4.s32", "r", "r")
};
#endif
#endif

// Instructions for sparse products. Newer assemblers warn of, and newer hardware may be slow with, indices that are not
// stated to be in ascending order, as all of these are.
#ifdef HAS_SPARSE
#if __CUDA_ARCH__ >= 1200
#define SPARSE "mma.sp::ordered_metadata.sync.aligned."
#else
#define SPARSE "mma.sp.sync.aligned."
#endif
#define STEP_SPARSE_4(instruction, s) \
    template <int SELECTOR> DEVICE void step(Sum (&d)[4], const Factor (&a)[4], const Factor (&b)[4], u32 indices) { \
        asm volatile(SPARSE instruction " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9, %10, %11}, {%0, %1, %2, %3}, " \
                     "%12, %13;" \
                     : "+" s(d[0]), "+" s(d[1]), "+" s(d[2]), "+" s(d[3]) \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(b[2]), "r"(b[3]), \
                       "r"(indices), "n"(SELECTOR)); \
    }
#define STEP_SPARSE_2(instruction, s) \
    template <int SELECTOR> DEVICE void step(Sum (&d)[2], const Factor (&a)[4], const Factor (&b)[4], u32 indices) { \
        asm volatile(SPARSE instruction " {%0, %1}, {%2, %3, %4, %5}, {%6, %7, %8, %9}, {%0, %1}, %10, %11;" \
                     : "+" s(d[0]), "+" s(d[1]) \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(b[2]), "r"(b[3]), \
                       "r"(indices), "n"(SELECTOR)); \
    }
struct SparseF16F32 : Matrix<16, 8, 32, u32, 4, 4, float, 4, 2> {
    STEP_SPARSE_4("m16n8k32.row.col.f32.f16.f16.f32", "f")
};
struct SparseF16F16 : Matrix<16, 8, 32, u32, 4, 4, u32, 2, 2> {
    STEP_SPARSE_2("m16n8k32.row.col.f16.f16.f16.f16", "r")
};
struct SparseBf16F32 : Matrix<16, 8, 32, u32, 4, 4, float, 4, 2> {
    STEP_SPARSE_4("m16n8k32.row.col.f32.bf16.bf16.f32", "f")
};
struct SparseTf32F32 : Matrix<16, 8, 16, u32, 4, 4, float, 4, 1> {
    STEP_SPARSE_4("m16n8k16.row.col.f32.tf32.tf32.f32", "f")
};
struct SparseInt8Int32 : Matrix<16, 8, 64, u32, 4, 4, i32, 4, 4> {
    STEP_SPARSE_4("m16n8k64.row.col.s32.s8.s8.s32", "r")
};
#ifdef HAS_FP8
struct SparseFp8F32 : Matrix<16, 8, 64, u32, 4, 4, float, 4, 4> {
    STEP_SPARSE_4("m16n8k64.row.col.f32.e4m3.e4m3.f32", "f")
};
#endif
#endif

// Entry points. Blocks of whole warps, up to 512 threads, or 256 where a lane holds more. `results` has a word for each thread of the grid. Warps run `turns` turns, and the
// first `longer` of them one more.
#define MATRIX(name, M, Elements, TALL, WIDE, THREADS) \
    KERNEL __launch_bounds__(THREADS, 1) matrix_##name(u32* results, u32 turns, u32 longer, u32 keep) { \
        multiply_add<M, Elements, TALL, WIDE>(results, turns, longer, keep); \
    }

#define MATRIX_SPARSE(name, M, Elements, TALL, WIDE, ...) \
    KERNEL __launch_bounds__(512, 1) matrix_sparse_##name(u32* results, u32 turns, u32 longer, u32 keep) { \
        multiply_add<M, Elements, TALL, WIDE, __VA_ARGS__>(results, turns, longer, keep); \
    }

#if __CUDA_ARCH__ < 800
MATRIX(f16_f32_m16n8k8, F16F32K8, F16Elements, 2, 4, 512)
MATRIX(f16_f16_m16n8k8, F16F16K8, ShortF16Elements, 2, 4, 512)
MATRIX(int8_m8n8k16, Int8K16, Integer, 4, 4, 512)
MATRIX(int4_m8n8k32, Int4K32, Integer4, 4, 4, 512)
#else
MATRIX(f16_f32_m16n8k16, F16F32, F16Elements, 2, 4, 512)
MATRIX(f16_f16_m16n8k16, F16F16, ShortF16Elements, 2, 4, 512)
MATRIX(bf16_m16n8k16, Bf16F32, Bf16Elements, 2, 4, 512)
MATRIX(tf32_m16n8k8, Tf32F32, Tf32Elements, 2, 4, 512)
MATRIX(int8_m16n8k32, Int8K32, Integer, 2, 4, 512)
MATRIX(f64_m8n8k4, F64K4, F64Elements, 4, 4, 512)
#if __CUDA_ARCH__ < 900
MATRIX(int4_m16n8k64, Int4K64, Integer4, 2, 2, 512)
#endif
#endif
#ifdef HAS_SPARSE
MATRIX_SPARSE(f16_f32_m16n8k32, SparseF16F32, F16Elements, 2, 4, Halves<true, 2>)
MATRIX_SPARSE(f16_f16_m16n8k32, SparseF16F16, ShortF16Elements, 2, 4, Halves<true, 2>)
MATRIX_SPARSE(bf16_m16n8k32, SparseBf16F32, Bf16Elements, 2, 4, Halves<true, 2>)
MATRIX_SPARSE(tf32_m16n8k16, SparseTf32F32, Tf32Elements, 2, 4, Halves<false, 2>)
MATRIX_SPARSE(int8_m16n8k64, SparseInt8Int32, Integer, 2, 2, Bytes<2>)
#endif
#ifdef HAS_FP8
MATRIX(fp8_m16n8k32, Fp8F32, Fp8Elements, 2, 4, 512)
MATRIX_SPARSE(fp8_m16n8k64, SparseFp8F32, Fp8Elements, 2, 2, Bytes<2>)
#endif
#ifdef HAS_LONG_F64
MATRIX(f64_m16n8k16, F64K16, F64Elements, 2, 2, 256)
#endif
