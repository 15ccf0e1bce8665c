//! Streaming kernels. Multiply and add round as they would apart, because the factor is a power of two: results are bit-identical everywhere.

use std::ops::Range;

use crate::data::{Seed, unit_f32};
use crate::resource::StreamOp;

/// The factor of scale and triad.
pub(in crate::backend) const FACTOR: f32 = 0.5;

/// Fills a part of an array, from an index on, with its seeded data.
#[inline(always)]
pub(in crate::backend) fn fill(first: usize, part: &mut [f32], seed: Seed) {
    for (index, element) in part.iter_mut().enumerate() {
        *element = unit_f32(seed, (first + index) as u32);
    }
}

/// Recomputes the inputs from their seeds. Gives the index of the first difference in a part of the output that begins at an index.
#[inline(always)]
pub(in crate::backend) fn first_difference(
    op: StreamOp,
    first: usize,
    part: &[f32],
    seeds: [Seed; 2],
) -> Option<usize> {
    let differs = |index: usize, result: f32| expected(op, first + index, seeds).to_bits() != result.to_bits();
    // Counting has no early exit and is vectorised; the search that follows a failure need not be fast.
    let differences = match op {
        StreamOp::Read => 0,
        StreamOp::Write => count(part, |_| FACTOR),
        StreamOp::Copy => count(part, |i| expected(StreamOp::Copy, first + i, seeds)),
        StreamOp::Scale => count(part, |i| expected(StreamOp::Scale, first + i, seeds)),
        StreamOp::Add => count(part, |i| expected(StreamOp::Add, first + i, seeds)),
        StreamOp::Triad => count(part, |i| expected(StreamOp::Triad, first + i, seeds)),
    };
    if differences == 0 {
        return None;
    }
    part.iter().enumerate().position(|(index, &result)| differs(index, result)).map(|index| first + index)
}

#[inline(always)]
fn count(part: &[f32], expected: impl Fn(usize) -> f32) -> u64 {
    part.iter().enumerate().map(|(i, result)| u64::from(expected(i).to_bits() != result.to_bits())).sum()
}

/// An element of the output.
#[inline(always)]
pub(in crate::backend) fn expected(op: StreamOp, index: usize, [first, second]: [Seed; 2]) -> f32 {
    let a = unit_f32(first, index as u32);
    let b = unit_f32(second, index as u32);
    match op {
        StreamOp::Read | StreamOp::Copy => a,
        StreamOp::Write => FACTOR,
        StreamOp::Scale => a * FACTOR,
        StreamOp::Add => a + b,
        StreamOp::Triad => a * FACTOR + b,
    }
}

/// The checksum of all that a read loads.
#[inline(always)]
pub(in crate::backend) fn checksum(elements: usize, seed: Seed) -> u32 {
    checksum_of(0..elements, seed)
}

/// The checksum of some elements.
#[inline(always)]
pub(in crate::backend) fn checksum_of(elements: Range<usize>, seed: Seed) -> u32 {
    elements.fold(0, |sum, index| sum.wrapping_add(unit_f32(seed, index as u32).to_bits()))
}
