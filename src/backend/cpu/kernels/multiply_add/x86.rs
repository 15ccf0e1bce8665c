//! x86 vectors: FMA, AVX-512, VNNI, BF16 and FP16.

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{
    __m256, __m256d, __m256i, __m512, __m512bh, __m512d, __m512h, __m512i, _mm256_dpbusd_avx_epi32, _mm256_fmadd_pd,
    _mm256_fmadd_ps, _mm512_dpbf16_ps, _mm512_dpbusd_epi32, _mm512_fmadd_pd, _mm512_fmadd_ph, _mm512_fmadd_ps,
};

use super::{Form, Instruction, Operands, State, rounds};
use crate::dtype::DType;
use crate::resource::ComputeUnit;

rounds!(
    #[target_feature(enable = "avx512f")]
    f32_avx512,
    __m512,
    __m512,
    24,
    |a, x, y| _mm512_fmadd_ps(x, y, a)
);
rounds!(
    #[target_feature(enable = "avx512f")]
    f64_avx512,
    __m512d,
    __m512d,
    24,
    |a, x, y| _mm512_fmadd_pd(x, y, a)
);
rounds!(
    #[target_feature(enable = "avx,fma")]
    f32_fma,
    __m256,
    __m256,
    12,
    |a, x, y| _mm256_fmadd_ps(x, y, a)
);
rounds!(
    #[target_feature(enable = "avx,fma")]
    f64_fma,
    __m256d,
    __m256d,
    12,
    |a, x, y| _mm256_fmadd_pd(x, y, a)
);
rounds!(
    #[target_feature(enable = "avx512fp16")]
    f16_avx512,
    __m512h,
    __m512h,
    24,
    |a, x, y| _mm512_fmadd_ph(x, y, a)
);
rounds!(
    #[target_feature(enable = "avx512bf16")]
    bf16_avx512,
    __m512,
    __m512bh,
    24,
    |a, x, y| _mm512_dpbf16_ps(a, x, y)
);
rounds!(
    #[target_feature(enable = "avx512vnni")]
    int8_avx512,
    __m512i,
    __m512i,
    24,
    |a, x, y| _mm512_dpbusd_epi32(a, x, y)
);
rounds!(
    #[target_feature(enable = "avxvnni")]
    int8_avx,
    __m256i,
    __m256i,
    12,
    |a, x, y| _mm256_dpbusd_avx_epi32(a, x, y)
);

/// A row whose sums and products are of one format and rounded once.
const fn fused(
    name: &'static str,
    dtype: DType,
    bytes: usize,
    chains: usize,
    available: fn() -> bool,
    rounds: unsafe fn(&mut State, u64),
) -> Instruction {
    Instruction {
        name,
        unit: ComputeUnit::Vector,
        input: dtype,
        accumulate: dtype,
        form: Form::Fused,
        operands: Operands::Vector(bytes),
        chains,
        available,
        rounds,
    }
}

/// A row that multiplies small factors into wide sums.
const fn dot(
    name: &'static str,
    (input, accumulate): (DType, DType),
    bytes: usize,
    chains: usize,
    available: fn() -> bool,
    rounds: unsafe fn(&mut State, u64),
) -> Instruction {
    Instruction {
        name,
        unit: ComputeUnit::Vector,
        input,
        accumulate,
        form: Form::SumProducts,
        operands: Operands::Vector(bytes),
        chains,
        available,
        rounds,
    }
}

pub(super) const INSTRUCTIONS: &[Instruction] = &[
    fused("AVX-512 FMA, 24 chains", DType::F32, 64, 24, || is_x86_feature_detected!("avx512f"), f32_avx512),
    fused("AVX-512 FMA, 24 chains", DType::F64, 64, 24, || is_x86_feature_detected!("avx512f"), f64_avx512),
    fused("FMA3, 12 chains", DType::F32, 32, 12, || is_x86_feature_detected!("fma"), f32_fma),
    fused("FMA3, 12 chains", DType::F64, 32, 12, || is_x86_feature_detected!("fma"), f64_fma),
    fused("AVX-512 FP16, 24 chains", DType::F16, 64, 24, || is_x86_feature_detected!("avx512fp16"), f16_avx512),
    dot(
        "AVX-512 BF16, 24 chains",
        (DType::Bf16, DType::F32),
        64,
        24,
        || is_x86_feature_detected!("avx512bf16"),
        bf16_avx512,
    ),
    dot(
        "AVX-512 VNNI, 24 chains",
        (DType::Int8, DType::Int32),
        64,
        24,
        || is_x86_feature_detected!("avx512vnni"),
        int8_avx512,
    ),
    dot("AVX-VNNI, 12 chains", (DType::Int8, DType::Int32), 32, 12, || is_x86_feature_detected!("avxvnni"), int8_avx),
];
