//! An engine: one way to compute a block of a matrix product. A row in a table of its architecture.

use super::blocked::Blocking;
use super::step::Step;
use crate::backend::cpu::kernels::element::Element;
use crate::dtype::DType;

/// One lane's block of a product.
#[derive(Clone, Copy)]
pub(super) struct Block {
    /// Its first row of activations; rows lie `k` elements apart.
    pub(super) a: *const u8,
    /// Its first row of weights; rows lie `k` elements apart.
    pub(super) b: *const u8,
    /// Its first result.
    pub(super) c: *mut u8,
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    /// Elements from a row of C to the next.
    pub(super) stride: usize,
    /// Room for packing, aligned to 64 bytes.
    pub(super) scratch: *mut u8,
    pub(super) blocking: Blocking,
}

/// One way to compute a block.
pub(super) struct Engine {
    /// What it is, for the profile.
    pub(super) name: &'static str,
    pub(super) input: DType,
    pub(super) accumulate: DType,
    /// Whether this machine can run it.
    pub(super) available: fn() -> bool,
    /// Most rows of activations it is meant for.
    pub(super) most_rows: usize,
    /// Bytes of a packed word; 0 where nothing is packed.
    pub(super) word: usize,
    /// Bytes of scratch it needs for blocks of these sizes.
    pub(super) scratch: fn(&Block) -> usize,
    /// Computes a block. Needs what `available` looks for, and a `k` that is a multiple of 64.
    pub(super) product: unsafe fn(&Block),
}

/// A row of the table: a step with its tile, compiled for some features.
macro_rules! engine {
    ($name:literal, $step:ty, $available:expr, $rows:literal, $vectors:literal, $columns:literal $(, $features:literal)?) => {
        $crate::backend::cpu::kernels::gemm::engine::Engine {
            name: $name,
            input: $crate::backend::cpu::kernels::gemm::engine::input::<$step>(),
            accumulate: $crate::backend::cpu::kernels::gemm::engine::accumulate::<$step>(),
            available: $available,
            most_rows: usize::MAX,
            word: size_of::<<$step as $crate::backend::cpu::kernels::gemm::step::Step>::Word>(),
            scratch: |block| block.blocking.scratch::<$step>($rows, $columns),
            product: {
                $(#[target_feature(enable = $features)])?
                unsafe fn product(block: &$crate::backend::cpu::kernels::gemm::engine::Block) {
                    // SAFETY: the caller's; this function has the instruction set enabled.
                    unsafe { $crate::backend::cpu::kernels::gemm::blocked::product::<$step, $rows, $vectors, $columns>(block) }
                }
                product
            },
        }
    };
}
pub(super) use engine;

/// A row of the table for few rows of activations: a dot product, compiled for some features.
macro_rules! few {
    ($name:literal, $dot:ty, $input:expr, $accumulate:expr, $available:expr, $most_rows:literal $(, $features:literal)?) => {
        $crate::backend::cpu::kernels::gemm::engine::Engine {
            name: $name,
            input: $input,
            accumulate: $accumulate,
            available: $available,
            most_rows: $most_rows,
            word: 0,
            scratch: $crate::backend::cpu::kernels::gemm::few::scratch,
            product: {
                $(#[target_feature(enable = $features)])?
                unsafe fn product(block: &$crate::backend::cpu::kernels::gemm::engine::Block) {
                    const ELEMENT: usize = $input.format().bits as usize / 8;
                    // SAFETY: the caller's; this function has the instruction set enabled.
                    unsafe { $crate::backend::cpu::kernels::gemm::few::product::<$dot, ELEMENT>(block) }
                }
                product
            },
        }
    };
}
pub(super) use few;

/// A row of the table of prefill attention: a vector and a step with its tile, compiled for some features.
macro_rules! prefill {
    ($name:literal, $vector:ty, $step:ty, $available:expr, $rows:literal, $vectors:literal, $columns:literal $(, $features:literal)?) => {
        $crate::backend::cpu::kernels::attention::prefill::Engine {
            name: $name,
            available: $available,
            attend: {
                $(#[target_feature(enable = $features)])?
                unsafe fn attend(prompt: &$crate::backend::cpu::kernels::attention::prefill::Prompt) {
                    // SAFETY: the caller's; this function has the instruction set enabled.
                    unsafe {
                        $crate::backend::cpu::kernels::attention::prefill::attend::<$vector, $step, $rows, $vectors, $columns>(prompt)
                    }
                }
                attend
            },
        }
    };
}
pub(super) use prefill;

/// The format of a step's factors.
pub(super) const fn input<S: Step>() -> DType {
    <S::Element as Element>::DTYPE
}

/// The format of a step's sums.
pub(super) const fn accumulate<S: Step>() -> DType {
    <S::Sum as Element>::DTYPE
}
