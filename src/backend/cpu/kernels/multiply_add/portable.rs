//! Multiply, then add, in plain Rust: what a compiler makes of it for the baseline of its target.

use super::{Instruction, Operands, State, rounds};
use crate::dtype::DType;
use crate::resource::ComputeUnit;

rounds!(f32_baseline, [f32; 4], [f32; 4], 12, |a, x, y| std::array::from_fn(|i| x[i] * y[i] + a[i]));
rounds!(f64_baseline, [f64; 2], [f64; 2], 12, |a, x, y| std::array::from_fn(|i| x[i] * y[i] + a[i]));

pub(super) const INSTRUCTIONS: &[Instruction] = &[
    Instruction {
        name: "baseline vectors, multiply then add, 12 chains",
        unit: ComputeUnit::Vector,
        input: DType::F32,
        accumulate: DType::F32,
        fused: false,
        operands: Operands::Vector(16),
        chains: 12,
        available: || true,
        rounds: f32_baseline,
    },
    Instruction {
        name: "baseline vectors, multiply then add, 12 chains",
        unit: ComputeUnit::Vector,
        input: DType::F64,
        accumulate: DType::F64,
        fused: false,
        operands: Operands::Vector(16),
        chains: 12,
        available: || true,
        rounds: f64_baseline,
    },
];
