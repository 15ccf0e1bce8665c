// Streaming kernels over f32 arrays: read, write, copy, scale, add, triad.
//
// Work per element: 4 bytes for each array touched (read 1, write 1, copy 2, scale 2, add 3, triad 3), 0 to 2
// operations (scale and add 1, triad 2); a read stores one word more for each thread. Bound: the bandwidth of what
// holds the arrays.
//
// A block takes chunks of THREADS * N vectors of 16 bytes, N of them to a thread and all of these on their way at once,
// and goes on with the chunk that lies a grid further. With several passes in one launch, every pass deals the chunks
// out anew: what a block comes back to was last in another multiprocessor.
//
// build: compute_70, PTX 7.4

#include "words.cuh"

// Threads of a block: known to the compiler, so that loads differ by constants and addresses take no registers.
constexpr u32 THREADS = 256;

// Blocks that must fit a multiprocessor, so that there are registers for some vectors of a thread at once. Told
// nothing, the assembler saves registers by waiting between loads.
DEVICE constexpr u32 blocks(int vectors) { return vectors > 8 ? 2 : 4; }

// A power of two, so that it makes no difference whether a multiply-add rounds once or twice.
constexpr float FACTOR = 0.5f;

// Calls `body.take<vectors at once>(first of them)` until all vectors had their turn, once in every pass. Vectors that
// a thread has at once lie THREADS apart.
template <int N, typename Body> DEVICE void walk(u64 vectors, u32 passes, u32 shift, Body& body) {
    constexpr u64 CHUNK = THREADS * N;
    u32 block = blockIdx.x;
    for (u32 pass = 0; pass < passes; pass++) {
        for (u64 first = block * CHUNK; first < vectors; first += gridDim.x * CHUNK) {
            u64 at = first + threadIdx.x;
            if (first + CHUNK <= vectors) {
                body.template take<N>(at);
            } else {
                for (; at < vectors; at += THREADS) body.template take<1>(at);
            }
        }
        block += shift;
        if (block >= gridDim.x) block -= gridDim.x;
    }
}

// Loads all at once, then adds the words up.
template <Keep KEEP, int N> DEVICE u32 sum_of(const Words* from) {
    Words words[N];
#pragma unroll
    for (int i = 0; i < N; i++) words[i] = load<KEEP>(from + i * THREADS);
    u32 sum = 0;
#pragma unroll
    for (int i = 0; i < N; i++) sum += words[i].x + words[i].y + words[i].z + words[i].w;
    return sum;
}

// The wrapping sum of all words that a thread loads.
template <Keep KEEP> struct Read {
    const Words* a;
    u32 sum;

    template <int M> MEMBER void take(u64 at) { sum += sum_of<KEEP, M>(a + at); }
};

template <Keep KEEP, int N> DEVICE void read(const Words* a, u32* sums, u64 vectors, u32 passes, u32 shift) {
    Read<KEEP> body = {a, 0};
    walk<N>(vectors, passes, shift, body);
    sums[(u64)blockIdx.x * THREADS + threadIdx.x] = body.sum;
}

// Every block reads a slice of its own again and again, which is in its multiprocessor's L1 from the second pass on.
template <int N> DEVICE void read_near(const Words* a, u32* sums, u32 slice, u32 passes) {
    const Words *own = a + (u64)blockIdx.x * slice, *end = own + slice;
    u32 sum = 0;
#pragma unroll 1
    for (u32 pass = 0; pass < passes; pass++) {
        const Words* at = own + threadIdx.x;
#pragma unroll 1
        for (; at + (N - 1) * THREADS < end; at += N * THREADS) sum += sum_of<Keep::NEAR, N>(at);
#pragma unroll 1
        for (; at < end; at += THREADS) sum += sum_of<Keep::NEAR, 1>(at);
    }
    sums[(u64)blockIdx.x * THREADS + threadIdx.x] = sum;
}

