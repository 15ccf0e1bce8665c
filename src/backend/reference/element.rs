//! The number formats that operators read and write, as they lie in memory: seeded data for them, and their exact values for references.

use half::{bf16, f16};

use crate::data::{Seed, bits};
use crate::dtype::DType;

/// An element in memory.
pub(in crate::backend) trait Element: Copy + PartialEq + Send + Sync + 'static {
    /// Its format.
    const DTYPE: DType;
    /// Half of the distance to the next value, relative to it; 0 for integers.
    const ROUNDING: f64;

    /// A seeded random value: between -1 and 1, for integers over the whole range.
    fn random(seed: Seed, index: u32) -> Self;

    /// The exact value.
    fn value(self) -> f64;

    /// A value that no kernel computes from random data.
    fn poison() -> Self;
}

/// A random number between -1 and 1 with 24 significant bits.
fn signed(seed: Seed, index: u32) -> f32 {
    (bits(seed, index) as i32 >> 8) as f32 / 8_388_608.0
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
    const ROUNDING: f64 = 1.0 / 16_777_216.0;

    fn random(seed: Seed, index: u32) -> Self {
        signed(seed, index)
    }

    fn value(self) -> f64 {
        f64::from(self)
    }

    fn poison() -> Self {
        Self::NAN
    }
}

impl Element for f64 {
    const DTYPE: DType = DType::F64;
    const ROUNDING: f64 = f64::EPSILON / 2.0;

    fn random(seed: Seed, index: u32) -> Self {
        crate::data::signed_f64(seed, index)
    }

    fn value(self) -> f64 {
        self
    }

    fn poison() -> Self {
        Self::NAN
    }
}

impl Element for bf16 {
    const DTYPE: DType = DType::Bf16;
    const ROUNDING: f64 = 1.0 / 256.0;

    fn random(seed: Seed, index: u32) -> Self {
        Self::from_f32(signed(seed, index))
    }

    fn value(self) -> f64 {
        self.to_f64()
    }

    fn poison() -> Self {
        Self::NAN
    }
}

impl Element for f16 {
    const DTYPE: DType = DType::F16;
    const ROUNDING: f64 = 1.0 / 2048.0;

    fn random(seed: Seed, index: u32) -> Self {
        Self::from_f32(signed(seed, index))
    }

    fn value(self) -> f64 {
        self.to_f64()
    }

    fn poison() -> Self {
        Self::NAN
    }
}

/// An 8-bit number with 4 bits of exponent and 3 of mantissa (OCP FP8, E4M3).
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub(in crate::backend) struct E4m3(pub(in crate::backend) u8);

impl Element for E4m3 {
    const DTYPE: DType = DType::Fp8E4m3;
    const ROUNDING: f64 = 1.0 / 16.0;

    /// Any of the numbers between -1 and 1, zero and the smallest among them.
    fn random(seed: Seed, index: u32) -> Self {
        let random = bits(seed, index) >> 16;
        let (sign, magnitude) = (random & 0x80, random & 0x7F);
        // The exponent of 1 is 7, with 3 bits of mantissa below it.
        Self((sign | (magnitude % (7 << 3))) as u8)
    }

    fn value(self) -> f64 {
        let (exponent, mantissa) = (i32::from(self.0 >> 3 & 15), f64::from(self.0 & 7));
        let magnitude = match (exponent, self.0 & 7) {
            (15, 7) => f64::NAN,
            (0, _) => mantissa / 8.0 * f64::powi(2.0, -6),
            _ => (1.0 + mantissa / 8.0) * f64::powi(2.0, exponent - 7),
        };
        if self.0 & 0x80 == 0 { magnitude } else { -magnitude }
    }

    fn poison() -> Self {
        Self(0x7F)
    }
}

impl Element for i8 {
    const DTYPE: DType = DType::Int8;
    const ROUNDING: f64 = 0.0;

    fn random(seed: Seed, index: u32) -> Self {
        (bits(seed, index) >> 24) as Self
    }

    fn value(self) -> f64 {
        f64::from(self)
    }

    fn poison() -> Self {
        Self::MIN
    }
}

impl Element for i32 {
    const DTYPE: DType = DType::Int32;
    const ROUNDING: f64 = 0.0;

    fn random(seed: Seed, index: u32) -> Self {
        bits(seed, index) as Self
    }

    fn value(self) -> f64 {
        f64::from(self)
    }

    fn poison() -> Self {
        Self::MIN
    }
}

/// Whether a result is as near to its reference as a tolerance allows. NaN is near to nothing.
pub(in crate::backend) fn near(found: f64, expected: f64, tolerance: f64) -> bool {
    (found - expected).abs() <= tolerance
}

/// Rows of large matrices repeat after this many, a prime: filling is copying, and a reference need not recompute gigabytes. A kernel that takes
/// a wrong row, or a wrong part of one, is still found out.
pub(in crate::backend) const PERIOD: usize = 509;

/// Fills the rows of a matrix, some elements each, with seeded data that repeats after [`PERIOD`] rows.
pub(in crate::backend) fn fill_rows<T: Element>(matrix: &mut [T], row: usize, seed: Seed) {
    let (first, rest) = matrix.split_at_mut(matrix.len().min(PERIOD * row));
    for (index, element) in first.iter_mut().enumerate() {
        *element = T::random(seed, index as u32);
    }
    for chunk in rest.chunks_mut(PERIOD * row) {
        chunk.copy_from_slice(&first[..chunk.len()]);
    }
}
