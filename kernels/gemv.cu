// Matrix-vector products y[n] = W[n, k] * x[k], with weights as they are stored.
//
// Work: 2 n k operations; every weight loaded once with its scales, the vector and the result once. Bound: the
// bandwidth of what holds the weights. An H200 brings 18 bytes of them per multiprocessor and cycle, so that unpacking
// and multiplying a byte may take 7 of its 128 lanes' instructions, and had better take 3.
//
// Each block first prepares the vector in its shared memory: widened to f32, in the order in which weights are met.
// Then a warp, or four of them, take some rows at a time and walk along them, so that what is prepared is loaded once
// for all of them.
//
// 8- and 4-bit integers are multiplied as integers, by activations of 16 bits: an activation is 256 times its high byte
// plus its low byte, and an instruction (dp4a) multiplies four weights by four such bytes. That is exact. Activations
// of a group of 128 share the power of two that makes the largest an integer of 16 bits: bf16 that is not below a 128th
// of the largest stays exact too, and what is smaller is off by at most 2^-15 of the largest. Sums are kept in f32.
//
// build: compute_70, PTX 7.4
// build: compute_89, PTX 8.1

#include "words.cuh"

constexpr u32 THREADS = 256;
constexpr u32 WARPS = THREADS / WARP;
// Vectors that a thread has on their way at once. With the blocks that fit a multiprocessor, three or four, they are
// more than hides the latency of memory.
constexpr int LOADS = 4;

// What a block prepares: PLANES vectors for each vector of weights, plane by plane so that lanes meet no bank twice.
// For integers a factor for each group comes after them, and for those of 4 bits an integer for each vector of weights.
extern __shared__ Words prepared[];

// Floating-point weights: a plane has every so manieth four activations in f32.
template <typename Weights, typename Activations> struct Floats {
    static constexpr u32 BLOCKS = 4;
    static constexpr int PER_VECTOR = Weights::PER_VECTOR;
    static constexpr int PLANES = PER_VECTOR / 4;
    static constexpr bool SCALED = false;

    DEVICE void keep(u32 four, Four numbers, u32 vectors) {
        prepared[four % PLANES * vectors + four / PLANES] = {__float_as_uint(numbers.x), __float_as_uint(numbers.y),
                                                             __float_as_uint(numbers.z), __float_as_uint(numbers.w)};
    }

    DEVICE void prepare(const Words* x, u32 vectors) {
        constexpr int FOURS = Activations::PER_VECTOR / 4;
#pragma unroll 1
        for (u32 at = threadIdx.x; at < vectors * PLANES / FOURS; at += THREADS) {
            const Words words = x[at];
            keep(at * FOURS, Activations::template four<0>(words), vectors);
            if constexpr (FOURS == 2) keep(at * FOURS + 1, Activations::template four<1>(words), vectors);
        }
    }

    // Adds the products of one vector of each row to the rows' sums.
    template <int PLANE, int ROWS>
    DEVICE void add_plane(float (&sums)[ROWS], const Words (&weights)[ROWS], u32 at, u32 vectors) {
        const Words x = prepared[PLANE * vectors + at];
#pragma unroll
        for (int row = 0; row < ROWS; row++) {
            const Four w = Weights::template four<PLANE>(weights[row]);
            sums[row] = fmaf(w.x, __uint_as_float(x.x), sums[row]);
            sums[row] = fmaf(w.y, __uint_as_float(x.y), sums[row]);
            sums[row] = fmaf(w.z, __uint_as_float(x.z), sums[row]);
            sums[row] = fmaf(w.w, __uint_as_float(x.w), sums[row]);
        }
    }

    template <int ROWS>
    DEVICE void add(float (&sums)[ROWS], const Words (&weights)[ROWS], const float (&)[ROWS], u32 at, u32 vectors) {
        add_plane<0>(sums, weights, at, vectors);
        if constexpr (PLANES > 1) add_plane<1>(sums, weights, at, vectors);
        if constexpr (PLANES > 2) {
            add_plane<2>(sums, weights, at, vectors);
            add_plane<3>(sums, weights, at, vectors);
        }
    }

    DEVICE float finish(float sum, const void*, u32) { return sum * Weights::FACTOR; }
};

