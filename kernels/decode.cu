// Decode attention: the queries of one new token over the keys and values of all tokens before it, GROUP query heads to
// a head of keys and values.
//
// Work: 4 * GROUP * DIM * context operations for each head of keys and values; each key and value loaded once, with its
// scale where the format has one. Bound: the bandwidth of what holds the cache. An H200 brings 18.4 bytes of it per
// multiprocessor and cycle, for which it has 128 lanes' instructions: f16 and bf16 take half of them, int8 80 %, and
// fp8, which is widened and multiplied element by element, as good as all.
//
// A block takes a stretch of one head's tokens. As many lanes as a token has vectors take it together; a lane keeps its
// part of all GROUP queries and results in registers, and takes STEPS tokens at a time. Scores are added up over the
// lanes so that each lane ends with different ones: exponentials are taken once. Softmax goes along with running
// maximum and sum, in powers of two. Where a head has several stretches, a second kernel puts them together.
//
// build: compute_70, PTX 7.4
// build: compute_89, PTX 8.1

#include "words.cuh"

constexpr u32 GROUP = 4;
constexpr u32 DIM = 128;
constexpr u32 THREADS = 128;
constexpr u32 WARPS = THREADS / WARP;

// Tokens that a lane has on their way at once, and scores that come of them.
constexpr u32 STEPS = 4;
constexpr u32 SCORES = STEPS * GROUP;

constexpr float LOG2_E = 1.4426950408889634f;
constexpr float NOTHING = -3.0e38f;

// The largest score of a query, and the sum of powers of two of the others, relative to it.
struct __align__(8) Weight {
    float top, sum;
};

DEVICE float power_of_two(float exponent) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(exponent));
    return power;
}

// One of two values. Told in C++, the compiler makes branches of it, with the exchanges between lanes in both of them.
DEVICE float select(u32 condition, float yes, float no) {
    float value;
    asm("{ .reg .pred p; setp.ne.u32 p, %1, 0; selp.f32 %0, %2, %3, p; }"
        : "=f"(value) : "r"(condition), "f"(yes), "f"(no));
    return value;
}

DEVICE i32 select(u32 condition, i32 yes, i32 no) {
    i32 value;
    asm("{ .reg .pred p; setp.ne.u32 p, %1, 0; selp.b32 %0, %2, %3, p; }"
        : "=r"(value) : "r"(condition), "r"(yes), "r"(no));
    return value;
}

// Adds COUNT values up over two lanes that differ in BIT: each keeps half of them.
template <int COUNT, int BIT, typename Score> DEVICE void fold(Score (&values)[SCORES], u32 lane) {
    const u32 upper = lane & BIT;
#pragma unroll
    for (int i = 0; i < COUNT / 2; i++) {
        const Score low = values[i], high = values[i + COUNT / 2];
        values[i] = select(upper, high, low) + __shfl_xor_sync(EVERY_WARP_LANE, select(upper, low, high), BIT);
    }
}

// A lane's part of the queries, N elements of each, for keys in floating point.
template <typename Numbers> struct FloatQueries {
    static constexpr u32 N = Numbers::PER_VECTOR;
    typedef float Score;
    float queries[GROUP][N];

    MEMBER void begin(const float (&numbers)[GROUP][N]) {
#pragma unroll
        for (u32 head = 0; head < GROUP; head++) {
#pragma unroll
            for (u32 i = 0; i < N; i++) queries[head][i] = numbers[head][i] * (LOG2_E * Numbers::FACTOR);
        }
    }

    MEMBER void score(Words key, Score* scores) const {
        float numbers[N];
        widen<Numbers>(key, numbers);
#pragma unroll
        for (u32 head = 0; head < GROUP; head++) {
            float score = 0.0f;
#pragma unroll
            for (u32 i = 0; i < N; i++) score = fmaf(numbers[i], queries[head][i], score);
            scores[head] = score;
        }
    }

    MEMBER float finish(Score score) const { return score; }
};

// The same for keys of 8 bits: queries are integers of 16 bits with a factor for all of them, and scores are exact
// until they are added up.
struct IntegerQueries {
    static constexpr u32 N = Int8Numbers::PER_VECTOR;
    typedef i32 Score;
    u32 high[GROUP][N / 4], low[GROUP][N / 4];
    float factor;

    MEMBER void begin(const float (&numbers)[GROUP][N]) {
        float largest = 0.0f;
#pragma unroll
        for (u32 head = 0; head < GROUP; head++) {
#pragma unroll
            for (u32 i = 0; i < N; i++) largest = fmaxf(largest, fabsf(numbers[head][i]));
        }
        const Integers integers = Integers::up_to(max_over<1, DIM / N>(largest));
        factor = integers.factor * LOG2_E;
#pragma unroll
        for (u32 head = 0; head < GROUP; head++) {
#pragma unroll
            for (u32 i = 0; i < N; i += 4) {
                const i32 four[4] = {integers.of(numbers[head][i]), integers.of(numbers[head][i + 1]),
                                     integers.of(numbers[head][i + 2]), integers.of(numbers[head][i + 3])};
                high[head][i / 4] = high_bytes(four);
                low[head][i / 4] = low_bytes(four);
            }
        }
    }

