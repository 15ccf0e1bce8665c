// Matrix products C = A * B^T by Hopper's `wgmma`: A of m rows, B of n rows, both of the same length, summed in 32 bits.
//
// Work: 2 * m * n * length operations; A, B and C moved once where caches keep what is read again. Bound: the issue rate
// of warpgroup multiply-adds where products are large, the bandwidth of what holds B where m is small.
//
// A block stays on its multiprocessor and makes one tile of C after another. One warp fetches: it has strips of A and B,
// 128 bytes of each row, copied to shared memory by tensor maps, as far ahead as there is room. Each of one or two other
// warpgroups multiplies 64 rows by all columns of the tile, while sums of the strip before are still on their way. Who
// fetches and who multiplies tell each other by barriers in shared memory: `full` that a strip has come, `empty` that
// everybody is done with it. Rows beyond the matrices come as zeros. Sums go to memory through shared memory, a warp at a
// time, by tensor maps that leave out what lies beyond C, while the next tile is fetched already.
// Two blocks may make a pair, of tiles one below the other: each fetches a half of their columns of B for both, so that
// half as much of it comes from L2.
// Where there are too few tiles for a device, the length is divided into parts, each summed by itself, and a kernel of
// gemm.cu adds them up.
//
// build: compute_90a, PTX 8.0

#include "words.cuh"

#include "warpgroup.cuh"

// What the driver says of a matrix: where it lies, its sizes, how its strips are laid out (`CUtensorMap`).
struct __align__(64) TensorMap {
    u64 words[16];
};

// Rows of C whose tiles follow one another before the next column of tiles: what they read of B stays in L2.
constexpr u32 ROWS_OF_BAND = 2048;
// Columns of sums that a warp writes at a time, and bytes of them with its 16 rows; two of these are on their way.
constexpr u32 PIECE = 32;
constexpr u32 PIECE_BYTES = 16 * PIECE * 4;
// Registers of a thread that fetches, and of one that multiplies, where there are three warpgroups.
constexpr u32 FEW_REGISTERS = 40;
constexpr u32 MANY_REGISTERS = 232;

// Barriers in shared memory. A phase of one ends when as many have arrived as it was made for, and as many bytes have
// come as were announced.
DEVICE void make_barrier(u32 barrier, u32 arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(barrier), "r"(arrivals) : "memory");
}
DEVICE void arrive(u32 barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(barrier) : "memory");
}
// The same at the barrier that lies there in another block of the cluster.
DEVICE void arrive_at(u32 barrier, u32 rank) {
    asm volatile("{ .reg .u32 there; mapa.shared::cluster.u32 there, %0, %1; "
                 "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [there]; }"
                 :: "r"(barrier), "r"(rank) : "memory");
}
DEVICE void arrive_and_expect(u32 barrier, u32 bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(barrier), "r"(bytes) : "memory");
}
// Waits for the end of the phase of a parity.
DEVICE void wait_for(u32 barrier, u32 parity) {
    u32 done;
    do {
        asm volatile("{ .reg .pred done; mbarrier.try_wait.parity.shared::cta.b64 done, [%1], %2; "
                     "selp.u32 %0, 1, 0, done; }"
                     : "=r"(done) : "r"(barrier), "r"(parity) : "memory");
    } while (done == 0);
}

// Starts the copy of a box of a matrix from a column and a row on, which arrives at a barrier.
DEVICE void fetch(u32 to, const TensorMap& map, u32 column, u32 row, u32 barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
                 :: "r"(to), "l"(&map), "r"(column), "r"(row), "r"(barrier) : "memory");
}
// The same to the same place of several blocks of the cluster, whose barriers there learn of it.
DEVICE void fetch_for(u16 blocks, u32 to, const TensorMap& map, u32 column, u32 row, u32 barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
                 "[%0], [%1, {%2, %3}], [%4], %5;"
                 :: "r"(to), "l"(&map), "r"(column), "r"(row), "r"(barrier), "h"(blocks) : "memory");
}

DEVICE u32 rank_in_cluster() {
    u32 rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}
// Waits for all threads of the cluster.
DEVICE void meet() {
    asm volatile("barrier.cluster.arrive.release; barrier.cluster.wait.acquire;" ::: "memory");
}

// Starts the copy of a box to a matrix of a part, as a group of its own.
DEVICE void send(const TensorMap& map, u32 column, u32 row, u32 part, u32 from) {
    asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%0, {%1, %2, %3}], [%4];"
                 :: "l"(&map), "r"(column), "r"(row), "r"(part), "r"(from) : "memory");
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
// Until what so many groups copy at most has not been read yet.
template <int LEFT> DEVICE void wait_for_sent() {
    asm volatile("cp.async.bulk.wait_group.read %0;" :: "n"(LEFT) : "memory");
}
DEVICE void announce(const TensorMap& map) { asm volatile("prefetch.tensormap [%0];" :: "l"(&map) : "memory"); }

