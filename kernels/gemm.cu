// Matrix products of f16, bf16 and 8-bit integers: see gemm.cuh for what they compute, their work and their bound.
//
// build: compute_80, PTX 7.4

#include "gemm.cuh"

// Adds parts of a product up: `vectors` of four sums in each.
template <typename Sum> DEVICE void join(const u32* parts, u32* c, u64 vectors, u32 count) {
    const u64 step = (u64)gridDim.x * blockDim.x;
    for (u64 at = (u64)blockIdx.x * blockDim.x + threadIdx.x; at < vectors; at += step) {
        Words total = load<Keep::ONCE>((const Words*)parts + at);
#pragma unroll 4
        for (u32 part = 1; part < count; part++) {
            const Words words = load<Keep::ONCE>((const Words*)parts + part * vectors + at);
            total = {Sum::of(total.x, words.x), Sum::of(total.y, words.y), Sum::of(total.z, words.z),
                     Sum::of(total.w, words.w)};
        }
        store((Words*)c + at, total);
    }
}

struct FloatSum {
    DEVICE u32 of(u32 a, u32 b) { return __float_as_uint(__uint_as_float(a) + __uint_as_float(b)); }
};
struct IntegerSum {
    DEVICE u32 of(u32 a, u32 b) { return a + b; }
};

WITH_TILES(f16, F16F32)
WITH_TILES(bf16, Bf16F32)
WITH_TILES(int8, Int8K32)

// Entry points. `parts` has `count` parts of `vectors` of four sums each, `c` gets their sums.
KERNEL __launch_bounds__(256) gemm_join_float(const u32* parts, u32* c, u64 vectors, u32 count) {
    join<FloatSum>(parts, c, vectors, count);
}
KERNEL __launch_bounds__(256) gemm_join_integer(const u32* parts, u32* c, u64 vectors, u32 count) {
    join<IntegerSum>(parts, c, vectors, count);
}
