// Prefill attention by `mma.sync`: every token of a prompt attends to itself and those before it, GROUP query heads to a
// head of keys and values.
//
// Work: 4 * GROUP * DIM operations for each of context * (context + 1) / 2 pairs of a head of keys and values; queries and
// results moved once. Bound: the issue rate of matrix multiply-adds, beside as many exponentials as pairs.
//
// A block takes some queries of one head, 16 of them a warp, and goes through blocks of keys and values, copied to shared
// memory asynchronously, one ahead. A warp has its queries and results in registers as fragments; scores become the left
// factor of the product with the values without leaving them. Softmax goes along with running maximum and sum, in powers
// of two. Blocks with the most keys begin first. Blocks of keys after a warp's queries are not multiplied with; the rest of the
// one on the diagonal is thrown away: (KEYS - 1) / 2 pairs for each query beside the stated ones.
//
// build: compute_80, PTX 7.4

#include "matrix.cuh"
#include "shared.cuh"

constexpr u32 GROUP = 4;
constexpr u32 DIM = 128;
// Keys at a time, bytes of a row and its vectors, bytes of a block of keys, and of one with its values.
constexpr u32 KEYS = 64;
constexpr u32 ROW = DIM * 2;
constexpr u32 VECTOR = 16;
constexpr u32 VECTORS = ROW / VECTOR;
constexpr u32 BLOCK = KEYS * ROW;
constexpr u32 STAGE = 2 * BLOCK;

constexpr u32 STEPS = DIM / 16;
constexpr u32 OF_KEYS = KEYS / 8, OF_DIM = DIM / 8;

// log2(e) / sqrt(DIM): scores in powers of two.
constexpr float SCALE = 1.4426950408889634f * 0.08838834764831845f;
constexpr float NOTHING = -3.0e38f;

DEVICE float power_of_two(float exponent) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(exponent));
    return power;
}

// Over the four lanes that share rows of a fragment.
DEVICE float largest_of_four(float value) {
    value = fmaxf(value, __shfl_xor_sync(EVERY_WARP_LANE, value, 1));
    return fmaxf(value, __shfl_xor_sync(EVERY_WARP_LANE, value, 2));
}
DEVICE float sum_of_four(float value) {
    value += __shfl_xor_sync(EVERY_WARP_LANE, value, 1);
    return value + __shfl_xor_sync(EVERY_WARP_LANE, value, 2);
}

// Where a vector of a row lies: of eight rows, vectors of one column are in different banks.
DEVICE u32 place(u32 row, u32 vector) { return row * ROW + (vector ^ row % 8) * VECTOR; }

// What a warp has of its 16 queries. A lane's are rows lane / 4 and lane / 4 + 8.
struct Attention {
    u32 queries[STEPS][4];
    float results[OF_DIM][4];
    float tops[2], sums[2];

    MEMBER void begin(const u32* from) {
#pragma unroll
        for (u32 step = 0; step < STEPS; step++) {
#pragma unroll
            for (u32 i = 0; i < 4; i++) queries[step][i] = from[i % 2 * 8 * (ROW / 4) + step * 8 + i / 2 * 4];
        }
#pragma unroll
        for (u32 i = 0; i < OF_DIM * 4; i++) results[i / 4][i % 4] = 0.0f;
        tops[0] = tops[1] = NOTHING;
        sums[0] = sums[1] = 0.0f;
    }

    // Scores of the queries with a block of keys.
    MEMBER void score(float (&scores)[OF_KEYS][4], u32 keys, u32 lane) const {
#pragma unroll
        for (u32 i = 0; i < OF_KEYS * 4; i++) scores[i / 4][i % 4] = 0.0f;
#pragma unroll
        for (u32 step = 0; step < STEPS; step++) {
#pragma unroll
            for (u32 j = 0; j < OF_KEYS; j += 2) {
                u32 first[2], second[2];
                load_fragments(first[0], first[1], second[0], second[1],
                               keys + place(j * 8 + lane % 8 + lane / 16 * 8, step * 2 + lane / 8 % 2));
                Bf16F32::step(scores[j], queries[step], first);
                Bf16F32::step(scores[j + 1], queries[step], second);
            }
        }
    }

    // Turns scores into shares of the sum so far, and everything before into shares of the new one.
    MEMBER void share(float (&scores)[OF_KEYS][4]) {
#pragma unroll
        for (u32 half = 0; half < 2; half++) {
            float top = tops[half];
#pragma unroll
            for (u32 j = 0; j < OF_KEYS; j++) top = fmaxf(top, fmaxf(scores[j][half * 2], scores[j][half * 2 + 1]));
            top = largest_of_four(top);
            const float factor = power_of_two((tops[half] - top) * SCALE), exponent = top * SCALE;
            tops[half] = top;
            float sum = 0.0f;
#pragma unroll
            for (u32 j = 0; j < OF_KEYS; j++) {
#pragma unroll
                for (u32 e = half * 2; e < half * 2 + 2; e++) {
                    scores[j][e] = power_of_two(__fmaf_rn(scores[j][e], SCALE, -exponent));
                    sum += scores[j][e];
                }
            }
            sums[half] = __fmaf_rn(sums[half], factor, sum);
#pragma unroll
            for (u32 c = 0; c < OF_DIM; c++) {
                results[c][half * 2] *= factor;
                results[c][half * 2 + 1] *= factor;
            }
        }
    }

