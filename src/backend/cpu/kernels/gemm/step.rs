//! What a matrix product does over and over: multiplies a group of elements and adds the products to a register of sums.

use super::super::element::Element;

/// One format's multiply-add on the vectors of one instruction set.
///
/// Implementations are `#[inline(always)]`: they become part of a caller that has the instruction set enabled.
pub(in super::super) trait Step: 'static {
    /// Elements of both factors, as they lie in memory.
    type Element: Element;
    /// Elements of the result.
    type Sum: Element;
    /// A group of elements as it is packed for the kernel.
    type Word: Copy + 'static;
    /// A register of sums.
    type Sums: Copy;
    /// A register of words.
    type Factor: Copy;

    /// Elements in a word.
    const GROUP: usize;
    /// Words in a register.
    const WIDTH: usize;
    /// Whether weights are packed with 128 added, because the instruction multiplies unsigned by signed. What that adds to a sum is 128 times the
    /// sum of its activations, and is taken off again.
    const OFFSET: bool = false;

    /// # Safety
    /// The instruction set is available.
    unsafe fn zero() -> Self::Sums;

    /// A register of the same sum everywhere.
    ///
    /// # Safety
    /// The instruction set is available.
    unsafe fn splat_sum(sum: Self::Sum) -> Self::Sums;

    /// One word everywhere.
    ///
    /// # Safety
    /// The instruction set is available; a word can be read.
    unsafe fn splat(from: *const Self::Word) -> Self::Factor;

    /// # Safety
    /// The instruction set is available; `WIDTH` words can be read.
    unsafe fn load(from: *const Self::Word) -> Self::Factor;

    /// `sums + activations · weights`.
    ///
    /// # Safety
    /// The instruction set is available.
    unsafe fn step(sums: Self::Sums, activations: Self::Factor, weights: Self::Factor) -> Self::Sums;

    /// # Safety
    /// The instruction set is available; `WIDTH` sums can be read.
    unsafe fn load_sums(from: *const Self::Sum) -> Self::Sums;

    /// # Safety
    /// The instruction set is available; `WIDTH` sums can be written.
    unsafe fn store_sums(sums: Self::Sums, to: *mut Self::Sum);

    /// # Safety
    /// The instruction set is available.
    unsafe fn add_sums(a: Self::Sums, b: Self::Sums) -> Self::Sums;

    /// The sum of two results.
    fn add(a: Self::Sum, b: Self::Sum) -> Self::Sum;

    /// The word of a group of activations.
    ///
    /// # Safety
    /// `GROUP` elements can be read.
    unsafe fn activation(from: *const Self::Element) -> Self::Word;

    /// The word of a group of weights.
    ///
    /// # Safety
    /// `GROUP` elements can be read.
    unsafe fn weight(from: *const Self::Element) -> Self::Word {
        // SAFETY: the caller's.
        unsafe { Self::activation(from) }
    }

    /// What a row of activations starts its sums with, when weights are packed with an offset.
    ///
    /// # Safety
    /// `elements` elements can be read.
    unsafe fn start(_from: *const Self::Element, _elements: usize) -> Option<Self::Sum> {
        None
    }

    /// Packs rows of a matrix so that word k of all rows lies together: `to[k · rows + row]`. What rows beyond
    /// `present` become does not matter: their results are dropped.
    ///
    /// # Safety
    /// The instruction set is available; `present` rows of `words` words, `stride` elements apart, can be read; `words · ROWS` words and 16
    /// more can be written. At least one row is present.
    #[inline(always)]
    unsafe fn pack<const ROWS: usize, const WEIGHTS: bool>(
        from: *const Self::Element,
        stride: usize,
        present: usize,
        words: usize,
        to: *mut Self::Word,
    ) {
        // SAFETY: the caller's: all indices are below the numbers given.
        unsafe {
            for word in 0..words {
                for row in 0..ROWS {
                    let source = from.add(row.min(present - 1) * stride + word * Self::GROUP);
                    *to.add(word * ROWS + row) = if WEIGHTS { Self::weight(source) } else { Self::activation(source) };
                }
            }
        }
    }
}
