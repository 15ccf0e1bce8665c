//! The formats of weights and of the cache: elements, the scales beside them, and what they are multiplied with.

use std::collections::BTreeMap;

use super::matrix::Role;
use crate::dtype::DType;
use crate::units::Bytes;

/// How a matrix is stored and computed with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeightFormat {
    /// Format of an element, scales included where the format itself has them (GGUF types, MXFP4, NVFP4).
    pub element: DType,
    /// Scales that are stored beside the elements.
    pub scales: Option<Scales>,
    /// Format of the vectors it is multiplied with: that of the matrix units in use.
    pub activations: DType,
    /// Zeros that are not stored.
    pub sparsity: Option<Sparsity>,
}

/// Scales, and zero points where there are any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scales {
    /// How many elements share one.
    pub shared_by: Granularity,
    /// Bits of a scale.
    pub bits: u32,
    /// Bits of a zero point; 0 where the format is symmetric.
    pub zero_bits: u32,
}

/// How many elements share a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// All of the matrix.
    Tensor,
    /// Those of one output.
    Row,
    /// So many inputs of one output.
    Group(u64),
    /// So many elements one after the other, wherever rows begin.
    Flat(u64),
    /// A rectangle of outputs and inputs.
    Block {
        /// Its outputs.
        outputs: u64,
        /// Its inputs.
        inputs: u64,
    },
}

/// Structured sparsity: of each group of elements, only some are stored, with an index each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sparsity {
    /// Elements that are stored of each group: 2 of 2:4.
    pub kept: u32,
    /// Elements of a group: 4 of 2:4.
    pub of: u32,
    /// Bits of a stored element's index.
    pub index_bits: u32,
    /// How many times faster the matrix units go than on a dense matrix.
    pub speedup: f64,
}

/// How keys and values are cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvFormat {
    /// Format of an element.
    pub element: DType,
    /// Bits of scales and zero points for each head's vector of a token; 0 without.
    pub scale_bits: u32,
}

/// The format of every matrix of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Precision {
    /// For each kind of layer, the formats of its matrices, by role.
    pub blocks: Vec<BTreeMap<Role, WeightFormat>>,
    /// The table of tokens.
    pub embedding: WeightFormat,
    /// The output head.
    pub head: WeightFormat,
    /// Norms and vectors.
    pub vectors: DType,
    /// The residual stream.
    pub activations: DType,
}

impl WeightFormat {
    /// Elements of a floating-point format without scales, multiplied with vectors of the same format.
    #[must_use]
    pub const fn plain(element: DType) -> Self {
        Self { element, scales: None, activations: element, sparsity: None }
    }

    /// Bytes of a matrix with some outputs and inputs.
    #[must_use]
    pub fn bytes(&self, outputs: u64, inputs: u64) -> Bytes {
        let (rows, columns) = (outputs as f64, inputs as f64);
        let format = self.element.format();
        let stored = self.sparsity.map_or(1.0, |sparsity| f64::from(sparsity.kept) / f64::from(sparsity.of));
        let index = self.sparsity.map_or(0.0, |sparsity| f64::from(sparsity.index_bits));
        let element = (f64::from(format.bits) + index) * stored;
        let own_scales = (inputs.div_ceil(u64::from(format.block)) as f64) * f64::from(format.scale_bits);
        let scales = self
            .scales
            .map_or(0.0, |scales| scales.shared_by.count(outputs, inputs) * f64::from(scales.bits + scales.zero_bits));
        Bytes(((element * columns + own_scales) * rows + scales) / 8.0)
    }
}

impl Granularity {
    /// Scales of a matrix with some outputs and inputs.
    fn count(self, outputs: u64, inputs: u64) -> f64 {
        let (rows, columns) = (outputs as f64, inputs as f64);
        match self {
            Self::Tensor => 1.0,
            Self::Row => rows,
            Self::Group(group) => rows * (columns / group.max(1) as f64).ceil(),
            Self::Flat(elements) => (rows * columns / elements.max(1) as f64).ceil(),
            Self::Block { outputs, inputs } => {
                (rows / outputs.max(1) as f64).ceil() * (columns / inputs.max(1) as f64).ceil()
            }
        }
    }
}

impl KvFormat {
    /// Elements without scales.
    #[must_use]
    pub const fn plain(element: DType) -> Self {
        Self { element, scale_bits: 0 }
    }

    /// Bytes of one head's vector of a token.
    #[must_use]
    pub fn bytes(self, head_dim: u64) -> Bytes {
        Bytes(head_dim as f64 * self.element.bytes_per_element() + f64::from(self.scale_bits) / 8.0)
    }
}

impl Precision {
    /// The format of a matrix in a layer of some kind; the residual stream's where nothing else is known.
    #[must_use]
    pub fn of(&self, kind: usize, role: Role) -> WeightFormat {
        match role {
            Role::Embedding => self.embedding,
            Role::Head => self.head,
            _ => self
                .blocks
                .get(kind)
                .and_then(|formats| formats.get(&role))
                .copied()
                .unwrap_or_else(|| WeightFormat::plain(self.activations)),
        }
    }
}
