// What kernels share: words of memory, the caches they are loaded through, numbers in words, sums over warps and blocks.
// No CUDA headers: NVRTC needs none, and the sources stay free of anybody's licence.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int i32;

#define DEVICE static __device__ __forceinline__
#define KERNEL extern "C" __global__ void
#define EVERY_WARP_LANE 0xffffffffu

constexpr u32 WARP = 32;

// 16 bytes: the widest access before compute capability 10.0, which has 32 (`ld.global.v8.f32`).
struct __align__(16) Words {
    u32 x, y, z, w;
};

// A number that is known when a function is compiled.
template <int VALUE> struct Count {
    static constexpr int value = VALUE;
};

// Where loaded words are kept: in L1, no nearer than L2, or wherever they pass through once, on the path of constants.
enum class Keep { NEAR, FAR, ONCE };

template <Keep KEEP> DEVICE Words load(const Words* from) {
    Words words;
    if constexpr (KEEP == Keep::NEAR) {
        asm volatile("ld.global.ca.v4.u32 {%0, %1, %2, %3}, [%4];"
                     : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w) : "l"(from));
    } else if constexpr (KEEP == Keep::FAR) {
        asm volatile("ld.global.cg.v4.u32 {%0, %1, %2, %3}, [%4];"
                     : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w) : "l"(from));
    } else {
        asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
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

// Two numbers of 16 bits in a word, the first in its lower half, widened to f32 and rounded from it to the nearest, ties to even.
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
