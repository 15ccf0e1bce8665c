//! Numbers: formats that Rust lacks, and rounding that the processor does not offer.

mod format;
mod round;
mod sum;

pub(crate) use format::{BF16, E4M3, E5M2, F16, Format, TF32};
pub(crate) use round::{Rounding, round_f32, round_integer, round_to_integral, sum_to_odd};
pub(crate) use sum::exact_sum;
