//! Which formats are computed with, and which stand beside one another.

use crate::dtype::{DType, Kind};

/// The format that products of a format are summed in, as their ceilings are named.
#[must_use]
pub const fn summed_in(input: DType) -> DType {
    match (input, input.format().kind) {
        (DType::F64, _) => DType::F64,
        (_, Kind::Integer) => DType::Int32,
        (_, Kind::Float) => DType::F32,
    }
}

/// The other 16-bit format: matrix units that know both run them at one rate, and engines take the one that a device knows.
pub(in crate::estimate::cost) const fn alike(format: DType) -> Option<DType> {
    match format {
        DType::F16 => Some(DType::Bf16),
        DType::Bf16 => Some(DType::F16),
        _ => None,
    }
}

/// Formats whose rate stands for that of a format, in the order of preference: the other one of 16 bits; then f32, as which a device without units for 16 bits
/// multiplies both.
pub(in crate::estimate::cost) fn stand_ins(format: DType) -> impl Iterator<Item = DType> {
    alike(format).into_iter().flat_map(|other| [other, DType::F32])
}

/// The format that attention computes in, by the format of keys and values: narrower ones are widened.
pub(in crate::estimate::cost) const fn arithmetic(kv: DType) -> DType {
    match kv {
        DType::F64 | DType::F32 | DType::F16 => kv,
        _ => DType::Bf16,
    }
}
