//! Filling and verifying matrix products on the lanes' memory.

use std::marker::PhantomData;

use half::bf16;

use super::{Element, Gemm, fill_rows};
use crate::backend::reference::product::{Sizes, check};
use crate::data::Seed;
use crate::dtype::DType;

/// What depends on the formats of a product.
pub(super) struct Verifier {
    pub(super) input_bytes: usize,
    pub(super) sum_bytes: usize,
    /// Fills some rows of A, and the same of every copy of B.
    pub(super) fill: fn(&Gemm, (usize, usize), (usize, usize)),
    /// Fills a lane's block of C with poison.
    pub(super) poison: fn(&Gemm, usize),
    /// Checks a lane's block of C, which was multiplied with a copy of B.
    pub(super) check: fn(&Gemm, usize, u64) -> Result<(), String>,
}

impl Verifier {
    pub(super) fn of(input: DType, accumulate: DType) -> Option<Self> {
        Some(match (input, accumulate) {
            (DType::F32, DType::F32) => Formats::<f32, f32>::VERIFIER,
            (DType::F64, DType::F64) => Formats::<f64, f64>::VERIFIER,
            (DType::Bf16, DType::F32) => Formats::<bf16, f32>::VERIFIER,
            (DType::Int8, DType::Int32) => Formats::<i8, i32>::VERIFIER,
            _ => return None,
        })
    }
}

struct Formats<T, S>(PhantomData<(T, S)>);

/// Seeds of A and of B.
const SEEDS: (Seed, Seed) = (Seed(101), Seed(102));

impl<T: Element, S: Element> Formats<T, S> {
    const VERIFIER: Verifier = Verifier {
        input_bytes: size_of::<T>(),
        sum_bytes: size_of::<S>(),
        fill: Self::fill,
        poison: Self::poison,
        check: Self::check,
    };

    fn fill(gemm: &Gemm, a: (usize, usize), b: (usize, usize)) {
        let k = gemm.shape.k as usize;
        let fill = |start: usize, rows: (usize, usize), seed: Seed| {
            // SAFETY: the rows lie within the matrix, and no other lane fills them.
            let rows_of_lane = unsafe {
                let first = gemm.memory.add(start).cast::<T>().add(rows.0 * k);
                std::slice::from_raw_parts_mut(first, (rows.1 - rows.0) * k)
            };
            // Each lane's rows have a seed of their own.
            fill_rows(rows_of_lane, k, Seed(seed.0 + 8 * rows.0 as u32));
        };
        fill(gemm.layout.a, a, SEEDS.0);
        for copy in 0..gemm.copies as usize {
            // Copies differ, so that a product with the wrong one is found out.
            fill(gemm.layout.b + copy * gemm.layout.copy, b, Seed(SEEDS.1.0 + 4096 * copy as u32));
        }
    }

    fn poison(gemm: &Gemm, lane: usize) {
        let block = gemm.block(lane, 0, gemm.variants[0].1);
        for row in 0..block.m {
            // SAFETY: the row lies within this lane's block of C.
            let row = unsafe { std::slice::from_raw_parts_mut(block.c.cast::<S>().add(row * block.stride), block.n) };
            row.fill(S::poison());
        }
    }

    fn check(gemm: &Gemm, lane: usize, copy: u64) -> Result<(), String> {
        let block = gemm.block(lane, copy, gemm.variants[0].1);
        let (m, n, k, stride) = (block.m, block.n, block.k, block.stride);
        if m == 0 || n == 0 {
            return Ok(());
        }
        // SAFETY, of all three: A and B are filled and not written now; the rows lie within them, and those of C within this lane's block.
        // SAFETY: as above.
        let a_row = |row: usize| unsafe { std::slice::from_raw_parts(block.a.cast::<T>().add(row * k), k) };
        // SAFETY: as above.
        let b_row = |row: usize| unsafe { std::slice::from_raw_parts(block.b.cast::<T>().add(row * k), k) };
        // SAFETY: as above.
        let c_row = |row: usize| unsafe { std::slice::from_raw_parts(block.c.cast::<S>().add(row * stride), n) };
        let sizes = Sizes { m, n, k };
        check(
            sizes,
            S::ROUNDING,
            |row| a_row(row).iter().map(|element| element.value()),
            |row| b_row(row).iter().map(|element| element.value()),
            |row| c_row(row).iter().map(|element| element.value()),
        )
    }
}
