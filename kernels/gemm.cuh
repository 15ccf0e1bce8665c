// Matrix products C = A * B^T by `mma.sync`: A of m rows, B of n rows, both of the same length, summed in 32 bits.
//
// Work: 2 * m * n * length operations; A, B and C moved once where caches keep what is read again. Bound: the issue rate
// of matrix multiply-adds where products are large, the bandwidth of what holds B where m is small.
//
// A block makes a tile of C. Strips of A and B, 64 bytes of each row, are copied to shared memory asynchronously, some
// of them ahead; warps take them from there as fragments. The 16-byte vectors of a strip lie so that neither copies nor
// fragments meet in a bank. Rows beyond the matrices are copies of the last one, whose sums are thrown away. Sums go to
// memory through shared memory, so that rows are written in whole lines. Where there are too few tiles for a device, the
// length is divided into parts, each summed by itself, and a second kernel adds them up.

#include "matrix.cuh"
#include "shared.cuh"

// Bytes of a strip, and its vectors.
constexpr u32 STRIP = 64;
constexpr u32 VECTOR = 16;
constexpr u32 VECTORS = STRIP / VECTOR;
// Rows of tiles that follow one another before the next column of tiles: what they read of B stays in L2.
constexpr u32 BAND = 8;

DEVICE u32 bits_of(float sum) { return __float_as_uint(sum); }
DEVICE u32 bits_of(i32 sum) { return (u32)sum; }

// Where a vector of a row lies in a strip: of eight rows, vectors of one column are in different banks.
DEVICE u32 place(u32 row, u32 vector) { return row * STRIP + ((vector ^ (row / 2 % VECTORS)) * VECTOR); }

// A tile of TALL by WIDE, made by warps of OWN_TALL by OWN_WIDE each, with STAGES strips in shared memory.
template <typename M, u32 TALL, u32 WIDE, u32 OWN_TALL, u32 OWN_WIDE, u32 STAGES> struct Product {
    static constexpr u32 ACROSS = WIDE / OWN_WIDE;
    static constexpr u32 THREADS = TALL / OWN_TALL * ACROSS * WARP;
    static constexpr u32 STAGE = (TALL + WIDE) * STRIP;
    // Fragments of a warp, steps of a strip, and vectors of A and of B that a thread copies.
    static constexpr u32 TALL_FRAGMENTS = OWN_TALL / 16, WIDE_FRAGMENTS = OWN_WIDE / 8;
    static constexpr u32 STEPS = STRIP / 32;
    static constexpr u32 OF_A = (TALL * VECTORS + THREADS - 1) / THREADS, OF_B = WIDE * VECTORS / THREADS;
    // Bytes from one row of a warp's own 16 to the next, where sums are laid out: eight words more than they have.
    static constexpr u32 PITCH = (OWN_WIDE + 8) * 4;

    static_assert(THREADS / WARP * 16 * PITCH <= STAGES * STAGE, "sums have room where strips were");
    static_assert(WIDE * VECTORS % THREADS == 0, "every thread copies as many vectors of B");
    static_assert(OWN_WIDE % 16 == 0, "fragments of B come in pairs");

    const u8 *a, *b;
    u32 at_a[OF_A], at_b[OF_B], to_a[OF_A], to_b[OF_B];
    typename M::Sum sums[TALL_FRAGMENTS][WIDE_FRAGMENTS][M::D];

    // Offsets of a thread's vectors in the matrices, and in a stage.
    MEMBER void begin(u32 first_row, u32 rows, u32 first_column, u32 columns, u32 row_bytes) {
#pragma unroll
        for (u32 i = 0; i < OF_A; i++) {
            const u32 index = threadIdx.x + i * THREADS, row = index / VECTORS, vector = index % VECTORS;
            at_a[i] = min(first_row + row, rows - 1) * row_bytes + vector * VECTOR;
            to_a[i] = place(row, vector);
        }
#pragma unroll
        for (u32 i = 0; i < OF_B; i++) {
            const u32 index = threadIdx.x + i * THREADS, row = index / VECTORS, vector = index % VECTORS;
            at_b[i] = min(first_column + row, columns - 1) * row_bytes + vector * VECTOR;
            to_b[i] = TALL * STRIP + place(row, vector);
        }
#pragma unroll
        for (u32 i = 0; i < TALL_FRAGMENTS * WIDE_FRAGMENTS; i++) {
#pragma unroll
            for (u32 e = 0; e < M::D; e++) sums[i / WIDE_FRAGMENTS][i % WIDE_FRAGMENTS][e] = 0;
        }
    }

    // Starts the copy of the next strip.
    MEMBER void copy(u32 stage) {
#pragma unroll
        for (u32 i = 0; i < OF_A; i++) {
            if (TALL * VECTORS % THREADS == 0 || threadIdx.x + i * THREADS < TALL * VECTORS) {
                copy_vector(stage + to_a[i], a + at_a[i]);
            }
        }
#pragma unroll
        for (u32 i = 0; i < OF_B; i++) copy_vector(stage + to_b[i], b + at_b[i]);
        a += STRIP;
        b += STRIP;
    }

    // Multiplies the strips of a stage.
    MEMBER void multiply(u32 stage, u32 first_row, u32 first_column) {
        const u32 lane = threadIdx.x % WARP;
#pragma unroll
        for (u32 step = 0; step < STEPS; step++) {
            u32 left[TALL_FRAGMENTS][4], right[WIDE_FRAGMENTS][2];
#pragma unroll
            for (u32 i = 0; i < TALL_FRAGMENTS; i++) {
                const u32 row = first_row + i * 16 + lane % 16, vector = step * 2 + lane / 16;
                load_fragments(left[i][0], left[i][1], left[i][2], left[i][3], stage + place(row, vector));
            }
#pragma unroll
            for (u32 j = 0; j < WIDE_FRAGMENTS; j += 2) {
                const u32 row = first_column + j * 8 + lane % 8 + lane / 16 * 8, vector = step * 2 + lane / 8 % 2;
                load_fragments(right[j][0], right[j][1], right[j + 1][0], right[j + 1][1],
                               stage + TALL * STRIP + place(row, vector));
            }
#pragma unroll
            for (u32 i = 0; i < TALL_FRAGMENTS; i++) {
#pragma unroll
                for (u32 j = 0; j < WIDE_FRAGMENTS; j++) M::step(sums[i][j], left[i], right[j]);
            }
        }
    }

    // Writes a warp's sums, 16 rows at a time, through its own shared memory.
    MEMBER void finish(u32* c, u32 own, u32 first_row, u32 rows, u32 first_column, u32 columns) const {
        constexpr u32 OF_ROW = OWN_WIDE / 4;
        const u32 lane = threadIdx.x % WARP;
#pragma unroll
        for (u32 i = 0; i < TALL_FRAGMENTS; i++) {
#pragma unroll
            for (u32 j = 0; j < WIDE_FRAGMENTS; j++) {
                const u32 to = own + lane / 4 * PITCH + (j * 8 + lane % 4 * 2) * 4;
                store_shared(to, bits_of(sums[i][j][0]), bits_of(sums[i][j][1]));
                store_shared(to + 8 * PITCH, bits_of(sums[i][j][2]), bits_of(sums[i][j][3]));
            }
            __syncwarp();
#pragma unroll
            for (u32 at = 0; at < 16 * OF_ROW / WARP; at++) {
                const u32 index = at * WARP + lane, row = index / OF_ROW, column = index % OF_ROW * 4;
                const Words words = load_shared(own + row * PITCH + column * 4);
                if (first_row + i * 16 + row < rows && first_column + column < columns) {
                    store((Words*)(c + (u64)(first_row + i * 16 + row) * columns + first_column + column), words);
                }
            }
            __syncwarp();
        }
    }
};

