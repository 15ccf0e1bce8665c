//! The innermost part of a matrix product: a tile of sums held in registers.
//!
//! Work: 2 · ROWS · COLUMNS · k operations. Bound: the multiply-add issue rate; per step it loads ROWS words and VECTORS registers, which two
//! load ports deliver in less time than the multiply-adds take.

use super::super::{prefetch, prefetch_second};
use super::step::Step;

/// Words that a tile goes on by at a time, so that counting and asking ahead cost little: cores whose threads share the front end feel it.
const AT_ONCE: usize = 4;
/// Words ahead that weights are asked for: the hardware follows the activations' narrow panel, but falls behind on this one.
const AHEAD: usize = 16;
/// Groups of words after which the next row of C is asked for.
const ROW_EVERY: usize = 4;
/// Bytes that are asked for at a time.
const LINE: usize = 64;

/// Bytes of what comes next that a tile over some words asks for.
pub(in super::super) const fn asked(words: usize) -> usize {
    words / AT_ONCE * LINE
}

/// Adds the product of a packed panel of ROWS activations and the first VECTORS · WIDTH of a packed panel of COLUMNS weights to a tile of C, or
/// puts it there. Meanwhile it asks for [`asked`] bytes from `next` on, which are wanted some tiles later.
///
/// # Safety
/// The step's instruction set is available; the panels hold `words` words per row and column (and, with an offset, a row of starting sums),
/// which is a multiple of 4; the tile lies within C.
#[inline(always)]
pub(in super::super) unsafe fn tile<S: Step, const ROWS: usize, const VECTORS: usize, const COLUMNS: usize>(
    words: usize,
    activations: *const S::Word,
    weights: *const S::Word,
    next: *const u8,
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
        let (mut a, mut b, mut next) = (activations, weights, next);
        for group in 0..words / AT_ONCE {
            if group.is_multiple_of(ROW_EVERY) && group / ROW_EVERY < ROWS {
                // What the tile of C holds, or is stored over, comes from far away: a row at a time, so that the panels need not wait for it.
                for byte in (0..VECTORS * S::WIDTH * size_of::<S::Sum>()).step_by(LINE) {
                    prefetch(c.wrapping_add(group / ROW_EVERY * stride).cast::<u8>().wrapping_add(byte));
                }
            }
            for word in 0..AT_ONCE {
                let (a, b) = (a.add(word * ROWS), b.add(word * COLUMNS));
                let mut columns = [S::load(b); VECTORS];
                for (vector, column) in columns.iter_mut().enumerate().skip(1) {
                    *column = S::load(b.add(vector * S::WIDTH));
                }
                for byte in (0..VECTORS * S::WIDTH * size_of::<S::Word>()).step_by(LINE) {
                    prefetch(b.wrapping_add(AHEAD * COLUMNS).cast::<u8>().wrapping_add(byte));
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let x = S::splat(a.add(row));
                    for (sum, &column) in sums.iter_mut().zip(&columns) {
                        *sum = S::step(*sum, x, column);
                    }
                }
            }
            prefetch_second(next);
            next = next.wrapping_add(LINE);
            a = a.add(AT_ONCE * ROWS);
            b = b.add(AT_ONCE * COLUMNS);
        }
        for (row, sums) in sums.into_iter().enumerate() {
            for (vector, sum) in sums.into_iter().enumerate() {
                let to = c.add(row * stride + vector * S::WIDTH);
                S::store_sums(if accumulate { S::add_sums(sum, S::load_sums(to)) } else { sum }, to);
            }
        }
    }
}
