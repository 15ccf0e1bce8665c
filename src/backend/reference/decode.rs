//! Decode attention of many heads at once: what the operands hold, and what must come out.

use super::attention::{KEYS, QUERIES, VALUES, repeated, scale};
use super::element::{Element, PERIOD, near};
use super::rows::{Rows, value};
use crate::dtype::{DType, Kind};
use crate::workload::HEADS;

const DIM: u64 = HEADS.dim;
/// Query heads to a head of keys and values.
const GROUP: u64 = HEADS.group;

/// Keys and values of some heads, and a group of queries that all of them are asked.
pub(in crate::backend) struct Operands {
    kv: DType,
    context: u64,
    tokens: u64,
    pub(in crate::backend) keys: Rows,
    pub(in crate::backend) values: Rows,
}

impl Operands {
    /// Seeded random caches of some tokens each.
    pub(in crate::backend) fn new(kv: DType, context: u64, heads: u64) -> Self {
        let tokens = context.saturating_mul(heads);
        let rows = |seed| Rows::new(kv, DIM as usize, tokens, seed);
        Self { kv, context, tokens, keys: rows(KEYS), values: rows(VALUES) }
    }

    /// Whether keys and values have a scale for each token.
    pub(in crate::backend) fn is_scaled(&self) -> bool {
        self.kv.format().kind == Kind::Integer
    }

    /// Fills a piece of the scales that begins at some byte: those of all keys, then those of all values.
    pub(in crate::backend) fn fill_scales(&self, start: u64, piece: &mut [u8]) {
        for (at, place) in (start / 4..).zip(piece.chunks_exact_mut(4)) {
            let seed = if at < self.tokens { KEYS } else { VALUES };
            place.copy_from_slice(&scale(seed, (at % self.tokens % PERIOD as u64) as usize).to_ne_bytes());
        }
    }

    /// The queries of a group, divided by √dim.
    pub(in crate::backend) fn queries() -> Vec<f32> {
        (0..(GROUP * DIM) as u32).map(|index| f32::random(QUERIES, index) / (DIM as f32).sqrt()).collect()
    }

    /// Checks the results of all heads, f32 each. Caches that begin with the same row are equal, and so must their results be.
    pub(in crate::backend) fn check(&self, queries: &[f32], results: &[u8]) -> Result<(), String> {
        let factor = |seed| move |row| if self.is_scaled() { f64::from(scale(seed, row)) } else { 1.0 };
        let (keys, values) = (self.keys.exact(self.kv, factor(KEYS)), self.values.exact(self.kv, factor(VALUES)));
        let mut known: Vec<Option<Vec<f64>>> = vec![None; PERIOD];
        for (head, found) in results.chunks_exact((4 * GROUP * DIM) as usize).enumerate() {
            let first = head * self.context as usize % PERIOD;
            let expected = known[first].get_or_insert_with(|| {
                repeated(first, self.context as usize, queries, |row| &keys[row], |row| &values[row])
            });
            for (index, expected) in expected.iter().enumerate() {
                let found = value(DType::F32, found, index);
                // Results are means of numbers below 1.
                if !near(found, *expected, 1e-5) {
                    return Err(format!("head {head}, element {index} is {found}, the reference says {expected}"));
                }
            }
        }
        Ok(())
    }
}
