//! A matrix product with few rows of activations: weights are read once, in order and as they lie, because packing them would cost more than the
//! product. Every vector of weights that is loaded is multiplied with several tokens.

use super::super::dot::Dot;
use super::super::{prefetch, prefetch_second};
use super::engine::Block;

/// Bytes between prepared tokens beyond their length, so that they do not compete for the same cache sets.
const STAGGER: usize = 64;
/// Bytes of a cache line.
const LINE: usize = 64;
/// Bytes ahead that weights are asked for from the second-level cache, into which they come a group of rows ahead.
const NEAR: usize = 512;

/// Bytes of scratch for the prepared tokens.
pub(super) const fn scratch(block: &Block) -> usize {
    block.m * (4 * block.k + STAGGER + 64)
}

/// Computes a block of C, for elements of `ELEMENT` bytes.
///
/// # Safety
/// The instruction set of the dot product is available; the matrices have the sizes given, the columns are a multiple of `CHUNK`, and the scratch is
/// as large as [`scratch`] says.
#[inline(always)]
pub(super) unsafe fn product<D: Dot, const ELEMENT: usize>(block: &Block) {
    let stride = (4 * block.k + STAGGER).next_multiple_of(64);
    // SAFETY: the caller's.
    unsafe {
        for token in 0..block.m {
            D::prepare(block.a.add(token * block.k * ELEMENT), block.k, block.scratch.add(token * stride));
        }
        // As few passes over a group of rows as there are sums for, of as many tokens each as they can.
        let most = if D::REGISTERS >= 32 { 8 } else { 4 };
        let tokens = block.m.div_ceil(block.m.div_ceil(most));
        // As many rows as leave room for their weights and the tokens' activations beside the sums.
        match (D::REGISTERS >= 32, tokens) {
            (true, 7..) => groups::<D, ELEMENT, 3>(block, tokens, stride),
            (true, 4..) => groups::<D, ELEMENT, 4>(block, tokens, stride),
            (true, _) => groups::<D, ELEMENT, 8>(block, tokens, stride),
            (false, 3..) => groups::<D, ELEMENT, 2>(block, tokens, stride),
            (false, _) => groups::<D, ELEMENT, 4>(block, tokens, stride),
        }
    }
}

/// Goes through the rows in groups of `ROWS`.
///
/// # Safety
/// As for [`product`].
#[inline(always)]
unsafe fn groups<D: Dot, const ELEMENT: usize, const ROWS: usize>(block: &Block, tokens: usize, stride: usize) {
    let mut row = 0;
    // SAFETY: the caller's.
    unsafe {
        while row + ROWS <= block.n {
            passes::<D, ELEMENT, ROWS>(block, row, tokens, stride);
            row += ROWS;
        }
        for row in row..block.n {
            passes::<D, ELEMENT, 1>(block, row, tokens, stride);
        }
    }
}

/// Multiplies some rows with all tokens, a number of them at a time.
///
/// # Safety
/// As for [`product`].
#[inline(always)]
unsafe fn passes<D: Dot, const ELEMENT: usize, const ROWS: usize>(
    block: &Block,
    row: usize,
    tokens: usize,
    stride: usize,
) {
    for first in (0..block.m).step_by(tokens) {
        // SAFETY: the caller's.
        unsafe {
            match tokens.min(block.m - first) {
                8 => pass::<D, ELEMENT, ROWS, 8>(block, row, first, stride),
                7 => pass::<D, ELEMENT, ROWS, 7>(block, row, first, stride),
                6 => pass::<D, ELEMENT, ROWS, 6>(block, row, first, stride),
                5 => pass::<D, ELEMENT, ROWS, 5>(block, row, first, stride),
                4 => pass::<D, ELEMENT, ROWS, 4>(block, row, first, stride),
                3 => pass::<D, ELEMENT, ROWS, 3>(block, row, first, stride),
                2 => pass::<D, ELEMENT, ROWS, 2>(block, row, first, stride),
                _ => pass::<D, ELEMENT, ROWS, 1>(block, row, first, stride),
            }
        }
    }
}

/// Multiplies some rows with some tokens. The first pass asks for the rows of the next group: rows are too short for the hardware to see where they lead.
///
/// # Safety
/// As for [`product`]; the rows and tokens are there.
#[inline(always)]
unsafe fn pass<D: Dot, const ELEMENT: usize, const ROWS: usize, const TOKENS: usize>(
    block: &Block,
    first_row: usize,
    first_token: usize,
    stride: usize,
) {
    // Whole lines of weights at a time.
    let steps = (LINE / (D::CHUNK * ELEMENT)).max(1);
    // SAFETY: the caller's; a prefetch of any address is harmless.
    unsafe {
        let row_bytes = block.k * ELEMENT;
        let (weights, activations) = (block.b.add(first_row * row_bytes), block.scratch.add(first_token * stride));
        let mut sums = [[D::zero(); TOKENS]; ROWS];
        let mut at = 0;
        while at < block.k {
            if first_token == 0 {
                for row in 0..ROWS {
                    for line in (0..(D::CHUNK * ELEMENT).max(LINE)).step_by(LINE) {
                        let weights = weights.wrapping_add(row * row_bytes + at * ELEMENT + line);
                        prefetch_second(weights.wrapping_add(ROWS * row_bytes));
                        prefetch(weights.wrapping_add(NEAR));
                    }
                }
            }
            for step in 0..steps {
                let at = at + step * D::CHUNK;
                for (row, sums) in sums.iter_mut().enumerate() {
                    let weights = weights.add(row * row_bytes);
                    for (token, sum) in sums.iter_mut().enumerate() {
                        *sum = D::step(*sum, weights, block.k, at, activations.add(token * stride));
                    }
                }
            }
            at += steps * D::CHUNK;
        }
        for (row, sums) in sums.into_iter().enumerate() {
            for (token, sum) in sums.into_iter().enumerate() {
                let to = block.c.cast::<D::Result>().add((first_token + token) * block.stride + first_row + row);
                to.write(D::finish(sum, activations.add(token * stride), block.k));
            }
        }
    }
}
