//! Attention of whole prompts, some heads at once: what the operands hold, and what must come out.

use super::attention::{KEYS, QUERIES, VALUES, repeated};
use super::element::{PERIOD, near};
use super::rows::{Rows, value};
use crate::dtype::DType;
use crate::workload::HEADS;

const DIM: u64 = HEADS.dim;
/// Query heads to a head of keys and values.
const GROUP: u64 = HEADS.group;
/// Rows from one that is verified to the next: a prime.
const EVERY: usize = 37;

/// Prompts of as many tokens each: queries of all heads, and keys and values of every group of them.
pub(in crate::backend) struct Operands {
    dtype: DType,
    context: usize,
    pub(in crate::backend) queries: Rows,
    pub(in crate::backend) keys: Rows,
    pub(in crate::backend) values: Rows,
}

impl Operands {
    /// Seeded random prompts of some tokens each, for so many heads of keys and values.
    pub(in crate::backend) fn new(dtype: DType, context: u64, heads: u64) -> Self {
        let tokens = context.saturating_mul(heads);
        let rows = |count: u64, seed| Rows::new(dtype, DIM as usize, count, seed);
        Self {
            dtype,
            context: context as usize,
            queries: rows(tokens.saturating_mul(GROUP), QUERIES),
            keys: rows(tokens, KEYS),
            values: rows(tokens, VALUES),
        }
    }

    /// Checks the results of all queries, f32 each.
    pub(in crate::backend) fn check(&self, results: &[u8], tolerance: f64) -> Result<(), String> {
        let queries = self.queries.exact(self.dtype, |_| 1.0);
        self.compare(results, tolerance, |row| {
            queries[row % queries.len()].iter().map(|&element| element as f32 / (DIM as f32).sqrt()).collect()
        })
    }

    /// Checks the results of queries that are 0: means of the values, to which every token that is seen counts alike. Where the shares of tokens are rounded to few digits, only these show that
    /// each is counted once.
    pub(in crate::backend) fn check_means(&self, results: &[u8]) -> Result<(), String> {
        self.compare(results, 1e-5, |_| vec![0.0; DIM as usize])
    }

    fn compare(&self, results: &[u8], tolerance: f64, query: impl Fn(usize) -> Vec<f32>) -> Result<(), String> {
        let [keys, values] = [&self.keys, &self.values].map(|rows| rows.exact(self.dtype, |_| 1.0));
        let row_bytes = (4 * DIM) as usize;
        let Some(last) = (results.len() / row_bytes).checked_sub(1) else {
            return Err("there are no results".to_owned());
        };
        for row in (0..last).step_by(EVERY).chain([last]) {
            let (head, seen) = (row / self.context / GROUP as usize, row % self.context + 1);
            let first = head * self.context % PERIOD;
            let expected = repeated(first, seen, &query(row), |row| &keys[row], |row| &values[row]);
            let found = &results[row * row_bytes..][..row_bytes];
            for (index, expected) in expected.into_iter().enumerate() {
                let found = value(DType::F32, found, index);
                if !near(found, expected, tolerance) {
                    return Err(format!("row {row}, element {index} is {found}, the reference says {expected}"));
                }
            }
        }
        // All others are means of numbers between -1 and 1.
        let between = |word: &[u8]| near(value(DType::F32, word, 0), 0.0, 1.01);
        match results.chunks_exact(4).position(|word| !between(word)) {
            Some(at) => Err(format!("element {at} is no mean of numbers between -1 and 1")),
            None => Ok(()),
        }
    }
}
