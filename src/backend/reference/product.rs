//! Verification of matrix products: every element takes part in a weighted sum of its row that is known another way (Freivalds' check), and some are computed anew one
//! by one.

use super::element::near;
use crate::data::{Seed, bits};

/// Seed of the weights of a sum.
const SIGNS: Seed = Seed(103);
/// Elements that are computed anew.
const SPOTS: u32 = 64;

/// The sizes of a product: rows of A and C, columns of C and rows of B, and the length that is summed over.
#[derive(Clone, Copy, Debug)]
pub(in crate::backend) struct Sizes {
    pub(in crate::backend) m: usize,
    pub(in crate::backend) n: usize,
    pub(in crate::backend) k: usize,
}

/// Checks C = A · Bᵀ, of which functions give the exact values of rows. Sums are rounded by `rounding`, relative, or not at all.
pub(in crate::backend) fn check<A, B, C>(
    Sizes { m, n, k }: Sizes,
    rounding: f64,
    a_row: impl Fn(usize) -> A,
    b_row: impl Fn(usize) -> B,
    c_row: impl Fn(usize) -> C,
) -> Result<(), String>
where
    A: Iterator<Item = f64>,
    B: Iterator<Item = f64>,
    C: Iterator<Item = f64>,
{
    let sign = |column: usize| if bits(SIGNS, column as u32) & 1 == 0 { 1.0 } else { -1.0 };
    let mut weighted = vec![0.0_f64; k];
    for column in 0..n {
        let sign = sign(column);
        for (sum, element) in weighted.iter_mut().zip(b_row(column)) {
            *sum += sign * element;
        }
    }
    // A sum of k products of numbers below 1 is rounded about k times by half a unit, in random directions, and so are n such sums. A kernel that
    // leaves out or mistakes a part of a row is off by many products; a single mistaken product is found among the spots, or where rows are short.
    let (depth, width) = (k as f64, n as f64);
    let scale = if rounding == 0.0 { 0.0 } else { rounding * depth.sqrt() * (depth / 9.0).sqrt() };
    for row in 0..m {
        let expected: f64 = a_row(row).zip(&weighted).map(|(a, b)| a * b).sum();
        let found: f64 = c_row(row).enumerate().map(|(column, c)| sign(column) * c).sum();
        if !near(found, expected, 6.0 * scale * width.sqrt()) {
            return Err(format!("row {row}: its signed sum is {found}, the reference says {expected}"));
        }
    }
    for spot in 0..SPOTS {
        let (row, column) = (bits(Seed(7), spot) as usize % m, bits(Seed(8), spot) as usize % n);
        let expected: f64 = a_row(row).zip(b_row(column)).map(|(a, b)| a * b).sum();
        let found = c_row(row).nth(column).unwrap_or(f64::NAN);
        if !near(found, expected, 6.0 * scale) {
            return Err(format!("row {row}, column {column}: {found}, the reference says {expected}"));
        }
    }
    Ok(())
}