template <u32 REGISTERS> DEVICE void give_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" :: "n"(REGISTERS));
}
template <u32 REGISTERS> DEVICE void take_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" :: "n"(REGISTERS));
}

DEVICE void store_shared(u32 to, u32 first, u32 second) {
    asm volatile("st.shared.v2.u32 [%0], {%1, %2};" :: "r"(to), "r"(first), "r"(second) : "memory");
}

DEVICE u32 bits_of(float sum) { return __float_as_uint(sum); }
DEVICE u32 bits_of(i32 sum) { return (u32)sum; }
// A sum is not looked at before this.
DEVICE void keep(float& sum) { asm volatile("" : "+f"(sum) :: "memory"); }
DEVICE void keep(i32& sum) { asm volatile("" : "+r"(sum) :: "memory"); }

// Operands of an instruction with 64 and with 128 sums.
#define SUMS_64 \
    "{" \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, " \
    "%23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, " \
    "%44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63" \
    "}"
#define SUMS_128 \
    "{" \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, " \
    "%23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, " \
    "%44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, %64, " \
    "%65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, %85, " \
    "%86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, " \
    "%106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, " \
    "%124, %125, %126, %127" \
    "}"
#define EIGHT(s, i) \
    "+" s(d[i]), "+" s(d[i + 1]), "+" s(d[i + 2]), "+" s(d[i + 3]), "+" s(d[i + 4]), "+" s(d[i + 5]), "+" s(d[i + 6]), \
        "+" s(d[i + 7])
#define SIXTY_FOUR(s, i) \
    EIGHT(s, i), EIGHT(s, i + 8), EIGHT(s, i + 16), EIGHT(s, i + 24), EIGHT(s, i + 32), EIGHT(s, i + 40), \
        EIGHT(s, i + 48), EIGHT(s, i + 56)

// What follows the columns in the name of an instruction, the letter of its sums, and what follows after whether to add.
#define STEPS(instruction, s, rest) \
    DEVICE void step(Sum (&d)[64], u64 a, u64 b) { \
        asm volatile("{ .reg .pred adds; setp.ne.u32 adds, %66, 0; wgmma.mma_async.sync.aligned.m64n128" instruction " " \
                     SUMS_64 ", %64, %65, adds" rest "; }" \
                     : SIXTY_FOUR(s, 0) : "l"(a), "l"(b), "r"(1)); \
    } \
    DEVICE void step(Sum (&d)[128], u64 a, u64 b) { \
        asm volatile("{ .reg .pred adds; setp.ne.u32 adds, %130, 0; wgmma.mma_async.sync.aligned.m64n256" instruction \
                     " " SUMS_128 ", %128, %129, adds" rest "; }" \
                     : SIXTY_FOUR(s, 0), SIXTY_FOUR(s, 64) : "l"(a), "l"(b), "r"(1)); \
    }

// Elements of a strip, and its product.
template <u32 N_OF_STRIP, typename S> struct Factors {
    typedef S Sum;
    static constexpr u32 OF_STRIP = N_OF_STRIP;
};
struct F16F32 : Factors<64, float> {
    STEPS("k16.f32.f16.f16", "f", ", 1, 1, 0, 0")
};
struct Bf16F32 : Factors<64, float> {
    STEPS("k16.f32.bf16.bf16", "f", ", 1, 1, 0, 0")
};
struct Fp8F32 : Factors<128, float> {
    STEPS("k32.f32.e4m3.e4m3", "f", ", 1, 1")
};
struct Int8Int32 : Factors<128, i32> {
    STEPS("k32.s32.s8.s8", "r", "")
};

// A block's share of a product: tiles of the parts of the length, every gridDim-th of them. Bands of rows of tiles go
// through C together, BAND of them. Where blocks go in pairs, so do rows of tiles.
template <u32 BAND> struct Work {
    u32 tall, wide, parts, strips, of_part;
    u32 row, column, part, count;

    MEMBER bool at(u32 item) {
        const u32 tiles = tall * wide;
        part = item / tiles;
        const u32 tile = item % tiles, of_band = BAND * wide, band = tile / of_band, within = tile % of_band;
        const u32 height = min(tall - band * BAND, BAND);
        row = band * BAND + within % height;
        column = within / height;
        count = min(strips - part * of_part, of_part);
        return part < parts;
    }
};

// A strip's place among STAGES of them, and the parity of the barriers' phases there.
template <u32 STAGES> struct Ring {
    u32 stage, parity;

    MEMBER void advance() {
        stage++;
        if (stage == STAGES) {
            stage = 0;
            parity ^= 1;
        }
    }
};

