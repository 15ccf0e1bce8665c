// What kernels share: words of memory, the caches they are loaded through, numbers in words, sums over warps and
// blocks. No CUDA headers: NVRTC needs none, and the sources stay free of anybody's licence.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int i32;

#define MEMBER __device__ __forceinline__
#define DEVICE static MEMBER
#define KERNEL extern "C" __global__ void
#define EVERY_WARP_LANE 0xffffffffu

constexpr u32 WARP = 32;

// 16 bytes: the widest access before compute capability 10.0, which has 32 (`ld.global.v8.f32`).
struct __align__(16) Words {
    u32 x, y, z, w;
};

// Where loaded words are kept: in L1, no nearer than L2, or nowhere in L1 if it can be helped, for what nobody writes
// (on the path of constants) and for what is written in its place.
enum class Keep { NEAR, FAR, ONCE, CHANGED };

template <Keep KEEP> DEVICE Words load(const Words* from) {
    Words words;
    if constexpr (KEEP == Keep::NEAR) {
        asm volatile("ld.global.ca.v4.u32 {%0, %1, %2, %3}, [%4];"
                     : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w) : "l"(from));
    } else if constexpr (KEEP == Keep::FAR) {
        asm volatile("ld.global.cg.v4.u32 {%0, %1, %2, %3}, [%4];"
                     : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w) : "l"(from));
    } else if constexpr (KEEP == Keep::ONCE) {
        asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                     : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w) : "l"(from));
    } else {
        asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                     : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w) : "l"(from));
    }
    return words;
}

DEVICE void store(Words* to, Words words) {
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};"
                 :: "l"(to), "r"(words.x), "r"(words.y), "r"(words.z), "r"(words.w) : "memory");
}

// Cycles of this multiprocessor's clock, and nanoseconds of the device's.
DEVICE u64 cycles() {
    u64 now;
    asm volatile("mov.u64 %0, %%clock64;" : "=l"(now) :: "memory");
    return now;
}

DEVICE u64 nanoseconds() {
    u64 now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now) :: "memory");
    return now;
}

// Two numbers of 16 bits in a word, the first in its lower half, widened to f32 and rounded from it to the nearest,
// ties to even.
DEVICE float f16_low(u32 pair) {
    float value;
    asm("{ .reg .b16 low, high; mov.b32 {low, high}, %1; cvt.f32.f16 %0, low; }" : "=f"(value) : "r"(pair));
    return value;
}

DEVICE float f16_high(u32 pair) {
    float value;
    asm("{ .reg .b16 low, high; mov.b32 {low, high}, %1; cvt.f32.f16 %0, high; }" : "=f"(value) : "r"(pair));
    return value;
}

DEVICE u32 f16_pair(float low, float high) {
    u32 pair;
    asm("{ .reg .b16 a, b; cvt.rn.f16.f32 a, %1; cvt.rn.f16.f32 b, %2; mov.b32 %0, {a, b}; }"
        : "=r"(pair) : "f"(low), "f"(high));
    return pair;
}

DEVICE float bf16_low(u32 pair) { return __uint_as_float(pair << 16); }

DEVICE float bf16_high(u32 pair) { return __uint_as_float(pair & 0xffff0000u); }

#if __CUDA_ARCH__ >= 800
DEVICE u32 bf16_pair(float low, float high) {
    u32 pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}
#else
DEVICE u32 bf16_rounded(float value) {
    const u32 bits = __float_as_uint(value);
    return bits + 0x7fffu + ((bits >> 16) & 1);
}

DEVICE u32 bf16_pair(float low, float high) {
    return __byte_perm(bf16_rounded(low), bf16_rounded(high), 0x7632);
}
#endif

// Numbers in memory: how many lie in a vector, and four of them widened to f32. What widening leaves out is in FACTOR.
struct Four {
    float x, y, z, w;
};

template <int WORD> DEVICE u32 word_of(Words words) {
    return WORD == 0 ? words.x : WORD == 1 ? words.y : WORD == 2 ? words.z : words.w;
}

