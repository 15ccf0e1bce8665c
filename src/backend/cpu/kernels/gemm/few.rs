//! A matrix product with few rows of activations: weights are read once, in order and as they lie, because packing them would cost more than the
//! product. Every vector of weights that is loaded is multiplied with several tokens.

use super::super::dot::Dot;
use super::engine::Block;

/// Tokens that are multiplied at a time with four rows of weights.
const TOKENS: usize = 6;
/// Bytes between prepared tokens beyond their length, so that they do not compete for the same cache sets.
const STAGGER: usize = 64;

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
        let mut row = 0;
        while row < block.n {
            let rows = if block.m == 1 && block.n - row >= 8 {
                tokens::<D, ELEMENT, 8, 1>(block, row, 0, stride);
                8
            } else if block.n - row >= 4 {
                all_tokens::<D, ELEMENT, 4>(block, row, stride);
                4
            } else {
                all_tokens::<D, ELEMENT, 1>(block, row, stride);
                1
            };
            row += rows;
        }
    }
}

/// Multiplies some rows with all tokens.
///
/// # Safety
/// As for [`product`].
#[inline(always)]
unsafe fn all_tokens<D: Dot, const ELEMENT: usize, const ROWS: usize>(block: &Block, row: usize, stride: usize) {
    let mut token = 0;
    // SAFETY: the caller's.
    unsafe {
        while token + TOKENS <= block.m {
            tokens::<D, ELEMENT, ROWS, TOKENS>(block, row, token, stride);
            token += TOKENS;
        }
        match block.m - token {
            5 => tokens::<D, ELEMENT, ROWS, 5>(block, row, token, stride),
            4 => tokens::<D, ELEMENT, ROWS, 4>(block, row, token, stride),
            3 => tokens::<D, ELEMENT, ROWS, 3>(block, row, token, stride),
            2 => tokens::<D, ELEMENT, ROWS, 2>(block, row, token, stride),
            1 => tokens::<D, ELEMENT, ROWS, 1>(block, row, token, stride),
            _ => {}
        }
    }
}

/// Multiplies some rows with some tokens.
///
/// # Safety
/// As for [`product`]; the rows and tokens are there.
#[inline(always)]
unsafe fn tokens<D: Dot, const ELEMENT: usize, const ROWS: usize, const TOKENS: usize>(
    block: &Block,
    first_row: usize,
    first_token: usize,
    stride: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let row_bytes = block.k * ELEMENT;
        let (weights, activations) = (block.b.add(first_row * row_bytes), block.scratch.add(first_token * stride));
        let mut sums = [[D::zero(); TOKENS]; ROWS];
        let mut at = 0;
        while at < block.k {
            for (row, sums) in sums.iter_mut().enumerate() {
                let weights = weights.add(row * row_bytes);
                for (token, sum) in sums.iter_mut().enumerate() {
                    *sum = D::step(*sum, weights, block.k, at, activations.add(token * stride));
                }
            }
            at += D::CHUNK;
        }
        for (row, sums) in sums.into_iter().enumerate() {
            for (token, sum) in sums.into_iter().enumerate() {
                let to = block.c.cast::<D::Result>().add((first_token + token) * block.stride + first_row + row);
                to.write(D::finish(sum, activations.add(token * stride), block.k));
            }
        }
    }
}