// Prepares a group's activations as integers. A warp takes the group, of which each lane has four numbers.
template <typename Format> DEVICE void prepare_group(u64 pairs, u32 group, u32 vectors) {
    const u32 lane = threadIdx.x % WARP, first = (u32)pairs, second = (u32)(pairs >> 32);
    const float numbers[4] = {bf16_low(first), bf16_high(first), bf16_low(second), bf16_high(second)};
    float largest = fmaxf(fmaxf(fabsf(numbers[0]), fabsf(numbers[1])), fmaxf(fabsf(numbers[2]), fabsf(numbers[3])));
    largest = max_over<1, 32>(largest);
    const Integers integers = Integers::up_to(largest);
    const i32 four[4] = {integers.of(numbers[0]), integers.of(numbers[1]), integers.of(numbers[2]),
                         integers.of(numbers[3])};
    if (lane == 0) Format::factors(vectors)[group] = integers.factor;
    Format::keep(group * WARP + lane, four, vectors);
}

// Prepares all groups. No weights are on their way meanwhile, so that the loads of several groups are.
template <typename Format> DEVICE void prepare_groups(const Words* x, u32 vectors) {
    constexpr u32 AT_ONCE = 4;
    const u32 groups = vectors * Format::PER_VECTOR / (4 * WARP);
#pragma unroll 1
    for (u32 first = threadIdx.x / WARP; first < groups; first += AT_ONCE * WARPS) {
        u64 pairs[AT_ONCE];
#pragma unroll
        for (u32 i = 0; i < AT_ONCE; i++) {
            const u32 group = min(first + i * WARPS, groups - 1);
            pairs[i] = ((const u64*)x)[group * WARP + threadIdx.x % WARP];
        }
#pragma unroll
        for (u32 i = 0; i < AT_ONCE; i++) {
            if (first + i * WARPS < groups) prepare_group<Format>(pairs[i], first + i * WARPS, vectors);
        }
    }
}

// Weights of 8 bits with an f32 scale for each row. Planes: high bytes, low bytes, in the order of the weights.
struct Int8 {
    static constexpr u32 BLOCKS = 3;
    static constexpr int PER_VECTOR = 16;
    static constexpr int PLANES = 2;
    static constexpr bool SCALED = false;

    DEVICE float* factors(u32 vectors) { return (float*)(prepared + PLANES * vectors); }

    DEVICE void prepare(const Words* x, u32 vectors) { prepare_groups<Int8>(x, vectors); }

    DEVICE void keep(u32 four, const i32 (&integers)[4], u32 vectors) {
        ((u32*)prepared)[four] = high_bytes(integers);
        ((u32*)(prepared + vectors))[four] = low_bytes(integers);
    }

    template <int ROWS>
    DEVICE void add(float (&sums)[ROWS], const Words (&weights)[ROWS], const float (&)[ROWS], u32 at, u32 vectors) {
        const Words x = prepared[at], y = prepared[vectors + at];
        const u32 high[4] = {x.x, x.y, x.z, x.w}, low[4] = {y.x, y.y, y.z, y.w};
        const float factor = factors(vectors)[at / 8];
#pragma unroll
        for (int row = 0; row < ROWS; row++) {
            sums[row] = fmaf((float)dot_of(weights[row], high, low), factor, sums[row]);
        }
    }

    DEVICE float finish(float sum, const void* scales, u32 row) { return sum * ((const float*)scales)[row]; }
};

// Weights of 4 bits, stored 8 too large, with an f16 scale for each group. Planes: for every eight weights the high
// bytes of even ones, those of odd ones, then low bytes. Minus eight times the sum of a vector's activations comes
// after the factors.
struct Int4 {
    static constexpr u32 BLOCKS = 3;
    static constexpr int PER_VECTOR = 32;
    static constexpr int PLANES = 4;
    static constexpr bool SCALED = true;

