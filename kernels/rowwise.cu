// Operators on rows of activations: softmax, RMSNorm, silu(gate) * up, rotary embedding, residual addition, gather.
//
// Work per element of the result: one element loaded (two for silu_mul and add), one stored, up to five operations (see
// `RowwiseOp::flops`). Bound: the bandwidth of what holds the rows. A block takes a row, of which every thread keeps
// its share in registers, so that each byte is loaded and stored once.
//
// build: compute_70, PTX 7.4
// build: compute_80, PTX 7.4

#include "words.cuh"

// Elements of a row, and of a head whose halves are turned against each other.
constexpr u32 ROW = 4096;
constexpr u32 HEAD = 128;

// What a norm adds to the mean square.
constexpr float EPSILON = 1e-6f;

// What every operator gets: arrays whose rows are ROW elements, a table, the positions after which angles repeat, and
// shared memory.
struct Arguments {
    Words* a;
    const Words* b;
    Words* c;
    const Words* table;
    u32 period;
    float* partial;
};

// Sums and maxima over a block; all threads get the result. `partial` has a place for each warp.
template <u32 THREADS> DEVICE float block_sum(float value, float* partial) {
    value = sum_over<1, 32>(value);
    __syncthreads();
    if (threadIdx.x % WARP == 0) partial[threadIdx.x / WARP] = value;
    __syncthreads();
    float total = 0.0f;
#pragma unroll
    for (u32 warp = 0; warp < THREADS / WARP; warp++) total += partial[warp];
    return total;
}

template <u32 THREADS> DEVICE float block_max(float value, float* partial) {
    value = max_over<1, 32>(value);
    __syncthreads();
    if (threadIdx.x % WARP == 0) partial[threadIdx.x / WARP] = value;
    __syncthreads();
    float largest = partial[0];
#pragma unroll
    for (u32 warp = 1; warp < THREADS / WARP; warp++) largest = fmaxf(largest, partial[warp]);
    return largest;
}

// The share of a thread: SHARE vectors of N numbers, THREADS apart.
template <typename Numbers, u32 THREADS> struct Share {
    static constexpr u32 N = Numbers::PER_VECTOR;
    static constexpr u32 VECTORS = ROW / N;
    static constexpr u32 SHARE = VECTORS / THREADS;
    float numbers[SHARE][N];

    MEMBER void load_from(const Words* row) {
        Words words[SHARE];
#pragma unroll
        for (u32 at = 0; at < SHARE; at++) words[at] = load<Keep::CHANGED>(row + threadIdx.x + at * THREADS);
#pragma unroll
        for (u32 at = 0; at < SHARE; at++) widen<Numbers>(words[at], numbers[at]);
    }

    MEMBER void store_to(Words* row) const {
#pragma unroll
        for (u32 at = 0; at < SHARE; at++) store(row + threadIdx.x + at * THREADS, narrow<Numbers>(numbers[at]));
    }
};

// Every number of a share, with its place.
#define FOR_EACH(at, i) \
    _Pragma("unroll") for (u32 at = 0; at < S::SHARE; at++) \
        _Pragma("unroll") for (u32 i = 0; i < S::N; i++)

// a = exp(a), scaled to the sum 1.
struct Softmax {
    template <typename Numbers, u32 THREADS> DEVICE void apply(const Arguments& arguments, u32 row) {
        typedef Share<Numbers, THREADS> S;
        Words* place = arguments.a + (u64)row * S::VECTORS;
        S x;
        x.load_from(place);
        float largest = x.numbers[0][0];
        FOR_EACH(at, i) largest = fmaxf(largest, x.numbers[at][i]);
        largest = block_max<THREADS>(largest, arguments.partial);
        float sum = 0.0f;
        FOR_EACH(at, i) sum += x.numbers[at][i] = __expf(x.numbers[at][i] - largest);
        const float factor = __fdividef(1.0f, block_sum<THREADS>(sum, arguments.partial));
        FOR_EACH(at, i) x.numbers[at][i] *= factor;
        x.store_to(place);
    }
};

// c = a, scaled to the root mean square 1, times the table's weights.
struct RmsNorm {
    template <typename Numbers, u32 THREADS> DEVICE void apply(const Arguments& arguments, u32 row) {
        typedef Share<Numbers, THREADS> S;
        S x;
        x.load_from(arguments.a + (u64)row * S::VECTORS);
        float sum = 0.0f;
        FOR_EACH(at, i) sum = fmaf(x.numbers[at][i], x.numbers[at][i], sum);
        const float factor = rsqrtf(block_sum<THREADS>(sum, arguments.partial) * (1.0f / ROW) + EPSILON);
#pragma unroll
        for (u32 at = 0; at < S::SHARE; at++) {
            float weights[S::N];
            load_floats(arguments.table + (threadIdx.x + at * THREADS) * (S::N / 4), weights);
#pragma unroll
            for (u32 i = 0; i < S::N; i++) x.numbers[at][i] *= factor * weights[i];
        }
        x.store_to(arguments.c + (u64)row * S::VECTORS);
    }
};

