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
DEVICE void fill(typename M::Factor& to, u32 matrix, u32 first_row, int index, u32 lane) {
    const u32 random = random_bits(matrix, first_row + lane / 4 + 8 * (index % ROWS), index / ROWS * 4 + lane % 4);
    u64 bits = 0;
#pragma unroll
    for (int i = 0; i < M::PACKED; i++) bits |= Elements::of(random >> (32 / M::PACKED * i)) << (i * Elements::BITS);
    put(to, bits);
}

// The same register of the second factor.
template <typename M, typename Elements>
DEVICE typename M::Factor second_of(typename M::Factor first, int index, u32 lane) {
    u64 flips = index == 0 && lane % 4 == 0 ? Elements::NUDGE : 0;
#pragma unroll
    for (int i = 0; i < M::PACKED; i++) flips ^= Elements::FLIP << (i * Elements::BITS);
    return flipped(first, flips);
}

// TALL factors A by WIDE factors B, and their sums.
template <typename M, typename Elements, int TALL, int WIDE> struct Tile {
    static constexpr int ROWS = M::M / 8;
    static constexpr int CHAINS = TALL * WIDE;
    static constexpr int PAIRS = TURN_OPS / (2 * CHAINS * 2 * M::M * M::N * M::K);
    typename M::Factor a[TALL][M::A], first[WIDE][M::B], second[WIDE][M::B];
    typename M::Sum sums[TALL][WIDE][M::D];

    MEMBER void begin(u32 kind, u32 lane) {
#pragma unroll
        for (int i = 0; i < TALL; i++) {
#pragma unroll
            for (int r = 0; r < M::A; r++) fill<M, Elements, ROWS>(a[i][r], 2 * kind, i * M::M, r, lane);
        }
#pragma unroll
        for (int j = 0; j < WIDE; j++) {
#pragma unroll
            for (int r = 0; r < M::B; r++) {
                fill<M, Elements, 1>(first[j][r], 2 * kind + 1, j * M::N, r, lane);
                second[j][r] = second_of<M, Elements>(first[j][r], r, lane);
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
            for (int j = 0; j < WIDE; j++) M::step(sums[i][j], a[i], b[j]);
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

template <typename M, typename Elements, int TALL, int WIDE>
DEVICE void multiply_add(u32* results, u32 turns, u32 longer) {
    typedef Tile<M, Elements, TALL, WIDE> T;
    constexpr int OF_TURN = 2 * T::PAIRS * T::CHAINS;
    constexpr u32 AT_ONCE = OF_TURN < STRETCH ? STRETCH / OF_TURN : 1;
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    const u32 warp = thread / WARP;
    T tile;
    tile.begin(warp % KINDS, thread % WARP);
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

// Entry points. Blocks of whole warps, up to 512 threads, or 256 where a lane holds more. `results` has a word for each thread of the grid. Warps run `turns` turns, and the
// first `longer` of them one more.
#define MATRIX(name, M, Elements, TALL, WIDE, THREADS) \
    KERNEL __launch_bounds__(THREADS, 1) matrix_##name(u32* results, u32 turns, u32 longer) { \
        multiply_add<M, Elements, TALL, WIDE>(results, turns, longer); \
    }

#if __CUDA_ARCH__ < 800
MATRIX(f16_f32_m16n8k8, F16F32K8, F16Elements, 2, 4, 512)
MATRIX(f16_f16_m16n8k8, F16F16K8, ShortF16Elements, 2, 4, 512)
MATRIX(int8_m8n8k16, Int8K16, Integer, 4, 4, 512)
#else
MATRIX(f16_f32_m16n8k16, F16F32, F16Elements, 2, 4, 512)
MATRIX(f16_f16_m16n8k16, F16F16, ShortF16Elements, 2, 4, 512)
MATRIX(bf16_m16n8k16, Bf16F32, Bf16Elements, 2, 4, 512)
MATRIX(tf32_m16n8k8, Tf32F32, Tf32Elements, 2, 4, 512)
MATRIX(int8_m16n8k32, Int8K32, Integer, 2, 4, 512)
MATRIX(f64_m8n8k4, F64K4, F64Elements, 4, 4, 512)
#endif
#ifdef HAS_FP8
MATRIX(fp8_m16n8k32, Fp8F32, Fp8Elements, 2, 4, 512)
#endif
#ifdef HAS_LONG_F64
MATRIX(f64_m16n8k16, F64K16, F64Elements, 2, 2, 256)
#endif