    MEMBER void score(Words key, Score* scores) const {
#pragma unroll
        for (u32 head = 0; head < GROUP; head++) {
            scores[head] = dot_of(key, high[head], low[head]);
        }
    }

    MEMBER float finish(Score score) const { return (float)score * factor; }
};

template <typename Numbers, typename Queries, bool SCALED> struct Attention {
    static constexpr u32 N = Numbers::PER_VECTOR;
    static constexpr u32 LANES = DIM / N;
    static constexpr u32 TEAMS = WARP / LANES;
    static constexpr u32 TOKENS = TEAMS * STEPS;
    // Scores that a lane ends with, of neighbouring queries and the same token.
    static constexpr u32 KEPT = SCORES / LANES;

    u32 lane, part, team;
    Queries queries;
    float results[GROUP][N];
    float top[KEPT], sum[KEPT];

    // A value that the lane of some score has, of those of the same team.
    MEMBER float of_score(const float (&values)[KEPT], u32 score) const {
        return __shfl_sync(EVERY_WARP_LANE, values[score % KEPT], score / KEPT, LANES);
    }

    MEMBER void begin(const Words* query) {
        lane = threadIdx.x % WARP;
        part = lane % LANES;
        team = lane / LANES;
        float numbers[GROUP][N];
#pragma unroll
        for (u32 head = 0; head < GROUP; head++) {
            load_floats(query + (head * DIM + part * N) / 4, numbers[head]);
#pragma unroll
            for (u32 i = 0; i < N; i++) results[head][i] = 0.0f;
        }
        queries.begin(numbers);
#pragma unroll
        for (u32 i = 0; i < KEPT; i++) top[i] = NOTHING, sum[i] = 0.0f;
    }

    // TOKENS tokens from `token` on.
    MEMBER void take(const Words* keys, const Words* values, const float* scales, u64 token, u64 tokens) {
        Words key[STEPS], value[STEPS];
#pragma unroll
        for (u32 step = 0; step < STEPS; step++) {
            key[step] = load<Keep::ONCE>(keys + (token + step * TEAMS + team) * LANES + part);
        }
#pragma unroll
        for (u32 step = 0; step < STEPS; step++) {
            value[step] = load<Keep::ONCE>(values + (token + step * TEAMS + team) * LANES + part);
        }
        typename Queries::Score scores[SCORES];
#pragma unroll
        for (u32 step = 0; step < STEPS; step++) queries.score(key[step], scores + step * GROUP);
        fold<SCORES, LANES / 2>(scores, lane);
        fold<SCORES / 2, LANES / 4>(scores, lane);
        fold<SCORES / 4, LANES / 8>(scores, lane);
        if constexpr (LANES == 16) fold<SCORES / 8, 1>(scores, lane);
        float key_scale = 1.0f, value_scale = 1.0f;
        if constexpr (SCALED) {
            const u64 own = token + part * KEPT / GROUP * TEAMS + team;
            key_scale = scales[own];
            value_scale = scales[tokens + own];
        }
        float shares[KEPT], less[KEPT];
#pragma unroll
        for (u32 i = 0; i < KEPT; i++) {
            const float score = queries.finish(scores[i]) * key_scale;
            const float largest = fmaxf(top[i], max_over<GROUP / KEPT, LANES>(score));
            const float share = power_of_two(score - largest);
            less[i] = power_of_two(top[i] - largest);
            sum[i] = sum[i] * less[i] + share;
            top[i] = largest;
            shares[i] = share * value_scale;
        }
        // Largest scores seldom change once there were some.
        bool changed = false;
#pragma unroll
        for (u32 i = 0; i < KEPT; i++) changed |= less[i] != 1.0f;
        if (__any_sync(EVERY_WARP_LANE, changed)) scale_results(less);
#pragma unroll
        for (u32 step = 0; step < STEPS; step++) {
            float numbers[N];
            widen<Numbers>(value[step], numbers);
#pragma unroll
            for (u32 head = 0; head < GROUP; head++) {
                const float share = of_score(shares, step * GROUP + head);
#pragma unroll
                for (u32 i = 0; i < N; i++) results[head][i] = fmaf(numbers[i], share, results[head][i]);
            }
        }
    }

    MEMBER void scale_results(const float (&factors)[KEPT]) {
#pragma unroll
        for (u32 head = 0; head < GROUP; head++) {
            const float factor = of_score(factors, head);
#pragma unroll
            for (u32 i = 0; i < N; i++) results[head][i] *= factor;
        }
    }

    // Puts the teams of a warp together; all of them get the results.
    MEMBER void join_teams() {
        float less[KEPT];
#pragma unroll
        for (u32 i = 0; i < KEPT; i++) {
            const float largest = max_over<LANES, 32>(top[i]);
            less[i] = power_of_two(top[i] - largest);
            sum[i] = sum_over<GROUP / KEPT, 32>(sum[i] * less[i]);
            top[i] = largest;
        }
        scale_results(less);
#pragma unroll
        for (u32 head = 0; head < GROUP; head++) {
#pragma unroll
            for (u32 i = 0; i < N; i++) results[head][i] = sum_over<LANES, 32>(results[head][i]) * Numbers::FACTOR;
        }
    }
};

