//! Matrix–vector products: what the operands hold, and what must come out.

use std::cell::OnceCell;

use half::f16;

use super::element::{PERIOD, near};
use super::rows::{Rows, random, value};
use crate::backend::BackendError;
use crate::data::{Seed, bits};
use crate::dtype::{DType, Kind};

/// Integers of 4 bits that share a scale.
pub(in crate::backend) const GROUP: u64 = 128;
/// Seeds of matrices, of vectors and of scales.
const WEIGHTS: Seed = Seed(910);
const VECTOR: Seed = Seed(900);
const SCALES: Seed = Seed(901);

/// What a row of integers is multiplied by: a power of two, so that it rounds nothing.
fn row_scale(row: u64) -> f32 {
    1.0 / (1 << (4 + bits(SCALES, (row % PERIOD as u64) as u32) % 4)) as f32
}

/// What a group of integers is multiplied by: between 2⁻⁵ and 2⁻⁴.
fn group_scale(group: u64) -> f16 {
    f16::from_bits(0x2800 | (bits(SCALES, group as u32) & 0x3FF) as u16)
}

/// A matrix and a vector.
pub(in crate::backend) struct Operands {
    weights: DType,
    activations: DType,
    pub(in crate::backend) rows: u64,
    pub(in crate::backend) columns: u64,
    matrix: Rows,
    vector: Vec<u8>,
    /// Of the rows that differ: the exact result, and the size of what was added up.
    exact: OnceCell<Vec<(f64, f64)>>,
}

impl Operands {
    /// Seeded random operands of some formats.
    pub(in crate::backend) fn new((weights, activations): (DType, DType), rows: u64, columns: u64) -> Self {
        let elements = if weights == DType::Int4G128 { columns / 2 } else { columns };
        Self {
            weights,
            activations,
            rows,
            columns,
            matrix: Rows::new(weights, elements as usize, rows, WEIGHTS),
            vector: random(activations, VECTOR, columns as usize),
            exact: OnceCell::new(),
        }
    }

    /// The rows of the matrix, without scales.
    pub(in crate::backend) const fn matrix(&self) -> &Rows {
        &self.matrix
    }

    /// The vector, as it lies in memory.
    pub(in crate::backend) fn vector(&self) -> &[u8] {
        &self.vector
    }

    /// An element of the vector.
    pub(in crate::backend) fn activation(&self, index: usize) -> f64 {
        value(self.activations, &self.vector, index)
    }

    /// Whether there are scales beside the matrix.
    pub(in crate::backend) fn is_scaled(&self) -> bool {
        self.weights.format().kind == Kind::Integer
    }

    /// Groups of a row that share a scale.
    pub(in crate::backend) const fn groups(&self) -> u64 {
        self.columns / GROUP
    }

    /// Bytes of the scales: an f16 for each group, or an f32 for each row.
    pub(in crate::backend) fn scale_bytes(&self) -> u64 {
        match (self.weights, self.is_scaled()) {
            (DType::Int4G128, _) => self.rows * self.groups() * 2,
            (_, true) => self.rows * 4,
            (_, false) => 0,
        }
    }

    /// Fills a piece of the scales that begins at some byte.
    pub(in crate::backend) fn fill_scales(&self, start: u64, piece: &mut [u8]) {
        if self.weights == DType::Int4G128 {
            let groups = self.groups();
            for (at, scale) in (start / 2..).zip(piece.chunks_exact_mut(2)) {
                let group = at / groups % PERIOD as u64 * groups + at % groups;
                scale.copy_from_slice(&group_scale(group).to_bits().to_ne_bytes());
            }
            return;
        }
        for (row, scale) in (start / 4..).zip(piece.chunks_exact_mut(4)) {
            scale.copy_from_slice(&row_scale(row).to_ne_bytes());
        }
    }

    /// The value of a weight without its scale.
    fn weight(&self, row: &[u8], index: usize) -> f64 {
        if self.weights == DType::Int4G128 {
            f64::from(i32::from(row[index / 2] >> (index % 2 * 4) & 15) - 8)
        } else {
            value(self.weights, row, index)
        }
    }

    /// The scale of a weight.
    fn scale(&self, row: u64, index: u64) -> f64 {
        match (self.weights, self.is_scaled()) {
            (DType::Int4G128, _) => group_scale((row % PERIOD as u64) * self.groups() + index / GROUP).to_f64(),
            (_, true) => f64::from(row_scale(row)),
            (_, false) => 1.0,
        }
    }

    fn reference(&self) -> Vec<(f64, f64)> {
        let activations: Vec<f64> = (0..self.columns as usize).map(|index| self.activation(index)).collect();
        let of_row = |row: u64| {
            let bytes = self.matrix.row(row as usize);
            activations.iter().enumerate().fold((0.0, 0.0), |(sum, size), (index, x)| {
                let product = self.weight(bytes, index) * self.scale(row, index as u64) * x;
                (sum + product, size + product.abs())
            })
        };
        (0..self.rows.min(PERIOD as u64)).map(of_row).collect()
    }

    /// Checks a piece of the results, f32 each, that begins at some byte. Results may be off by a share of the size of what was added up.
    pub(in crate::backend) fn check(&self, rounding: f64, start: u64, piece: &[u8]) -> Result<(), String> {
        let period = self.exact.get_or_init(|| self.reference());
        for (row, result) in (start as usize / 4..self.rows as usize).zip(piece.chunks_exact(4)) {
            let (expected, size) = period[row % PERIOD];
            let found = value(DType::F32, result, 0);
            if !near(found, expected, rounding * size) {
                return Err(format!("row {row} is {found}, the reference says {expected}"));
            }
        }
        Ok(())
    }

    /// Checks that operands can be multiplied by kernels that take some rows at a time.
    pub(in crate::backend) fn refuse_sizes(rows: u64, columns: u64, at_once: u64) -> Result<(), BackendError> {
        if rows > 0 && columns > 0 && rows.is_multiple_of(at_once) && columns.is_multiple_of(256) {
            return Ok(());
        }
        Err(BackendError::unsupported(format!(
            "{rows} rows of {columns} are no multiple of {at_once} rows, of a multiple of 256"
        )))
    }
}
