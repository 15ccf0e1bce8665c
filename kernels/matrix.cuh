// What kernels for matrix units share: their instructions by format, and which elements a lane holds of a matrix.
//
// A lane holds A by rows and B by columns. Register r of a factor is of row (lane / 4 + 8 * (r % ROWS)), where ROWS is 2
// for A with 16 rows and 1 otherwise, and of the elements (r / ROWS * 4 + lane % 4) * PACKED and following of it.
// Element e of a sum is of row lane / 4 + 8 * (e / 2) and column lane % 4 * 2 + e % 2.

#include "words.cuh"

// d += a * b, for matrices of M rows, 8 columns and depth K: how many registers each has, what they hold, and how many
// elements a register of a factor holds.
template <int ROWS, int COLUMNS, int DEPTH, typename F, int N_A, int N_B, typename S, int N_D, int N_PACKED> struct Matrix {
    static constexpr int M = ROWS, N = COLUMNS, K = DEPTH, A = N_A, B = N_B, D = N_D, PACKED = N_PACKED;
    typedef F Factor;
    typedef S Sum;
};

// Operands of an instruction, by the registers that its factors and its sum have: `f` is the letter of a factor's, `s`
// that of a sum's.
#define STEP_4_4_2(instruction, f, s) \
    DEVICE void step(Sum (&d)[4], const Factor (&a)[4], const Factor (&b)[2]) { \
        asm volatile(instruction " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
                     : "+" s(d[0]), "+" s(d[1]), "+" s(d[2]), "+" s(d[3]) \
                     : f(a[0]), f(a[1]), f(a[2]), f(a[3]), f(b[0]), f(b[1])); \
    }
#define STEP_2_4_2(instruction, f, s) \
    DEVICE void step(Sum (&d)[2], const Factor (&a)[4], const Factor (&b)[2]) { \
        asm volatile(instruction " {%0, %1}, {%2, %3, %4, %5}, {%6, %7}, {%0, %1};" \
                     : "+" s(d[0]), "+" s(d[1]) \
                     : f(a[0]), f(a[1]), f(a[2]), f(a[3]), f(b[0]), f(b[1])); \
    }
#define STEP_4_2_1(instruction, f, s) \
    DEVICE void step(Sum (&d)[4], const Factor (&a)[2], const Factor (&b)[1]) { \
        asm volatile(instruction " {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};" \
                     : "+" s(d[0]), "+" s(d[1]), "+" s(d[2]), "+" s(d[3]) \
                     : f(a[0]), f(a[1]), f(b[0])); \
    }
#define STEP_2_2_1(instruction, f, s) \
    DEVICE void step(Sum (&d)[2], const Factor (&a)[2], const Factor (&b)[1]) { \
        asm volatile(instruction " {%0, %1}, {%2, %3}, {%4}, {%0, %1};" \
                     : "+" s(d[0]), "+" s(d[1]) \
                     : f(a[0]), f(a[1]), f(b[0])); \
    }
#define STEP_2_1_1(instruction, f, s) \
    DEVICE void step(Sum (&d)[2], const Factor (&a)[1], const Factor (&b)[1]) { \
        asm volatile(instruction " {%0, %1}, {%2}, {%3}, {%0, %1};" \
                     : "+" s(d[0]), "+" s(d[1]) \
                     : f(a[0]), f(b[0])); \
    }
#define STEP_4_8_4(instruction, f, s) \
    DEVICE void step(Sum (&d)[4], const Factor (&a)[8], const Factor (&b)[4]) { \
        asm volatile(instruction " {%0, %1, %2, %3}, {%4, %5, %6, %7, %8, %9, %10, %11}, {%12, %13, %14, %15}, " \
                     "{%0, %1, %2, %3};" \
                     : "+" s(d[0]), "+" s(d[1]), "+" s(d[2]), "+" s(d[3]) \
                     : f(a[0]), f(a[1]), f(a[2]), f(a[3]), f(a[4]), f(a[5]), f(a[6]), f(a[7]), \
                       f(b[0]), f(b[1]), f(b[2]), f(b[3])); \
    }

// What Turing has.
#if __CUDA_ARCH__ < 800
struct F16F32K8 : Matrix<16, 8, 8, u32, 2, 1, float, 4, 2> {
    STEP_4_2_1("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", "r", "f")
};
struct F16F16K8 : Matrix<16, 8, 8, u32, 2, 1, u32, 2, 2> {
    STEP_2_2_1("mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16", "r", "r")
};
struct Int8K16 : Matrix<8, 8, 16, u32, 1, 1, i32, 2, 4> {
    STEP_2_1_1("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32", "r", "r")
};
#else
struct F16F32 : Matrix<16, 8, 16, u32, 4, 2, float, 4, 2> {
    STEP_4_4_2("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", "r", "f")
};
struct F16F16 : Matrix<16, 8, 16, u32, 4, 2, u32, 2, 2> {
    STEP_2_4_2("mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16", "r", "r")
};
struct Bf16F32 : Matrix<16, 8, 16, u32, 4, 2, float, 4, 2> {
    STEP_4_4_2("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "r", "f")
};
struct Tf32F32 : Matrix<16, 8, 8, u32, 4, 2, float, 4, 1> {
    STEP_4_4_2("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", "r", "f")
};
struct Int8K32 : Matrix<16, 8, 32, u32, 4, 2, i32, 4, 4> {
    STEP_4_4_2("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32", "r", "r")
};
struct F64K4 : Matrix<8, 8, 4, double, 1, 1, double, 2, 1> {
    STEP_2_1_1("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64", "d", "d")
};
#endif

// Between these, `mma.sync` widens fp8 to f16.
#if (__CUDA_ARCH__ >= 890 && __CUDA_ARCH__ < 900) || __CUDA_ARCH__ >= 1200
#define HAS_FP8
struct Fp8F32 : Matrix<16, 8, 32, u32, 4, 2, float, 4, 4> {
    STEP_4_4_2("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32", "r", "f")
};
#endif

// Afterwards it is made of many of the short ones.
#if __CUDA_ARCH__ >= 900 && __CUDA_ARCH__ < 1200
#define HAS_LONG_F64
struct F64K16 : Matrix<16, 8, 16, double, 8, 4, double, 4, 1> {
    STEP_4_8_4("mma.sync.aligned.m16n8k16.row.col.f64.f64.f64.f64", "d", "d")
};
#endif
