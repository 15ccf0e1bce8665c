//! What multiply-adds of matrix units are measured with, and what becomes of their sums: `kernels/elements.cuh`.

use half::f16;

pub(super) use crate::backend::reference::factors::{Elements, float};
use crate::dtype::DType;

/// Random bits of the elements of a register, as the kernels make them.
pub(super) fn random(matrix: u32, row: u32, place: u32) -> u32 {
    let of = |number: u32, factor: u32| number.wrapping_mul(factor);
    let bits = of(matrix, 0xC2B2_AE3D).wrapping_add(of(row, 0x9E37_79B1)).wrapping_add(of(place, 0x85EB_CA77));
    let bits = of(bits ^ bits >> 15, 0x2C1B_3C6D);
    let bits = of(bits ^ bits >> 13, 0x297A_2D39);
    bits ^ bits >> 16
}

/// A thread's result, once it has taken a sum in, of a format: its words, one after another.
pub(super) fn note(total: u32, accumulate: DType, sum: f64) -> u32 {
    let noted = |total: u32, word: u32| total.wrapping_mul(31).wrapping_add(word);
    match accumulate {
        DType::F64 => noted(noted(total, sum.to_bits() as u32), (sum.to_bits() >> 32) as u32),
        DType::Int32 => noted(total, sum as i64 as u32),
        DType::F16 => noted(total, f16::from_f64(sum).to_f32().to_bits()),
        _ => noted(total, (sum as f32).to_bits()),
    }
}
