// What multiply-adds of matrix units are measured with: random numbers of so few digits that all sums are exact, and what
// becomes of sums in the end.

// Random bits of the elements of 32 bits, or of a single one that is wider.
DEVICE u32 random_bits(u32 matrix, u32 row, u32 place) {
    u32 bits = matrix * 0xC2B2AE3Du + row * 0x9E3779B1u + place * 0x85EBCA77u;
    bits = (bits ^ (bits >> 15)) * 0x2C1B3C6Du;
    bits = (bits ^ (bits >> 13)) * 0x297A2D39u;
    return bits ^ (bits >> 16);
}

// Elements of BITS bits. A floating-point number is between 1/2 and 1, `half` being the bits of 1/2, with DIGITS random
// digits of which the last is at SHIFT, and a random sign. An integer is random. Those of a second factor have the bits
// FLIP turned, and in the first place of a row NUDGE besides.
template <int N_BITS, int DIGITS, int SHIFT, u64 N_HALF> struct Float {
    static constexpr int BITS = N_BITS;
    static constexpr u64 HALF = N_HALF, FLIP = 1ull << (BITS - 1), NUDGE = 1ull << SHIFT;
    DEVICE u64 of(u32 random) {
        return HALF | (u64)((random >> 1) & ((1u << DIGITS) - 1)) << SHIFT | (random & 1 ? FLIP : 0);
    }
};
struct Integer {
    static constexpr int BITS = 8;
    static constexpr u64 FLIP = 0xa5, NUDGE = 0;
    DEVICE u64 of(u32 random) { return random & 0xff; }
};

typedef Float<16, 8, 2, 0x3800> F16Elements;
typedef Float<16, 2, 8, 0x3800> ShortF16Elements;
typedef Float<16, 7, 0, 0x3f00> Bf16Elements;
typedef Float<32, 8, 15, 0x3f000000> Tf32Elements;
typedef Float<8, 3, 0, 0x30> Fp8Elements;
typedef Float<8, 2, 1, 0x30> ShortFp8Elements;
typedef Float<64, 20, 32, 0x3fe0000000000000> F64Elements;

#if __CUDA_ARCH__ >= 800
// Where a sparse factor is not zero, in a group of neighbours of a row, as 4 bits: two different places of four in ascending
// order, the first in the lower bits; or the one place of two.
DEVICE u32 two_of_four(u32 random) { return 0xed9c84u >> ((random >> 16) * 6 >> 16) * 4 & 15; }
DEVICE u32 one_of_two(u32 random) { return random & 1 ? 0xe : 0x4; }
#endif

// What a sum adds to a thread's result: its bits, with one zero.
DEVICE u32 noted(u32 total, u32 bits) { return total * 31 + bits; }
DEVICE u32 note(u32 total, float sum) { return noted(total, __float_as_uint(sum + 0.0f)); }
DEVICE u32 note(u32 total, i32 sum) { return noted(total, (u32)sum); }
DEVICE u32 note(u32 total, u32 pair) { return note(note(total, f16_low(pair)), f16_high(pair)); }
#if __CUDA_ARCH__ >= 800
DEVICE u32 note(u32 total, double sum) {
    const u64 bits = (u64)__double_as_longlong(sum + 0.0);
    return noted(noted(total, (u32)bits), (u32)(bits >> 32));
}
#endif