// Tiles of TALL by WIDE with STAGES strips in shared memory, by BLOCKS that go together.
template <typename F, u32 TALL, u32 WIDE, u32 STAGES, u32 BLOCKS> struct Product {
    typedef typename F::Sum Sum;
    typedef ::Work<ROWS_OF_BAND / (TALL * BLOCKS)> Work;
    static constexpr u32 GROUPS = TALL / ROWS;
    static constexpr u32 OF_A = TALL * ROW_BYTES, OF_B = WIDE * ROW_BYTES;
    static constexpr u32 SUMS = ROWS * WIDE / GROUP;
    // Where things lie in shared memory. Each warp that multiplies has two pieces of sums of its own.
    static constexpr u32 B = STAGES * OF_A, PIECES = B + STAGES * OF_B;
    static constexpr u32 FULL = PIECES + GROUPS * 4 * 2 * PIECE_BYTES, EMPTY = FULL + STAGES * 8;

    // The row of C that a block's tile begins with.
    MEMBER static u32 first_row(const Work& work, u32 rank) { return (work.row * BLOCKS + rank) * TALL; }

    // Gives a strip back. Each of a warp's first lanes tells a block.
    MEMBER static void give_back(u32 empty, u32 lane) {
        if constexpr (BLOCKS == 1) {
            if (lane == 0) arrive(empty);
        } else if (lane < BLOCKS) {
            arrive_at(empty, lane);
        }
    }

    MEMBER static void fetch_all(u32 base, Work work, const TensorMap& a, const TensorMap& b, u32 first_of_b,
                                 u32 rank) {
        // Everything is empty before the first phase ends.
        Ring<STAGES> ring = {0, 1};
#pragma unroll 1
        for (u32 item = blockIdx.x / BLOCKS; work.at(item); item += gridDim.x / BLOCKS) {
            u32 element = work.part * work.of_part * F::OF_STRIP;
#pragma unroll 1
            for (u32 strip = 0; strip < work.count; strip++) {
                const u32 full = base + FULL + ring.stage * 8;
                wait_for(base + EMPTY + ring.stage * 8, ring.parity);
                arrive_and_expect(full, OF_A + OF_B);
                fetch(base + ring.stage * OF_A, a, element, first_row(work, rank), full);
                const u32 to = base + B + ring.stage * OF_B, row = first_of_b + work.column * WIDE;
                if constexpr (BLOCKS == 1) {
                    fetch(to, b, element, row, full);
                } else {
                    fetch_for((1 << BLOCKS) - 1, to + rank * (OF_B / BLOCKS), b, element, row + rank * (WIDE / BLOCKS),
                              full);
                }
                element += F::OF_STRIP;
                ring.advance();
            }
        }
    }

    MEMBER static void multiply_all(u32 base, Work work, const TensorMap& c, u32 group, u32 rank) {
        const u32 thread = threadIdx.x % GROUP, warp = thread / WARP, lane = thread % WARP;
        const u32 pieces = base + PIECES + (group * 4 + warp) * 2 * PIECE_BYTES;
        Ring<STAGES> ring = {0, 0};
#pragma unroll 1
        for (u32 item = blockIdx.x / BLOCKS; work.at(item); item += gridDim.x / BLOCKS) {
            Sum sums[SUMS];
#pragma unroll
            for (u32 i = 0; i < SUMS; i++) sums[i] = 0;
            u32 before = 0;
#pragma unroll 1
            for (u32 strip = 0; strip < work.count; strip++) {
                wait_for(base + FULL + ring.stage * 8, ring.parity);
                const u64 a = descriptor(base + ring.stage * OF_A + group * ROWS * ROW_BYTES);
                const u64 b = descriptor(base + B + ring.stage * OF_B);
                fence();
#pragma unroll
                for (u32 i = 0; i < ROW_BYTES / 32; i++) F::step(sums, a + i * 2, b + i * 2);
                end_group();
                // The strip before is done with.
                wait<1>();
                if (strip > 0) give_back(before, lane);
                before = base + EMPTY + ring.stage * 8;
                ring.advance();
            }
            wait<0>();
            give_back(before, lane);
#pragma unroll
            for (u32 i = 0; i < SUMS; i++) keep(sums[i]);
            write(c, sums, work.column * WIDE, first_row(work, rank) + group * ROWS + warp * 16, work.part, pieces);
        }
        // Shared memory stays until it has been read.
        if (lane == 0) wait_for_sent<0>();
    }

    // Writes a warp's 16 rows of sums, which lie in shared memory as tensor maps read them: vectors of 16 bytes are
    // exchanged by the number of their row. A lane has two columns of eight in each of two rows; lanes of the third and
    // fourth pair of columns are two times eight columns ahead of the others, so that no two meet in a bank.
    MEMBER static void write(const TensorMap& c, Sum (&sums)[SUMS], u32 column, u32 row, u32 part, u32 pieces) {
        const u32 lane = threadIdx.x % WARP, own_row = lane / 4, far = lane / 2 % 2;
        const u32 to = pieces + own_row * ROW_BYTES + lane % 2 * 8, exchange = far * 64 ^ (far ^ own_row) * 16;
#pragma unroll
        for (u32 piece = 0; piece < WIDE / PIECE; piece++) {
            const u32 buffer = piece % 2 * PIECE_BYTES;
            // What was sent from here the time before last has been read.
            if (lane == 0) wait_for_sent<1>();
            __syncwarp();
#pragma unroll
            for (u32 i = 0; i < PIECE / 8; i++) {
                const u32 near_sums = piece * 16 + i * 4, far_sums = piece * 16 + (i ^ 2) * 4;
                u32 words[4];
#pragma unroll
                for (u32 e = 0; e < 4; e++) words[e] = bits_of(far ? sums[far_sums + e] : sums[near_sums + e]);
                const u32 at = to + buffer + (i * 32 ^ exchange);
                store_shared(at, words[0], words[1]);
                store_shared(at + 8 * ROW_BYTES, words[2], words[3]);
            }
            fence_of_proxies();
            __syncwarp();
            if (lane == 0) send(c, column + piece * PIECE, row, part, pieces + buffer);
        }
    }

    MEMBER static void all(const TensorMap& a, const TensorMap& b, const TensorMap& c, u32 first_of_b, Work work) {
        const u32 base = shared_address(memory), group = threadIdx.x / GROUP;
        const u32 rank = BLOCKS == 1 ? 0 : rank_in_cluster();
        if (threadIdx.x == 0) {
#pragma unroll
            for (u32 i = 0; i < STAGES; i++) {
                make_barrier(base + FULL + i * 8, 1);
                make_barrier(base + EMPTY + i * 8, GROUPS * 4 * BLOCKS);
            }
            asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
        }
        if constexpr (BLOCKS == 1) {
            __syncthreads();
        } else {
            meet();
        }
        if (group == GROUPS) {
            if constexpr (GROUPS > 1) give_registers<FEW_REGISTERS>();
            if (threadIdx.x == GROUPS * GROUP) {
                announce(a);
                announce(b);
                announce(c);
                fetch_all(base, work, a, b, first_of_b, rank);
            }
        } else {
            if constexpr (GROUPS > 1) take_registers<MANY_REGISTERS>();
            multiply_all(base, work, c, group, rank);
        }
        // Nobody leaves while another block may still tell it something.
        if constexpr (BLOCKS > 1) meet();
    }
};