struct F32Numbers {
    static constexpr int PER_VECTOR = 4;
    static constexpr float FACTOR = 1.0f;
    template <int AT> DEVICE Four four(Words words) {
        return {__uint_as_float(words.x), __uint_as_float(words.y), __uint_as_float(words.z), __uint_as_float(words.w)};
    }
};

struct F16Numbers {
    static constexpr int PER_VECTOR = 8;
    static constexpr float FACTOR = 1.0f;
    DEVICE u32 pair(float low, float high) { return f16_pair(low, high); }
    template <int AT> DEVICE Four four(Words words) {
        const u32 first = word_of<2 * AT>(words), second = word_of<2 * AT + 1>(words);
        return {f16_low(first), f16_high(first), f16_low(second), f16_high(second)};
    }
};

struct Bf16Numbers {
    static constexpr int PER_VECTOR = 8;
    static constexpr float FACTOR = 1.0f;
    DEVICE u32 pair(float low, float high) { return bf16_pair(low, high); }
    template <int AT> DEVICE Four four(Words words) {
        const u32 first = word_of<2 * AT>(words), second = word_of<2 * AT + 1>(words);
        return {bf16_low(first), bf16_high(first), bf16_low(second), bf16_high(second)};
    }
};

// FP8 E4M3. Before compute capability 8.9 its bits are moved into those of f16, whose exponents are larger by 8; NaN is
// lost.
struct Fp8Numbers {
    static constexpr int PER_VECTOR = 16;
#if __CUDA_ARCH__ >= 890
    static constexpr float FACTOR = 1.0f;
    DEVICE u32 pair(u32 word, u32 half) {
        u32 result;
        asm("{ .reg .b16 low, high; mov.b32 {low, high}, %1; cvt.rn.f16x2.e4m3x2 %0, low; }"
            : "=r"(result) : "r"(half == 0 ? word : word >> 16));
        return result;
    }
#else
    static constexpr float FACTOR = 256.0f;
    DEVICE u32 pair(u32 word, u32 half) {
        const u32 spread = __byte_perm(word, 0, half == 0 ? 0x1404 : 0x3424);
        return (spread & 0x80008000u) | ((spread >> 1) & 0x3f803f80u);
    }
#endif
    template <int AT> DEVICE Four four(Words words) {
        const u32 word = word_of<AT>(words), first = pair(word, 0), second = pair(word, 1);
        return {f16_low(first), f16_high(first), f16_low(second), f16_high(second)};
    }
};

// Signed bytes. Put into the last byte of 2^23 they are f32 already, 128 and 2^23 too large: conversions have few
// lanes.
struct Int8Numbers {
    static constexpr int PER_VECTOR = 16;
    static constexpr float FACTOR = 1.0f;
    template <int BYTE> DEVICE float number(u32 word) {
        return __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7440 + BYTE)) - 8388736.0f;
    }
    template <int AT> DEVICE Four four(Words words) {
        const u32 word = word_of<AT>(words) ^ 0x80808080u;
        return {number<0>(word), number<1>(word), number<2>(word), number<3>(word)};
    }
};

// All numbers of a vector, and a vector of numbers.
template <typename Numbers> DEVICE void widen(Words words, float (&numbers)[Numbers::PER_VECTOR]) {
    constexpr int FOURS = Numbers::PER_VECTOR / 4;
    Four fours[FOURS];
    fours[0] = Numbers::template four<0>(words);
    if constexpr (FOURS > 1) fours[1] = Numbers::template four<1>(words);
    if constexpr (FOURS > 2) fours[2] = Numbers::template four<2>(words);
    if constexpr (FOURS > 2) fours[3] = Numbers::template four<3>(words);
#pragma unroll
    for (int at = 0; at < FOURS; at++) {
        numbers[4 * at] = fours[at].x;
        numbers[4 * at + 1] = fours[at].y;
        numbers[4 * at + 2] = fours[at].z;
        numbers[4 * at + 3] = fours[at].w;
    }
}

// N numbers in f32, from where all threads find them in a cache.
template <u32 N> DEVICE void load_floats(const Words* from, float (&numbers)[N]) {
#pragma unroll
    for (u32 at = 0; at < N / 4; at++) {
        const Words words = load<Keep::NEAR>(from + at);
        numbers[4 * at] = __uint_as_float(words.x);
        numbers[4 * at + 1] = __uint_as_float(words.y);
        numbers[4 * at + 2] = __uint_as_float(words.z);
        numbers[4 * at + 3] = __uint_as_float(words.w);
    }
}

