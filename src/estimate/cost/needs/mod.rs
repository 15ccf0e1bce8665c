//! What each kind of operator needs, and the ceilings that say how long that takes.

mod attention;
mod format;
mod pass;
mod product;

pub use format::summed_in;
pub(super) use format::{alike, arithmetic, stand_ins};
pub use product::{is_plain, measured_as};

use super::asked::Asked;
use super::error::{CostError, Lack};
use super::knowledge::Need;
use super::peers::Peers;
use crate::graph::{Kind, Operator};
use crate::units::Bytes;

/// Why an operator has no needs.
pub(super) enum Refusal {
    /// A ceiling is missing.
    Lacks(Lack),
    /// There is no link.
    NoLink,
    /// An amount is not one.
    Amount(CostError),
}

impl From<Lack> for Refusal {
    fn from(lack: Lack) -> Self {
        Self::Lacks(lack)
    }
}

impl Refusal {
    /// The error of a step, with the name of the profile.
    pub(super) fn into_error(self, profile: &str) -> CostError {
        match self {
            Self::Lacks(lack) => CostError::Missing { profile: profile.to_owned(), lacks: vec![lack] },
            Self::NoLink => CostError::NoLink,
            Self::Amount(error) => error,
        }
    }
}

/// The needs of one execution, in a step that streams some bytes of weights and caches before it comes back to the same ones.
pub(super) fn of(
    asked: &Asked<'_>,
    peers: Option<&Peers>,
    operator: &Operator,
    streamed: Bytes,
) -> Result<Vec<Need>, Refusal> {
    amounts(operator)?;
    let mut needs = Vec::with_capacity(3);
    match operator.kind {
        Kind::Product { m, n, k, weights } => {
            product::one(asked, operator, product::Sizes { m, n, k }, &weights, streamed, &mut needs)?;
        }
        Kind::Experts { pairs, n, k, weights, .. } => {
            product::experts(asked, operator, product::Sizes { m: pairs, n, k }, &weights, streamed, &mut needs)?;
        }
        Kind::DecodeAttention { queries, context, group, kv, .. } => {
            attention::decode(asked, operator, queries.saturating_mul(group), context, kv, &mut needs)?;
        }
        Kind::PrefillAttention { queries, cached, dtype, .. } => {
            attention::prefill(asked, operator, queries.saturating_add(cached), dtype, &mut needs)?;
        }
        Kind::Rowwise { op, dtype } => pass::rowwise(asked, operator, op, dtype, &mut needs)?,
        Kind::Recurrence => pass::recurrence(asked, operator, streamed, &mut needs)?,
        Kind::Exchange(exchange) => needs.push(peers.ok_or(Refusal::NoLink)?.exchange(&exchange)),
    }
    Ok(needs)
}

/// Whether all amounts of work are some.
fn amounts(operator: &Operator) -> Result<(), Refusal> {
    let Operator { part, flops, weights, kv, activations, .. } = *operator;
    let amounts =
        [("flops", flops.get()), ("weights", weights.get()), ("kv", kv.get()), ("activations", activations.get())];
    match amounts.into_iter().find(|(_, value)| !(*value >= 0.0 && value.is_finite())) {
        Some((field, value)) => Err(Refusal::Amount(CostError::NotAnAmount { part, field, value })),
        None => Ok(()),
    }
}
