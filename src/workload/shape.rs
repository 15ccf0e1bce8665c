//! Sizes of the operators that inference is made of: matrix products and attention.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Work;
use crate::dtype::DType;

/// The shape of a matrix product C[m, n] = A[m, k] · B[n, k]ᵀ. In a language model, m counts tokens and B holds weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Shape {
    /// Rows of A and C: tokens.
    pub m: u64,
    /// Rows of B, columns of C: outputs.
    pub n: u64,
    /// The length that is summed over: inputs.
    pub k: u64,
}

impl Shape {
    /// A product of square matrices.
    #[must_use]
    pub const fn square(size: u64) -> Self {
        Self { m: size, n: size, k: size }
    }

    /// The exact work of one product, each matrix moved once: 2·m·n·k operations.
    #[must_use]
    pub fn work(self, input: DType, accumulate: DType) -> Work {
        let Self { m, n, k } = self;
        let size = |elements: u64, dtype: DType| (elements as f64 * dtype.bytes_per_element()).ceil() as u64;
        Work {
            ops: m.saturating_mul(n).saturating_mul(k).saturating_mul(2),
            bytes_read: size(m.saturating_mul(k).saturating_add(n.saturating_mul(k)), input),
            bytes_written: size(m.saturating_mul(n), accumulate),
            events: 0,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}×{}×{}", self.m, self.n, self.k))
    }
}

/// A text that is no shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a shape such as `16x4096x4096` (m, n and k, all above 0)")]
pub struct ParseShapeError(String);

impl FromStr for Shape {
    type Err = ParseShapeError;

    fn from_str(text: &str) -> Result<Self, ParseShapeError> {
        let error = || ParseShapeError(text.to_owned());
        let sizes: Vec<u64> = text
            .split(['x', '×', ','])
            .map(|size| size.trim().parse().ok().filter(|&size| size > 0).ok_or_else(error))
            .collect::<Result<_, _>>()?;
        let &[m, n, k] = sizes.as_slice() else { return Err(error()) };
        Ok(Self { m, n, k })
    }
}

/// Heads of an attention layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Query heads that share one head of keys and values.
    pub group: u64,
    /// Elements of a head.
    pub dim: u64,
}

/// The heads that attention is measured with: those of Llama 3 8B, Qwen 3 8B and Mistral 7B (32 query heads, 8 of keys and values, 128 elements).
pub const HEADS: Heads = Heads { group: 4, dim: 128 };

/// Elements of a row that row-wise operators and matrix–vector products are measured with: the hidden size of 7-8B models.
pub const ROW: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn work_is_exact() {
        let work = Shape { m: 2, n: 3, k: 5 }.work(DType::Bf16, DType::F32);
        assert_eq!(work, Work { ops: 60, bytes_read: 2 * (10 + 15), bytes_written: 4 * 6, events: 0 });
    }

    #[test]
    fn what_is_no_shape_is_refused() {
        for text in ["", "1x2", "1x2x3x4", "0x1x1", "-1x2x3", "axbxc"] {
            assert!(text.parse::<Shape>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn shapes_survive_the_round_trip(m in 1_u64.., n in 1_u64.., k in 1_u64..) {
            let shape = Shape { m, n, k };
            prop_assert_eq!(shape.to_string().parse(), Ok(shape));
            prop_assert!(shape.work(DType::F64, DType::F64).ops > 0);
        }
    }
}
