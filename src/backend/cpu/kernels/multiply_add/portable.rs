//! Multiply, then add, in plain Rust: what a compiler makes of it for the baseline of its target.
//!
//! Each sum becomes sum·x + y: the product depends on the chain, so that the compiler cannot compute it once for all of them.

use super::{Form, Instruction, Operands, State, rounds};
use crate::dtype::DType;
use crate::resource::ComputeUnit;

rounds!(f32_baseline, [f32; 4], [f32; 4], 12, |a, x, y| std::array::from_fn(|i| a[i] * x[i] + y[i]));
rounds!(f64_baseline, [f64; 2], [f64; 2], 12, |a, x, y| std::array::from_fn(|i| a[i] * x[i] + y[i]));

const fn row(dtype: DType, rounds: unsafe fn(&mut State, u64)) -> Instruction {
    Instruction {
        name: "baseline vectors, multiply then add, 12 chains",
        unit: ComputeUnit::Vector,
        input: dtype,
        accumulate: dtype,
        form: Form::ScaleSum,
        operands: Operands::Vector(16),
        chains: 12,
        available: || true,
        rounds,
    }
}

pub(super) const INSTRUCTIONS: &[Instruction] = &[row(DType::F32, f32_baseline), row(DType::F64, f64_baseline)];
