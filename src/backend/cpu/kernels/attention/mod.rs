//! Attention with one head of keys and values and the group of query heads that share it.
//!
//! `decode` answers one query position over a whole cache, `prefill` all positions of a prompt. Neither ever stores a row of scores as long as the
//! context: softmax goes along with running maximum and sum.

pub(in crate::backend::cpu) mod decode;
pub(in crate::backend::cpu) mod prefill;

use super::element::Element;
use crate::backend::reference::attention::weights;
use crate::workload::HEADS;

/// Query heads that share keys and values.
const GROUP: usize = HEADS.group as usize;
/// Elements of a head.
const DIM: usize = HEADS.dim as usize;

/// The exact product of two heads.
fn dot<A: Element, B: Element>(a: &[A], b: &[B]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a.value() * b.value()).sum()
}
