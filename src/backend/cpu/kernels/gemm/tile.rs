//! The innermost part of a matrix product: a tile of sums held in registers.
//!
//! Work: 2 · ROWS · COLUMNS · k operations. Bound: the multiply-add issue rate; per step it loads ROWS words and VECTORS registers, which two
//! load ports deliver in less time than the multiply-adds take.

use super::super::prefetch;
use super::step::Step;

/// Adds the product of a packed panel of ROWS activations and one of VECTORS · WIDTH weights to a tile of C, or puts it there.
///
/// # Safety
/// The step's instruction set is available; the panels hold `words` words per row and column (and, with an offset, a row of starting sums);
/// the tile lies within C.
#[inline(always)]
pub(in super::super) unsafe fn tile<S: Step, const ROWS: usize, const VECTORS: usize>(
    words: usize,
    activations: *const S::Word,
    weights: *const S::Word,
    c: *mut S::Sum,
    stride: usize,
    accumulate: bool,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[S::zero(); VECTORS]; ROWS];
        if S::OFFSET {
            let start = activations.add(words * ROWS).cast::<S::Sum>();
            for (row, sums) in sums.iter_mut().enumerate() {
                *sums = [S::splat_sum(start.add(row).read()); VECTORS];
            }
        }
        if accumulate {
            // The sums so far come from far away, and are wanted only when the tile is done.
            for row in 0..ROWS {
                for vector in 0..VECTORS {
                    prefetch(c.add(row * stride + vector * S::WIDTH));
                }
            }
        }
        let (mut a, mut b) = (activations, weights);
        for _ in 0..words {
            let mut columns = [S::load(b); VECTORS];
            for (vector, column) in columns.iter_mut().enumerate().skip(1) {
                *column = S::load(b.add(vector * S::WIDTH));
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                let x = S::splat(a.add(row));
                for (sum, &column) in sums.iter_mut().zip(&columns) {
                    *sum = S::step(*sum, x, column);
                }
            }
            a = a.add(ROWS);
            b = b.add(VECTORS * S::WIDTH);
        }
        for (row, sums) in sums.into_iter().enumerate() {
            for (vector, sum) in sums.into_iter().enumerate() {
                let to = c.add(row * stride + vector * S::WIDTH);
                S::store_sums(if accumulate { S::add_sums(sum, S::load_sums(to)) } else { sum }, to);
            }
        }
    }
}
