//! 64-bit Arm vectors: NEON, FP16, the dot products of 8-bit integers and of bf16.

use std::arch::aarch64::{
    float16x8_t, float32x4_t, float64x2_t, int8x16_t, int32x4_t, vfmaq_f16, vfmaq_f32, vfmaq_f64,
};
use std::arch::{asm, is_aarch64_feature_detected};

use super::{Form, Instruction, Operands, State, rounds};
use crate::dtype::DType;
use crate::resource::ComputeUnit;

rounds!(
    #[target_feature(enable = "neon")]
    f32_neon,
    float32x4_t,
    float32x4_t,
    24,
    |a, x, y| vfmaq_f32(a, x, y)
);
rounds!(
    #[target_feature(enable = "neon")]
    f64_neon,
    float64x2_t,
    float64x2_t,
    24,
    |a, x, y| vfmaq_f64(a, x, y)
);
rounds!(
    #[target_feature(enable = "neon,fp16")]
    f16_neon,
    float16x8_t,
    float16x8_t,
    24,
    |a, x, y| vfmaq_f16(a, x, y)
);
rounds!(
    #[target_feature(enable = "neon,dotprod")]
    int8_neon,
    int32x4_t,
    int8x16_t,
    24,
    |a, x, y| {
        let mut sum = a;
        asm!("sdot {a:v}.4s, {x:v}.16b, {y:v}.16b", a = inout(vreg) sum, x = in(vreg) x, y = in(vreg) y, options(pure, nomem, nostack));
        sum
    }
);
rounds!(
    #[target_feature(enable = "neon,bf16")]
    bf16_neon,
    float32x4_t,
    int8x16_t,
    24,
    |a, x, y| {
        let mut sum = a;
        asm!("bfdot {a:v}.4s, {x:v}.8h, {y:v}.8h", a = inout(vreg) sum, x = in(vreg) x, y = in(vreg) y, options(pure, nomem, nostack));
        sum
    }
);

const fn row(
    name: &'static str,
    (input, accumulate): (DType, DType),
    form: Form,
    available: fn() -> bool,
    rounds: unsafe fn(&mut State, u64),
) -> Instruction {
    Instruction {
        name,
        unit: ComputeUnit::Vector,
        input,
        accumulate,
        form,
        operands: Operands::Vector(16),
        chains: 24,
        available,
        rounds,
    }
}

pub(super) const INSTRUCTIONS: &[Instruction] = &[
    row("NEON FMA, 24 chains", (DType::F32, DType::F32), Form::Fused, || true, f32_neon),
    row("NEON FMA, 24 chains", (DType::F64, DType::F64), Form::Fused, || true, f64_neon),
    row(
        "NEON FP16, 24 chains",
        (DType::F16, DType::F16),
        Form::Fused,
        || is_aarch64_feature_detected!("fp16"),
        f16_neon,
    ),
    row(
        "NEON DOTPROD, 24 chains",
        (DType::Int8, DType::Int32),
        Form::SumProducts,
        || is_aarch64_feature_detected!("dotprod"),
        int8_neon,
    ),
    row(
        "NEON BF16, 24 chains",
        (DType::Bf16, DType::F32),
        Form::SumProducts,
        || is_aarch64_feature_detected!("bf16"),
        bf16_neon,
    ),
];
