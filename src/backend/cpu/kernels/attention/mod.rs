//! Attention with one head of keys and values and the group of query heads that share it.
//!
//! `decode` answers one query position over a whole cache, `prefill` all positions of a prompt. Neither ever stores a row of scores as long as the
//! context: softmax goes along with running maximum and sum.

pub(in crate::backend::cpu) mod decode;
pub(in crate::backend::cpu) mod prefill;

use super::element::Element;
use crate::workload::HEADS;

/// Query heads that share keys and values.
const GROUP: usize = HEADS.group as usize;
/// Elements of a head.
const DIM: usize = HEADS.dim as usize;

/// Softmax's weights of scores that are not yet divided by √dim, exactly, and their sum.
fn weights(scores: impl Iterator<Item = f64> + Clone) -> (Vec<f64>, f64) {
    let scale = 1.0 / (DIM as f64).sqrt();
    let largest = scores.clone().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.map(|score| ((score - largest) * scale).exp()).collect();
    let sum = weights.iter().sum();
    (weights, sum)
}

/// The exact product of two heads.
fn dot<A: Element, B: Element>(a: &[A], b: &[B]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a.value() * b.value()).sum()
}