// c = silu(a) * b.
struct SiluMul {
    template <typename Numbers, u32 THREADS> DEVICE void apply(const Arguments& arguments, u32 row) {
        typedef Share<Numbers, THREADS> S;
        S gate, up;
        gate.load_from(arguments.a + (u64)row * S::VECTORS);
        up.load_from(arguments.b + (u64)row * S::VECTORS);
        FOR_EACH(at, i) {
            const float x = gate.numbers[at][i];
            gate.numbers[at][i] = __fdividef(x, 1.0f + __expf(-x)) * up.numbers[at][i];
        }
        gate.store_to(arguments.c + (u64)row * S::VECTORS);
    }
};

// a = a + b.
struct Add {
    template <typename Numbers, u32 THREADS> DEVICE void apply(const Arguments& arguments, u32 row) {
        typedef Share<Numbers, THREADS> S;
        Words* place = arguments.a + (u64)row * S::VECTORS;
        S x, y;
        x.load_from(place);
        y.load_from(arguments.b + (u64)row * S::VECTORS);
        FOR_EACH(at, i) x.numbers[at][i] += y.numbers[at][i];
        x.store_to(place);
    }
};

// The heads of a, turned by the angles of the row's position: the table has cosines for half a head, then sines.
struct Rope {
    template <typename Numbers, u32 THREADS> DEVICE void apply(const Arguments& arguments, u32 row) {
        typedef Share<Numbers, THREADS> S;
        constexpr u32 HALF = HEAD / 2 / S::N;
        const Words* angles = arguments.table + (u64)(row % arguments.period) * (HEAD / 4);
        Words* base = arguments.a + (u64)row * S::VECTORS;
#pragma unroll
        for (u32 pair = threadIdx.x; pair < S::VECTORS / 2; pair += THREADS) {
            Words* place = base + pair / HALF * (2 * HALF) + pair % HALF;
            const Words first = load<Keep::CHANGED>(place), second = load<Keep::CHANGED>(place + HALF);
            float x[S::N], y[S::N], cosines[S::N], sines[S::N];
            load_floats(angles + pair % HALF * (S::N / 4), cosines);
            load_floats(angles + pair % HALF * (S::N / 4) + HEAD / 8, sines);
            widen<Numbers>(first, x);
            widen<Numbers>(second, y);
#pragma unroll
            for (u32 i = 0; i < S::N; i++) {
                const float before = x[i];
                x[i] = before * cosines[i] - y[i] * sines[i];
                y[i] = y[i] * cosines[i] + before * sines[i];
            }
            store(place, narrow<Numbers>(x));
            store(place + HALF, narrow<Numbers>(y));
        }
    }
};

// c = rows of a from all over the place: the table says which, as u32.
struct Gather {
    template <typename Numbers, u32 THREADS> DEVICE void apply(const Arguments& arguments, u32 row) {
        typedef Share<Numbers, THREADS> S;
        const Words* from = arguments.a + (u64)((const u32*)arguments.table)[row] * S::VECTORS + threadIdx.x;
        Words* to = arguments.c + (u64)row * S::VECTORS + threadIdx.x;
        Words words[S::SHARE];
#pragma unroll
        for (u32 at = 0; at < S::SHARE; at++) words[at] = load<Keep::ONCE>(from + at * THREADS);
#pragma unroll
        for (u32 at = 0; at < S::SHARE; at++) store(to + at * THREADS, words[at]);
    }
};

template <typename Operator, typename Numbers, u32 THREADS>
DEVICE void rowwise(Words* a, const Words* b, Words* c, const Words* table, u32 rows, u32 period) {
    __shared__ float partial[THREADS / WARP];
    const Arguments arguments = {a, b, c, table, period, partial};
    for (u32 row = blockIdx.x; row < rows; row += gridDim.x) {
        Operator::template apply<Numbers, THREADS>(arguments, row);
    }
}

// Entry points <operator>_<format>_t<threads of a block>. Arrays that an operator does not need may be null.
#define ROWWISE(name, Operator, format, Numbers, THREADS) \
    KERNEL __launch_bounds__(THREADS, 768 / THREADS) name##_##format##_t##THREADS( \
        Words* a, const Words* b, Words* c, const Words* table, u32 rows, u32 period) { \
        rowwise<Operator, Numbers, THREADS>(a, b, c, table, rows, period); \
    }

#define WITH_THREADS(name, Operator, format, Numbers) \
    ROWWISE(name, Operator, format, Numbers, 128) \
    ROWWISE(name, Operator, format, Numbers, 256) \
    ROWWISE(name, Operator, format, Numbers, 512)

#define WITH_FORMATS(name, Operator) \
    WITH_THREADS(name, Operator, f32, F32Numbers) \
    WITH_THREADS(name, Operator, f16, F16Numbers) \
    WITH_THREADS(name, Operator, bf16, Bf16Numbers)

WITH_FORMATS(softmax, Softmax)
WITH_FORMATS(rmsnorm, RmsNorm)
WITH_FORMATS(silu_mul, SiluMul)
WITH_FORMATS(rope, Rope)
WITH_FORMATS(add, Add)
WITH_FORMATS(gather, Gather)