// Operators, element by element.
struct Write {
    static constexpr bool needs_a = false, needs_b = false;
    DEVICE float of(float, float) { return FACTOR; }
};
struct Copy {
    static constexpr bool needs_a = true, needs_b = false;
    DEVICE float of(float a, float) { return a; }
};
struct Scale {
    static constexpr bool needs_a = true, needs_b = false;
    DEVICE float of(float a, float) { return a * FACTOR; }
};
struct Add {
    static constexpr bool needs_a = true, needs_b = true;
    DEVICE float of(float a, float b) { return a + b; }
};
struct Triad {
    static constexpr bool needs_a = true, needs_b = true;
    DEVICE float of(float a, float b) { return a * FACTOR + b; }
};

template <typename Op> DEVICE u32 apply(u32 a, u32 b) {
    return __float_as_uint(Op::of(__uint_as_float(a), __uint_as_float(b)));
}

// c = op(a, b). Arrays that the operator does not take are not touched.
template <typename Op> struct Transform {
    const Words *a, *b;
    Words* c;

    template <int M> MEMBER void take(u64 at) {
        Words x[M] = {}, y[M] = {};
#pragma unroll
        for (int i = 0; i < M; i++) {
            if constexpr (Op::needs_a) x[i] = load<Keep::ONCE>(a + at + i * THREADS);
            if constexpr (Op::needs_b) y[i] = load<Keep::ONCE>(b + at + i * THREADS);
        }
#pragma unroll
        for (int i = 0; i < M; i++) {
            store(c + at + i * THREADS, {apply<Op>(x[i].x, y[i].x), apply<Op>(x[i].y, y[i].y),
                                         apply<Op>(x[i].z, y[i].z), apply<Op>(x[i].w, y[i].w)});
        }
    }
};

template <typename Op, int N>
DEVICE void transform(const Words* a, const Words* b, Words* c, u64 vectors, u32 passes, u32 shift) {
    Transform<Op> body = {a, b, c};
    walk<N>(vectors, passes, shift, body);
}

// Entry points, by the number of vectors that a thread has on their way at once.
//
// read_x*, read_once_x*: `sums` has a word for each thread of the grid; `shift`, below gridDim, is by how many blocks a
// pass is ahead of the one before it. read_x* goes past L1, for L2 and device memory; read_once_x* takes the path of
// constants and asks L1 to keep nothing. read_near_x*: `slice` vectors for each block. write_x* ... triad_x*: `c` is written; `a` and `b` are read
// by those that need them.
#define READ(name, KEEP, N) \
    KERNEL __launch_bounds__(THREADS, blocks(N)) \
    name##_x##N(const Words* a, u32* sums, u64 vectors, u32 passes, u32 shift) { \
        read<KEEP, N>(a, sums, vectors, passes, shift); \
    }

#define READ_NEAR(N) \
    KERNEL __launch_bounds__(THREADS, blocks(N)) \
    read_near_x##N(const Words* a, u32* sums, u32 slice, u32 passes) { \
        read_near<N>(a, sums, slice, passes); \
    }

#define TRANSFORM(name, Op, N) \
    KERNEL __launch_bounds__(THREADS, blocks(N * (Op::needs_a + Op::needs_b))) \
    name##_x##N(const Words* a, const Words* b, Words* c, u64 vectors, u32 passes, u32 shift) { \
        transform<Op, N>(a, b, c, vectors, passes, shift); \
    }

#define WITH_IN_FLIGHT(N) \
    READ(read, Keep::FAR, N) \
    TRANSFORM(write, Write, N) \
    TRANSFORM(copy, Copy, N) \
    TRANSFORM(scale, Scale, N) \
    TRANSFORM(add, Add, N) \
    TRANSFORM(triad, Triad, N)

WITH_IN_FLIGHT(1)
WITH_IN_FLIGHT(2)
WITH_IN_FLIGHT(4)
WITH_IN_FLIGHT(8)
READ(read_once, Keep::ONCE, 4)
READ(read_once, Keep::ONCE, 8)
READ_NEAR(2)
READ_NEAR(4)
READ_NEAR(8)