    DEVICE float* factors(u32 vectors) { return (float*)(prepared + PLANES * vectors); }
    DEVICE i32* offsets(u32 vectors) { return (i32*)(factors(vectors) + vectors / 4); }

    DEVICE void prepare(const Words* x, u32 vectors) { prepare_groups<Int4>(x, vectors); }

    DEVICE void keep(u32 four, const i32 (&integers)[4], u32 vectors) {
        u16* place = (u16*)(prepared + four / 2 % 4 * vectors + four / 8) + four % 2;
        const u32 even = __byte_perm(integers[0], integers[2], 0x5140);
        const u32 odd = __byte_perm(integers[1], integers[3], 0x5140);
        place[0] = (u16)(even >> 16);
        place[2] = (u16)(odd >> 16);
        place[4] = (u16)even;
        place[6] = (u16)odd;
        const i32 sum = sum_over<1, 8>(integers[0] + integers[1] + integers[2] + integers[3]);
        if (four % 8 == 0) offsets(vectors)[four / 8] = -8 * sum;
    }

    template <int PLANE, int ROWS>
    DEVICE void add_plane(i32 (&upper)[ROWS], i32 (&lower)[ROWS], const Words (&weights)[ROWS], u32 at, u32 vectors) {
        const Words x = prepared[PLANE * vectors + at];
#pragma unroll
        for (int row = 0; row < ROWS; row++) {
            const u32 word = word_of<PLANE>(weights[row]), even = word & 0x0f0f0f0fu, odd = word >> 4 & 0x0f0f0f0fu;
            upper[row] = dot_high(odd, x.y, dot_high(even, x.x, upper[row]));
            lower[row] = dot_low(odd, x.w, dot_low(even, x.z, lower[row]));
        }
    }

    template <int ROWS>
    DEVICE void add(float (&sums)[ROWS], const Words (&weights)[ROWS], const float (&scales)[ROWS], u32 at,
                    u32 vectors) {
        i32 upper[ROWS] = {}, lower[ROWS];
        const i32 offset = offsets(vectors)[at];
#pragma unroll
        for (int row = 0; row < ROWS; row++) lower[row] = offset;
        add_plane<0>(upper, lower, weights, at, vectors);
        add_plane<1>(upper, lower, weights, at, vectors);
        add_plane<2>(upper, lower, weights, at, vectors);
        add_plane<3>(upper, lower, weights, at, vectors);
        const float factor = factors(vectors)[at / 4];
#pragma unroll
        for (int row = 0; row < ROWS; row++) {
            sums[row] = fmaf((float)(upper[row] * 256 + lower[row]), factor * scales[row], sums[row]);
        }
    }

    DEVICE float finish(float sum, const void*, u32) { return sum; }
};

// The scale of the group that a vector of 4-bit weights belongs to.
DEVICE float group_scale(const void* scales, u64 group) { return f16_low(((const u16*)scales)[group]); }

// Takes DEPTH vectors of each row, TEAM apart, all on their way at once.
template <typename Format, int ROWS, int DEPTH, u32 TEAM>
DEVICE void take(float (&sums)[ROWS], const Words* weights, const void* scales, u32 first, u32 at, u32 vectors) {
    Words words[DEPTH][ROWS];
    float of_group[DEPTH][ROWS] = {};
#pragma unroll
    for (int depth = 0; depth < DEPTH; depth++) {
#pragma unroll
        for (int row = 0; row < ROWS; row++) {
            words[depth][row] = load<Keep::ONCE>(weights + (u64)(first + row) * vectors + at + depth * TEAM);
        }
    }
    if constexpr (Format::SCALED) {
#pragma unroll
        for (int depth = 0; depth < DEPTH; depth++) {
#pragma unroll
            for (int row = 0; row < ROWS; row++) {
                of_group[depth][row] = group_scale(scales, ((u64)(first + row) * vectors + at + depth * TEAM) / 4);
            }
        }
    }
#pragma unroll
    for (int depth = 0; depth < DEPTH; depth++) {
        Format::add(sums, words[depth], of_group[depth], at + depth * TEAM, vectors);
    }
}