// Entry points. Maps of `a` and `b`: strips of the tile's rows, their vectors exchanged; of `c`: 32 columns of 16 rows of
// a part's sums, likewise. The product is of `rows` rows of A and `columns` rows of B from `first_of_b` on, each of
// `strips` strips of 128 bytes, of which a block sums `of_part`. Any grid of blocks of the tile's threads and one
// warpgroup more. Of pairs the map of `b` has half of the tile's columns, and a grid is of whole pairs.
#define GEMM(format, F, TALL, WIDE, STAGES, BLOCKS, name, attributes) \
    KERNEL attributes __launch_bounds__((TALL / ROWS + 1) * GROUP, 1) gemm_##name##_##format##_##TALL##x##WIDE( \
        const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, const __grid_constant__ TensorMap c, \
        u32 first_of_b, u32 rows, u32 columns, u32 strips, u32 of_part) { \
        const u32 tall = (rows + TALL * BLOCKS - 1) / (TALL * BLOCKS), wide = (columns + WIDE - 1) / WIDE; \
        typedef Product<F, TALL, WIDE, STAGES, BLOCKS> P; \
        P::all(a, b, c, first_of_b, P::Work{tall, wide, (strips + of_part - 1) / of_part, strips, of_part}); \
    }
#define WITH_TILES(format, F) \
    GEMM(format, F, 128, 256, 4, 2, pair, __cluster_dims__(2)) \
    GEMM(format, F, 128, 256, 4, 1, warpgroup, ) \
    GEMM(format, F, 128, 128, 6, 1, warpgroup, ) \
    GEMM(format, F, 64, 128, 8, 1, warpgroup, )

WITH_TILES(f16, F16F32)
WITH_TILES(bf16, Bf16F32)
WITH_TILES(fp8, Fp8F32)
WITH_TILES(int8, Int8Int32)
