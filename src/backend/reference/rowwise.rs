//! Operators on rows of activations.

use super::element::{Element, PERIOD, near};
use super::rows::{Rows, value};
use crate::data::Seed;
use crate::dtype::DType;
use crate::resource::RowwiseOp;
use crate::workload::{HEADS, ROW};

const LENGTH: usize = ROW as usize;
const HEAD: usize = HEADS.dim as usize;

/// What a norm adds to the mean square.
pub(in crate::backend) const EPSILON: f32 = 1e-6;

/// Elements of the table that an operator needs beside its rows: weights of a norm, or cosines and sines for each position.
pub(in crate::backend) const fn table(op: RowwiseOp) -> usize {
    match op {
        RowwiseOp::RmsNorm => LENGTH,
        RowwiseOp::Rope => PERIOD * HEAD,
        _ => 0,
    }
}

/// An element of the table.
pub(in crate::backend) fn table_of(op: RowwiseOp, index: usize) -> f32 {
    match op {
        RowwiseOp::RmsNorm => 0.5 + f32::random(Seed(940), index as u32) / 4.0,
        _ => {
            let (position, within) = (index / HEAD, index % HEAD);
            let angle = position as f64 * 10_000_f64.powf(-((within % (HEAD / 2)) as f64) / (HEAD / 2) as f64);
            if within < HEAD / 2 { angle.cos() as f32 } else { angle.sin() as f32 }
        }
    }
}

/// The exact results of a row, of which `x` gives the inputs: element so and so of array so and so.
pub(in crate::backend) fn row(op: RowwiseOp, row: usize, x: &dyn Fn(usize, usize) -> f64) -> Vec<f64> {
    let values = || (0..LENGTH).map(|index| x(0, index));
    match op {
        RowwiseOp::Softmax => {
            let largest = values().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = values().map(|value| (value - largest).exp()).sum();
            values().map(|value| (value - largest).exp() / sum).collect()
        }
        RowwiseOp::RmsNorm => {
            let mean = values().map(|value| value * value).sum::<f64>() / LENGTH as f64;
            let factor = 1.0 / (mean + f64::from(EPSILON)).sqrt();
            values().enumerate().map(|(i, value)| value * factor * f64::from(table_of(op, i))).collect()
        }
        RowwiseOp::SiluMul => values().enumerate().map(|(i, gate)| gate / (1.0 + (-gate).exp()) * x(1, i)).collect(),
        RowwiseOp::Rope => (0..LENGTH)
            .map(|index| {
                let (within, half) = (index % HEAD, HEAD / 2);
                let angle = |part: usize| f64::from(table_of(op, row % PERIOD * HEAD + part * half + within % half));
                let partner = x(0, if within < half { index + half } else { index - half });
                x(0, index) * angle(0) + if within < half { -partner } else { partner } * angle(1)
            })
            .collect(),
        RowwiseOp::Add => values().enumerate().map(|(i, value)| value + x(1, i)).collect(),
        RowwiseOp::Gather => values().collect(),
    }
}

/// How near a result has to be: results are rounded to their format, once or twice, and what is computed in f32 on the way a little too.
pub(in crate::backend) fn tolerance(op: RowwiseOp, rounding: f64, expected: f64) -> f64 {
    (4.0 * rounding + 2e-5) * (expected.abs() + 1e-2 / LENGTH as f64).max(floor(op))
}

/// Size of the numbers that results are differences of: where those cancel, what remains is not more exact.
const fn floor(op: RowwiseOp) -> f64 {
    match op {
        RowwiseOp::Rope | RowwiseOp::Add => 1.0,
        _ => 0.0,
    }
}

/// A step through all rows that visits each once, far from the last.
pub(in crate::backend) fn coprime_near_golden_section(rows: usize) -> usize {
    let divisor = |mut a: usize, mut b: usize| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let near = (rows as f64 * 0.618) as usize;
    (near.max(1)..=rows.max(1)).find(|&jump| divisor(jump, rows) == 1).unwrap_or(1)
}

/// Seeds of the arrays that are read.
const SEEDS: [Seed; 2] = [Seed(950), Seed(951)];

/// The rows that an operator is given on a GPU.
pub(in crate::backend) struct Operands {
    op: RowwiseOp,
    dtype: DType,
    rows: u64,
    /// What a gather goes through the table by.
    pub(in crate::backend) jump: u64,
    inputs: Vec<Rows>,
}

impl Operands {
    /// Seeded random rows.
    pub(in crate::backend) fn new(op: RowwiseOp, dtype: DType, rows: u64) -> Self {
        let inputs = SEEDS.into_iter().take(op.elements_read() as usize);
        let inputs = inputs.map(|seed| Rows::new(dtype, LENGTH, rows, seed)).collect();
        Self { op, dtype, rows, jump: coprime_near_golden_section(rows as usize) as u64, inputs }
    }

    /// The rows of an array that is read.
    pub(in crate::backend) fn input(&self, array: usize) -> Option<&Rows> {
        self.inputs.get(array)
    }

    /// Bytes of a row.
    pub(in crate::backend) fn row_bytes(&self) -> usize {
        LENGTH * self.dtype.format().bits as usize / 8
    }

    /// The table, as it lies in memory.
    pub(in crate::backend) fn table(&self) -> Vec<u8> {
        (0..table(self.op)).flat_map(|index| table_of(self.op, index).to_ne_bytes()).collect()
    }

    /// Compares a row with its reference.
    fn compare(&self, row: usize, found: &[u8], rounding: f64) -> Result<(), String> {
        if self.op == RowwiseOp::Gather {
            let source = row * self.jump as usize % self.rows as usize;
            let same = self.inputs.first().is_some_and(|table| found == table.row(source));
            return if same { Ok(()) } else { Err(format!("row {row} is not row {source} of the table")) };
        }
        let x = |array: usize, index: usize| value(self.dtype, self.inputs[array].row(row), index);
        for (index, expected) in self::row(self.op, row, &x).into_iter().enumerate() {
            let found = value(self.dtype, found, index);
            if !near(found, expected, tolerance(self.op, rounding, expected)) {
                return Err(format!("row {row}, element {index} is {found}, the reference says {expected}"));
            }
        }
        Ok(())
    }

    /// Checks rows of results as they come, in pieces of whole rows. Rows repeat, and so do their results: those of the first period are compared with a reference,
    /// the others with those.
    pub(in crate::backend) fn checker(&self, rounding: f64) -> impl FnMut(u64, &[u8]) -> Result<(), String> {
        let mut period: Vec<Vec<u8>> = Vec::with_capacity(PERIOD);
        move |start, piece| {
            let bytes = self.row_bytes();
            for (row, found) in (start as usize / bytes..self.rows as usize).zip(piece.chunks_exact(bytes)) {
                if row < PERIOD || self.op == RowwiseOp::Gather {
                    self.compare(row, found, rounding)?;
                    if row < PERIOD {
                        period.push(found.to_vec());
                    }
                } else if found != period[row % PERIOD] {
                    return Err(format!("row {row} differs from row {}, of the same input", row % PERIOD));
                }
            }
            Ok(())
        }
    }
}
