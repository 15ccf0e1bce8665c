//! Verification of matrix products: every element takes part in a weighted sum of its row that is known another way (Freivalds' check), and some are
//! computed anew one by one.

use std::marker::PhantomData;

use half::bf16;

use super::super::element::near;
use super::{Element, Gemm, fill_rows};
use crate::data::{Seed, bits};
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

/// Seeds of A, of B and of the weights of a sum.
const SEEDS: (Seed, Seed, Seed) = (Seed(101), Seed(102), Seed(103));
/// Elements of a block that are computed anew.
const SPOTS: u32 = 64;

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
        let sign = |column: usize| if bits(SEEDS.2, column as u32) & 1 == 0 { 1.0 } else { -1.0 };
        let mut weighted = vec![0.0_f64; k];
        for column in 0..n {
            let sign = sign(column);
            for (sum, element) in weighted.iter_mut().zip(b_row(column)) {
                *sum += sign * element.value();
            }
        }
        // A sum of k products of numbers below 1 is rounded about k times by half a unit, in random directions, and so are n such sums. A kernel that
        // leaves out or mistakes a part of a row is off by many products; a single mistaken product is found among the spots, or where rows are short.
        let (depth, width) = (k as f64, n as f64);
        let scale = if S::ROUNDING == 0.0 { 0.0 } else { S::ROUNDING * depth.sqrt() * (depth / 9.0).sqrt() };
        for row in 0..m {
            let expected: f64 = a_row(row).iter().zip(&weighted).map(|(a, b)| a.value() * b).sum();
            let found: f64 = c_row(row).iter().enumerate().map(|(column, c)| sign(column) * c.value()).sum();
            if !near(found, expected, 6.0 * scale * width.sqrt()) {
                return Err(format!("row {row}: its signed sum is {found}, the reference says {expected}"));
            }
        }
        for spot in 0..SPOTS {
            let (row, column) = (bits(Seed(7), spot) as usize % m, bits(Seed(8), spot) as usize % n);
            let expected: f64 = a_row(row).iter().zip(b_row(column)).map(|(a, b)| a.value() * b.value()).sum();
            let found = c_row(row)[column].value();
            if !near(found, expected, 6.0 * scale) {
                return Err(format!("row {row}, column {column}: {found}, the reference says {expected}"));
            }
        }
        Ok(())
    }
}
