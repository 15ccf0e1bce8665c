//! What multiply-adds of matrix units are measured with, and what becomes of their sums: `kernels/elements.cuh`.

use half::f16;

use crate::dtype::DType;

/// What factors are made of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Elements {
    /// Numbers between 1/2 and 1 of so many digits, with either sign. The second factors have the other sign, and another last digit in their first element.
    Float { digits: u32 },
    /// Signed bytes. The second factors have some of their bits turned.
    Integer,
}

impl Elements {
    /// An element of the first factors, or of the second ones, from its random bits.
    pub(super) fn of(self, random: u32, depth: u32, second: bool) -> f64 {
        match self {
            Self::Integer => {
                let flipped = if second { 0xA5 } else { 0 };
                f64::from((random as u8 ^ flipped).cast_signed())
            }
            Self::Float { digits } => {
                let ones = (1_u32 << digits) - 1;
                let last = u32::from(second && depth == 0);
                let fraction = (random >> 1 & ones) ^ last;
                let magnitude = f64::from(fraction + ones + 1) / f64::from(2 << digits);
                if (random & 1 == 1) == second { magnitude } else { -magnitude }
            }
        }
    }
}

/// Random bits of the elements of a register, as the kernels make them.
pub(super) fn random(matrix: u32, row: u32, place: u32) -> u32 {
    let of = |number: u32, factor: u32| number.wrapping_mul(factor);
    let bits = of(matrix, 0xC2B2_AE3D).wrapping_add(of(row, 0x9E37_79B1)).wrapping_add(of(place, 0x85EB_CA77));
    let bits = of(bits ^ bits >> 15, 0x2C1B_3C6D);
    let bits = of(bits ^ bits >> 13, 0x297A_2D39);
    bits ^ bits >> 16
}

/// Numbers of so many digits.
pub(super) const fn float(digits: u32) -> Elements {
    Elements::Float { digits }
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
