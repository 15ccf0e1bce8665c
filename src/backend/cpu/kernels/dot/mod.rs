//! Dot products of weight rows with activations, without packing: what a product with few rows of activations is made of.
//!
//! Weights are read once and in order, from as many rows at a time as registers allow, so that activations are loaded once for all of them.

use super::prefetch_stream;

#[cfg(target_arch = "x86_64")]
pub(super) mod vnni;
pub(super) mod wide;
#[cfg(target_arch = "x86_64")]
pub(super) mod x86;

/// How a weight row is multiplied with activations, for one format on one instruction set.
///
/// Implementations are `#[inline(always)]`: they become part of a caller that has the instruction set enabled.
pub(super) trait Dot {
    /// Running sums of one row.
    type Sums: Copy;
    /// The sum of all products.
    type Result: Copy;

    /// Elements of a step.
    const CHUNK: usize;
    /// Bytes of weights that a step reads in order.
    const BYTES: usize;
    /// Vectors that the instruction set has room for.
    const REGISTERS: usize;

    /// # Safety
    /// The instruction set is available.
    unsafe fn zero() -> Self::Sums;

    /// Adds the products of elements `at..at + CHUNK` of a row of `columns` elements. Activations are prepared as [`Dot::prepare`] does.
    ///
    /// # Safety
    /// The instruction set is available; row and activations are whole; `at` is a multiple of `CHUNK` below `columns`.
    unsafe fn step(sums: Self::Sums, row: *const u8, columns: usize, at: usize, activations: *const u8) -> Self::Sums;

    /// The sum of all products.
    ///
    /// # Safety
    /// The instruction set is available; the activations are the prepared ones.
    unsafe fn finish(sums: Self::Sums, activations: *const u8, columns: usize) -> Self::Result;

    /// Brings activations into the form that `step` wants: at most 4 bytes for each.
    ///
    /// # Safety
    /// The instruction set is available; `columns` activations can be read, and four times as many bytes written.
    unsafe fn prepare(activations: *const u8, columns: usize, prepared: *mut u8);
}

/// Some weight rows times one vector: `results[row] = row · activations`.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    /// The first row.
    pub(super) weights: *const u8,
    /// Bytes from a row to the next.
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Activations as they lie in memory, and room for them in the form that the kernel wants.
    pub(super) activations: *const u8,
    pub(super) prepared: *mut u8,
    pub(super) results: *mut f32,
}

/// Multiplies `AT_ONCE` rows at a time with one vector. They lie far apart, so that each is the head of a stream through memory; `AHEAD` asks for what
/// these streams come to next.
///
/// # Safety
/// The instruction set of the dot product is available; rows come in multiples of `AT_ONCE`, columns of `CHUNK`; everything lies where `rows` says.
#[inline(always)]
pub(super) unsafe fn multiply<D: Dot<Result = f32>, const AT_ONCE: usize, const AHEAD: bool>(rows: &Rows) {
    let &Rows { weights, stride, columns, prepared, results, .. } = rows;
    let apart = rows.rows / AT_ONCE;
    // SAFETY: the caller's; a prefetch of any address is harmless.
    unsafe {
        D::prepare(rows.activations, columns, prepared);
        for first in 0..apart {
            let start = weights.add(first * stride);
            let mut bytes = 0;
            let mut sums = [D::zero(); AT_ONCE];
            let mut at = 0;
            while at < columns {
                for (row, sums) in sums.iter_mut().enumerate() {
                    let row = start.add(row * apart * stride);
                    if AHEAD {
                        for line in (0..D::BYTES).step_by(64) {
                            prefetch_stream(row.wrapping_add(bytes + line));
                        }
                    }
                    *sums = D::step(*sums, row, columns, at, prepared);
                }
                at += D::CHUNK;
                bytes += D::BYTES;
            }
            for (row, sums) in sums.into_iter().enumerate() {
                results.add(first + row * apart).write(D::finish(sums, prepared, columns));
            }
        }
    }
}