    // Adds a block of values, by their shares.
    MEMBER void add(const float (&shares)[OF_KEYS][4], u32 values, u32 lane) {
#pragma unroll
        for (u32 step = 0; step < KEYS / 16; step++) {
            u32 left[4];
#pragma unroll
            for (u32 i = 0; i < 4; i++) {
                const float (&pair)[4] = shares[step * 2 + i / 2];
                left[i] = bf16_pair(pair[i % 2 * 2], pair[i % 2 * 2 + 1]);
            }
#pragma unroll
            for (u32 c = 0; c < OF_DIM; c += 2) {
                u32 first[2], second[2];
                load_transposed(first[0], first[1], second[0], second[1],
                                values + place(step * 16 + lane % 16, c + lane / 16));
                Bf16F32::step(results[c], left, first);
                Bf16F32::step(results[c + 1], left, second);
            }
        }
    }

    MEMBER void finish(float* to) {
#pragma unroll
        for (u32 half = 0; half < 2; half++) {
            const float factor = 1.0f / sum_of_four(sums[half]);
#pragma unroll
            for (u32 c = 0; c < OF_DIM; c++) {
                float* pair = to + half * 8 * DIM + c * 8;
                asm volatile("st.global.v2.f32 [%0], {%1, %2};"
                             :: "l"(pair), "f"(results[c][half * 2] * factor), "f"(results[c][half * 2 + 1] * factor)
                             : "memory");
            }
        }
    }
};

template <u32 THREADS> DEVICE void copy_block(u32 stage, const u8* keys, const u8* values) {
#pragma unroll
    for (u32 i = 0; i < KEYS * VECTORS / THREADS; i++) {
        const u32 index = threadIdx.x + i * THREADS, to = place(index / VECTORS, index % VECTORS);
        copy_vector(stage + to, keys + index * VECTOR);
        copy_vector(stage + BLOCK + to, values + index * VECTOR);
    }
}

template <u32 WARPS>
DEVICE void prefill(const u8* queries, const u8* keys, const u8* values, float* results, u32 context, u32 heads) {
    constexpr u32 QUERIES = WARPS * 16, THREADS = WARPS * WARP;
    const u32 lane = threadIdx.x % WARP;
    const u32 head = blockIdx.x % heads, tile = context / QUERIES - 1 - blockIdx.x / heads;
    const u32 first = tile * QUERIES + threadIdx.x / WARP * 16;
    const u32 blocks = (tile * QUERIES + QUERIES + KEYS - 1) / KEYS;
    keys += (u64)(head / GROUP) * context * ROW;
    values += (u64)(head / GROUP) * context * ROW;
    const u64 row = (u64)head * context + first + lane / 4;
    const u32 base = shared_address(memory);
    u32 reads = base, writes = base + STAGE;
    copy_block<THREADS>(reads, keys, values);
    end_group();
    Attention attention;
    attention.begin((const u32*)(queries + row * ROW) + lane % 4);
#pragma unroll 1
    for (u32 block = 0; block < blocks; block++) {
        if (block + 1 < blocks) {
            const u64 next = (u64)(block + 1) * BLOCK;
            copy_block<THREADS>(writes, keys + next, values + next);
        }
        end_group();
        // This block has come for every thread.
        wait_for_groups<1>();
        __syncthreads();
        if (block * KEYS < first + 16) {
            float scores[OF_KEYS][4];
            attention.score(scores, reads, lane);
            if (block * KEYS + KEYS > first) {
                const u32 query = first + lane / 4, key = block * KEYS + lane % 4 * 2;
#pragma unroll
                for (u32 j = 0; j < OF_KEYS; j++) {
#pragma unroll
                    for (u32 e = 0; e < 4; e++) {
                        if (key + j * 8 + e % 2 > query + e / 2 * 8) scores[j][e] = NOTHING;
                    }
                }
            }
            attention.share(scores);
            attention.add(scores, reads + BLOCK, lane);
        }
        // Nobody reads any more what the next copy overwrites.
        __syncthreads();
        const u32 read = reads;
        reads = writes;
        writes = read;
    }
    attention.finish(results + row * DIM + lane % 4 * 2);
}

// Entry points. `queries`: `context` rows of DIM bf16 for each of `heads` heads, `keys` and `values` the same for each GROUP of
// them; `results`: as many rows of f32 as queries. A block for each tile of queries of each head; `context` is a multiple
// of KEYS and of the tile.
#define PREFILL(QUERIES) \
    KERNEL __launch_bounds__(QUERIES * 2) prefill_bf16_##QUERIES(const u8* queries, const u8* keys, const u8* values, \
                                                                 float* results, u32 context, u32 heads) { \
        prefill<QUERIES / 16>(queries, keys, values, results, context, heads); \
    }
PREFILL(64)
PREFILL(128)