// TEAM_WARPS warps share ROWS rows at a time.
template <typename Format, int ROWS, u32 TEAM_WARPS>
DEVICE void gemv(const Words* weights, const Words* x, const void* scales, float* results, u32 rows, u32 columns) {
    constexpr u32 TEAM = TEAM_WARPS * WARP, TEAMS = WARPS / TEAM_WARPS;
    constexpr int DEPTH = LOADS / ROWS;
    __shared__ float partial[TEAM_WARPS == 1 ? 1 : WARPS][ROWS];
    const u32 vectors = columns / Format::PER_VECTOR, warp = threadIdx.x / WARP, member = threadIdx.x % TEAM;
    Format::prepare(x, vectors);
    __syncthreads();
    for (u32 block_first = blockIdx.x * TEAMS * ROWS; block_first < rows; block_first += gridDim.x * TEAMS * ROWS) {
        const u32 first = block_first + threadIdx.x / TEAM * ROWS;
        float sums[ROWS] = {};
        if (first < rows) {
            u32 at = member;
#pragma unroll 1
            for (; at + (DEPTH - 1) * TEAM < vectors; at += DEPTH * TEAM) {
                take<Format, ROWS, DEPTH, TEAM>(sums, weights, scales, first, at, vectors);
            }
            if constexpr (DEPTH > 1) {
#pragma unroll 1
                for (; at < vectors; at += TEAM) take<Format, ROWS, 1, TEAM>(sums, weights, scales, first, at, vectors);
            }
        }
#pragma unroll
        for (int row = 0; row < ROWS; row++) sums[row] = sum_over<1, 32>(sums[row]);
        if constexpr (TEAM_WARPS > 1) {
            if (threadIdx.x % WARP == 0) {
#pragma unroll
                for (int row = 0; row < ROWS; row++) partial[warp][row] = sums[row];
            }
            __syncthreads();
#pragma unroll
            for (int row = 0; row < ROWS; row++) {
                sums[row] = 0.0f;
#pragma unroll
                for (u32 other = 0; other < TEAM_WARPS; other++) {
                    sums[row] += partial[warp / TEAM_WARPS * TEAM_WARPS + other][row];
                }
            }
            __syncthreads();
        }
        if (member == 0 && first < rows) {
#pragma unroll
            for (int row = 0; row < ROWS; row++) results[first + row] = Format::finish(sums[row], scales, first + row);
        }
    }
}

// Entry points gemv_<weights>_r<rows>w<warps>: rows at a time, and warps that share them. `rows` is a multiple of 4,
// `columns` one of 256. `scales`: f32 for each row of int8, f16 for each group of int4, null for others.
#define GEMV(name, Format, ROWS, TEAM_WARPS) \
    KERNEL __launch_bounds__(THREADS, Format::BLOCKS) gemv_##name##_r##ROWS##w##TEAM_WARPS( \
        const Words* weights, const Words* x, const void* scales, float* results, u32 rows, u32 columns) { \
        gemv<Format, ROWS, TEAM_WARPS>(weights, x, scales, results, rows, columns); \
    }

#define WITH_SHAPES(name, ...) \
    typedef __VA_ARGS__ name##_format; \
    GEMV(name, name##_format, 1, 1) \
    GEMV(name, name##_format, 2, 1) \
    GEMV(name, name##_format, 4, 1) \
    GEMV(name, name##_format, 4, 4)

WITH_SHAPES(f32, Floats<F32Numbers, F32Numbers>)
WITH_SHAPES(f16, Floats<F16Numbers, F16Numbers>)
WITH_SHAPES(bf16, Floats<Bf16Numbers, Bf16Numbers>)
WITH_SHAPES(fp8, Floats<Fp8Numbers, Bf16Numbers>)
WITH_SHAPES(int8, Int8)
WITH_SHAPES(int4, Int4)
