//! Which formats are computed with, and which stand beside one another.

use crate::dtype::{DType, Kind};

/// The format that products of a format are summed in, as their ceilings are named.
pub(in crate::estimate::cost) const fn summed_in(input: DType) -> DType {
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

/// The format that attention computes in, by the format of keys and values: narrower ones are widened.
pub(in crate::estimate::cost) const fn arithmetic(kv: DType) -> DType {
    match kv {
        DType::F64 | DType::F32 | DType::F16 => kv,
        _ => DType::Bf16,
    }
}
