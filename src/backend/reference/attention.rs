//! Attention with one head of keys and values and the group of query heads that share it.

use super::element::PERIOD;
use crate::data::{Seed, bits};
use crate::workload::HEADS;

/// Elements of a head.
const DIM: usize = HEADS.dim as usize;

/// Seeds of keys, values and queries.
pub(in crate::backend) const KEYS: Seed = Seed(960);
pub(in crate::backend) const VALUES: Seed = Seed(961);
pub(in crate::backend) const QUERIES: Seed = Seed(962);

/// The scale of a token's keys or values, for integers.
pub(in crate::backend) fn scale(seed: Seed, row: usize) -> f32 {
    (1.0 + (bits(seed, row as u32) >> 9) as f32 / 8_388_608.0) / 256.0
}

/// Softmax's weights of scores that are not yet divided by √dim, exactly, and their sum.
pub(in crate::backend) fn weights(scores: impl Iterator<Item = f64> + Clone) -> (Vec<f64>, f64) {
    let scale = 1.0 / (DIM as f64).sqrt();
    let largest = scores.clone().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.map(|score| ((score - largest) * scale).exp()).collect();
    let sum = weights.iter().sum();
    (weights, sum)
}

/// The exact results of some queries, divided by √dim already, over a context whose rows repeat: functions give the exact keys and values of a row. Every
/// distinct row is computed with once, and counts as often as it appears.
pub(in crate::backend) fn repeated<'rows>(
    first: usize,
    context: usize,
    queries: &[f32],
    key: impl Fn(usize) -> &'rows [f64],
    value: impl Fn(usize) -> &'rows [f64],
) -> Vec<f64> {
    let mut results = Vec::with_capacity(queries.len());
    let rows: Vec<usize> = (0..context.min(PERIOD)).map(|position| (first + position) % PERIOD).collect();
    let times = |index: usize| ((context - index).div_ceil(PERIOD)) as f64;
    for query in queries.chunks_exact(DIM) {
        let dot = |row: usize| key(row).iter().zip(query).map(|(key, query)| key * f64::from(*query)).sum::<f64>();
        let scores: Vec<f64> = rows.iter().map(|&row| dot(row) * (DIM as f64).sqrt()).collect();
        let (weights, _) = weights(scores.iter().copied());
        let sum: f64 = weights.iter().enumerate().map(|(index, weight)| weight * times(index)).sum();
        let mut result = vec![0.0; DIM];
        for (index, (&row, weight)) in rows.iter().zip(&weights).enumerate() {
            let share = weight * times(index) / sum;
            for (result, value) in result.iter_mut().zip(value(row)) {
                *result += share * value;
            }
        }
        results.extend(result);
    }
    results
}