template <typename Numbers, typename Queries, bool SCALED>
DEVICE void decode(const Words* keys, const Words* values, const float* scales, const Words* queries, float* partial,
                   Weight* weights, u32 context, u32 stretch, u32 stretches, u64 tokens) {
    typedef Attention<Numbers, Queries, SCALED> Lane;
    __shared__ Weight of_warp[WARPS][GROUP];
    __shared__ float found[WARPS][GROUP][DIM];
    const u32 job = blockIdx.x, warp = threadIdx.x / WARP;
    const u64 first = (u64)(job / stretches) * context + job % stretches * stretch;
    Lane lane;
    lane.begin(queries);
#pragma unroll 1
    for (u32 at = 0; at < stretch; at += WARPS * Lane::TOKENS) {
        lane.take(keys, values, scales, first + at + warp * Lane::TOKENS, tokens);
    }
    lane.join_teams();
    if (lane.team == 0) {
#pragma unroll
        for (u32 head = 0; head < GROUP; head++) {
#pragma unroll
            for (u32 i = 0; i < Lane::N; i++) found[warp][head][lane.part * Lane::N + i] = lane.results[head][i];
        }
        if (lane.part < GROUP / Lane::KEPT) {
#pragma unroll
            for (u32 i = 0; i < Lane::KEPT; i++) of_warp[warp][lane.part * Lane::KEPT + i] = {lane.top[i], lane.sum[i]};
        }
    }
    __syncthreads();
#pragma unroll
    for (u32 head = 0; head < GROUP; head++) {
        float largest = NOTHING, sum = 0.0f, result = 0.0f;
#pragma unroll
        for (u32 other = 0; other < WARPS; other++) largest = fmaxf(largest, of_warp[other][head].top);
#pragma unroll
        for (u32 other = 0; other < WARPS; other++) {
            const float less = power_of_two(of_warp[other][head].top - largest);
            sum += of_warp[other][head].sum * less;
            result += found[other][head][threadIdx.x] * less;
        }
        const u64 row = (u64)job * GROUP + head;
        partial[row * DIM + threadIdx.x] = stretches == 1 ? __fdividef(result, sum) : result;
        if (stretches > 1 && threadIdx.x == 0) weights[row] = {largest, sum};
    }
}

// Entry points. decode_*: a block of 128 threads for each stretch of each head; `stretch`, a multiple of 64, times
// `stretches` is `context`, and `tokens` are those of all heads. `scales`, of int8 only, has one for each token's keys,
// then one for each token's values. With one stretch `partial` gets the results. decode_join: a block of 128 threads
// for each query head.
#define DECODE(name, Numbers, Queries, SCALED, BLOCKS) \
    KERNEL __launch_bounds__(THREADS, BLOCKS) decode_##name( \
        const Words* keys, const Words* values, const float* scales, const Words* queries, float* partial, \
        Weight* weights, u32 context, u32 stretch, u32 stretches, u64 tokens) { \
        decode<Numbers, Queries, SCALED>(keys, values, scales, queries, partial, weights, context, stretch, stretches, \
                                         tokens); \
    }

DECODE(f16, F16Numbers, FloatQueries<F16Numbers>, false, 3)
DECODE(bf16, Bf16Numbers, FloatQueries<Bf16Numbers>, false, 3)
DECODE(fp8, Fp8Numbers, FloatQueries<Fp8Numbers>, false, 2)
DECODE(int8, Int8Numbers, IntegerQueries, true, 2)

KERNEL __launch_bounds__(THREADS)
decode_join(const float* partial, const Weight* weights, float* results, u32 stretches) {
    const u32 head = blockIdx.x / GROUP, query = blockIdx.x % GROUP;
    float largest = NOTHING, sum = 0.0f, result = 0.0f;
    for (u32 part = 0; part < stretches; part++) {
        largest = fmaxf(largest, weights[((u64)head * stretches + part) * GROUP + query].top);
    }
    for (u32 part = 0; part < stretches; part++) {
        const u64 row = ((u64)head * stretches + part) * GROUP + query;
        const float less = power_of_two(weights[row].top - largest);
        sum += weights[row].sum * less;
        result += partial[row * DIM + threadIdx.x] * less;
    }
    results[(u64)blockIdx.x * DIM + threadIdx.x] = __fdividef(result, sum);
}