template <typename Numbers> DEVICE Words narrow(const float (&numbers)[Numbers::PER_VECTOR]) {
    if constexpr (Numbers::PER_VECTOR == 4) {
        return {__float_as_uint(numbers[0]), __float_as_uint(numbers[1]), __float_as_uint(numbers[2]),
                __float_as_uint(numbers[3])};
    } else {
        return {Numbers::pair(numbers[0], numbers[1]), Numbers::pair(numbers[2], numbers[3]),
                Numbers::pair(numbers[4], numbers[5]), Numbers::pair(numbers[6], numbers[7])};
    }
}

// Numbers as integers of 16 bits, with a power of two in common: the largest becomes at least 2^14, and all stay below
// 2^15. What has 8 significant bits and is not below a 128th of the largest is exact; the rest is off by at most 2^-15
// of the largest.
struct Integers {
    float to_integer, factor;

    // Exponents are limited so that both factors are normal numbers.
    static MEMBER Integers up_to(float largest) {
        const u32 exponent = min(max(__float_as_uint(largest) >> 23, 16u), 254u);
        return {__uint_as_float((268 - exponent) << 23), __uint_as_float((exponent - 14) << 23)};
    }

    MEMBER i32 of(float number) const { return __float2int_rn(number * to_integer); }
};

// Adds the products of four signed bytes and four bytes of such integers, of which the high ones have a sign.
DEVICE i32 dot_high(u32 bytes, u32 high, i32 sum) {
    i32 result;
    asm("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(result) : "r"(bytes), "r"(high), "r"(sum));
    return result;
}

DEVICE i32 dot_low(u32 bytes, u32 low, i32 sum) {
    i32 result;
    asm("dp4a.s32.u32 %0, %1, %2, %3;" : "=r"(result) : "r"(bytes), "r"(low), "r"(sum));
    return result;
}

// A vector of signed bytes times such integers, of which words have four high bytes and four low ones.
DEVICE i32 dot_of(Words bytes, const u32 (&high)[4], const u32 (&low)[4]) {
    i32 upper = dot_high(bytes.w, high[3], 0), lower = dot_low(bytes.w, low[3], 0);
    upper = dot_high(bytes.x, high[0], dot_high(bytes.y, high[1], dot_high(bytes.z, high[2], upper)));
    lower = dot_low(bytes.x, low[0], dot_low(bytes.y, low[1], dot_low(bytes.z, low[2], lower)));
    return upper * 256 + lower;
}

// The high bytes, or low bytes, of four integers.
DEVICE u32 high_bytes(const i32 (&integers)[4]) {
    const u32 first = __byte_perm(integers[0], integers[1], 0x5140);
    return __byte_perm(first, __byte_perm(integers[2], integers[3], 0x5140), 0x7632);
}

DEVICE u32 low_bytes(const i32 (&integers)[4]) {
    const u32 first = __byte_perm(integers[0], integers[1], 0x5140);
    return __byte_perm(first, __byte_perm(integers[2], integers[3], 0x5140), 0x5410);
}

// Sums and maxima over the lanes of a warp that differ in the bits from FROM up to below TO; all of them get the
// result.
template <int FROM, int TO> DEVICE float sum_over(float value) {
#pragma unroll
    for (int bit = FROM; bit < TO; bit *= 2) value += __shfl_xor_sync(EVERY_WARP_LANE, value, bit);
    return value;
}

template <int FROM, int TO> DEVICE float max_over(float value) {
#pragma unroll
    for (int bit = FROM; bit < TO; bit *= 2) value = fmaxf(value, __shfl_xor_sync(EVERY_WARP_LANE, value, bit));
    return value;
}

template <int FROM, int TO> DEVICE i32 sum_over(i32 value) {
#pragma unroll
    for (int bit = FROM; bit < TO; bit *= 2) value += __shfl_xor_sync(EVERY_WARP_LANE, value, bit);
    return value;
}