// The tile of a block: bands of rows of tiles, and in a band column by column.
struct Position {
    u32 row, column;
};

DEVICE Position position(u32 tile, u32 tall, u32 wide) {
    const u32 of_band = BAND * wide, band = tile / of_band, within = tile % of_band;
    const u32 height = min(tall - band * BAND, BAND);
    return {band * BAND + within % height, within / height};
}

template <typename M, u32 TALL, u32 WIDE, u32 OWN_TALL, u32 OWN_WIDE, u32 STAGES>
DEVICE void gemm(const u8* a, const u8* b, u32* c, u32 rows, u32 columns, u32 strips, u32 of_part) {
    typedef Product<M, TALL, WIDE, OWN_TALL, OWN_WIDE, STAGES> P;
    const u32 tall = (rows + TALL - 1) / TALL, wide = (columns + WIDE - 1) / WIDE;
    const u32 part = blockIdx.x / (tall * wide);
    const Position at = position(blockIdx.x % (tall * wide), tall, wide);
    const u32 first_strip = part * of_part, count = min(strips - first_strip, of_part);
    const u32 warp = threadIdx.x / WARP;
    const u32 own_row = warp / P::ACROSS * OWN_TALL, own_column = warp % P::ACROSS * OWN_WIDE;
    const u32 base = shared_address(memory);
    P product;
    product.begin(at.row * TALL, rows, at.column * WIDE, columns, strips * STRIP);
    product.a = a + (u64)first_strip * STRIP;
    product.b = b + (u64)first_strip * STRIP;
#pragma unroll
    for (u32 stage = 0; stage < STAGES - 1; stage++) {
        if (stage < count) product.copy(base + stage * P::STAGE);
        end_group();
    }
    u32 reads = base, writes = base + (STAGES - 1) * P::STAGE;
#pragma unroll 1
    for (u32 strip = 0; strip < count; strip++) {
        // The oldest strip has come for every thread, and nobody reads any more what the next copy overwrites.
        wait_for_groups<STAGES - 2>();
        __syncthreads();
        if (strip + STAGES - 1 < count) product.copy(writes);
        end_group();
        product.multiply(reads, own_row, own_column);
        writes = reads;
        reads = reads == base + (STAGES - 1) * P::STAGE ? base : reads + P::STAGE;
    }
    wait_for_groups<0>();
    __syncthreads();
    const u32 own = base + warp * 16 * P::PITCH;
    product.finish(c + (u64)part * rows * columns, own, at.row * TALL + own_row, rows, at.column * WIDE + own_column,
                   columns);
}

// Entry points. `a`: `rows` rows, `b`: `columns` rows, each of `strips` * 64 bytes. `c`: 32 bits for each sum, row by row,
// one matrix after another for each part of `of_part` strips. `columns` is a multiple of four. A block for each tile of
// each part.
#define GEMM(format, M, TALL, WIDE, OWN_TALL, OWN_WIDE, STAGES) \
    KERNEL __launch_bounds__(TALL / OWN_TALL * (WIDE / OWN_WIDE) * 32) gemm_##format##_##TALL##x##WIDE( \
        const u8* a, const u8* b, u32* c, u32 rows, u32 columns, u32 strips, u32 of_part) { \
        gemm<M, TALL, WIDE, OWN_TALL, OWN_WIDE, STAGES>(a, b, c, rows, columns, strips, of_part); \
    }
#define WITH_TILES(format, M) \
    GEMM(format, M, 128, 256, 64, 64, 4) \
    GEMM(format, M, 128, 128, 64, 32, 4) \
    GEMM(format, M, 64, 64, 32, 32, 4) \
    GEMM(format, M, 16, 128, 16, 32, 4)
