//! How tokens are spread over experts, and how many experts a step therefore reads.

/// How popular experts are.
///
/// The i-th most chosen expert is chosen in proportion to i^−skew. 0 is the uniform routing that training aims at.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Routing {
    skew: f64,
}

/// A skew that is none.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("`skew` {0} of the routing is not a number from 0 (uniform) to {MAX_SKEW}")]
pub struct SkewError(f64);

/// Beyond it, the experts that the router needs for a single token are all that is ever chosen.
const MAX_SKEW: f64 = 8.0;

/// Ranks that are counted one by one. Further ones are taken together, a [`WIDTH`]th of the rank at a time.
const SINGLE_RANKS: u64 = 32;

/// See [`SINGLE_RANKS`].
const WIDTH: u64 = 16;

/// Experts that are chosen equally often.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Class {
    /// How many.
    experts: f64,
    /// The logarithm of the probability that a token does not go through one of them.
    ln_missed: f64,
}

/// The choice of some experts of a layer, for each token.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Choice {
    /// Experts that a token goes through.
    per_token: f64,
    /// Devices that the experts are spread over.
    devices: f64,
    classes: Vec<Class>,
}

/// What the experts of a device get to do: expected values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load {
    /// Pairs of a token and an expert.
    pub(super) pairs: f64,
    /// Experts that get a token.
    pub(super) distinct: f64,
}

impl Routing {
    /// A routing of some skew.
    ///
    /// # Errors
    /// If it is not a number between 0 and 8.
    pub fn skewed(skew: f64) -> Result<Self, SkewError> {
        if (0.0..=MAX_SKEW).contains(&skew) { Ok(Self { skew }) } else { Err(SkewError(skew)) }
    }

    /// The choice among some experts, spread over some devices so that each has its share of the popular ones.
    pub(super) fn choice(self, experts: u64, per_token: u64, devices: u64) -> Choice {
        let chosen = per_token.min(experts);
        let ranks = match experts {
            0 => Vec::new(),
            _ if self.skew > 0.0 => self.ranks(experts),
            _ => vec![(experts as f64, 1.0)],
        };
        Choice { per_token: chosen as f64, devices: devices.max(1) as f64, classes: classes(&ranks, chosen as f64) }
    }

    /// Experts with their popularity, the most popular ones first.
    fn ranks(self, experts: u64) -> Vec<(f64, f64)> {
        let mut ranks = Vec::new();
        let mut first = 1;
        while first <= experts {
            let width = if first <= SINGLE_RANKS { 1 } else { (first / WIDTH).min(experts - first).max(1) };
            let middle = first as f64 + (width - 1) as f64 / 2.0;
            ranks.push((width as f64, middle.powf(-self.skew)));
            let Some(next) = first.checked_add(width) else { break };
            first = next;
        }
        ranks
    }
}

/// The probabilities that follow from popularities: they sum up to the experts of a token, and none is above 1.
fn classes(ranks: &[(f64, f64)], per_token: f64) -> Vec<Class> {
    // What is left to be popular from each rank on, summed up from the end: a difference of large sums would lose the small ones.
    let add = |sum: &mut f64, (experts, popularity): &(f64, f64)| {
        *sum += experts * popularity;
        Some(*sum)
    };
    let mut left: Vec<f64> = ranks.iter().rev().scan(0.0, add).collect();
    left.reverse();
    let mut open = per_token;
    let class = |(&(experts, popularity), &left): (&(f64, f64), &f64)| {
        let probability = (open * popularity / left).clamp(0.0, 1.0);
        // The others share what is left, in proportion as before, unless every token goes through this one.
        open = (open - experts * probability).max(0.0);
        Class { experts, ln_missed: (-probability).ln_1p() }
    };
    ranks.iter().zip(&left).map(class).collect()
}

impl Choice {
    /// What a device's experts get of some tokens. For n tokens, k of E experts and uniform routing, E·(1 − (1 − k/E)ⁿ) experts get one at all.
    pub(super) fn load(&self, tokens: u64) -> Load {
        if tokens == 0 {
            return Load { pairs: 0.0, distinct: 0.0 };
        }
        let tokens = tokens as f64;
        let hit = |class: &Class| class.experts * -(tokens * class.ln_missed).exp_m1();
        let distinct: f64 = self.classes.iter().map(hit).sum();
        Load { pairs: tokens * self.per_token / self.devices, distinct: distinct / self.devices }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn distinct(skew: f64, experts: u64, per_token: u64, tokens: u64) -> f64 {
        Routing::skewed(skew).unwrap().choice(experts, per_token, 1).load(tokens).distinct
    }

    #[test]
    fn uniform_routing_follows_its_formula() {
        for (experts, per_token, tokens) in [(8, 2, 1), (128, 4, 32), (256, 8, 100)] {
            let missed = (1.0 - per_token as f64 / experts as f64).powi(tokens);
            let expected = experts as f64 * (1.0 - missed);
            let found = distinct(0.0, experts, per_token, tokens as u64);
            assert!((found / expected - 1.0).abs() < 1e-12, "{found} of {expected}");
        }
    }

    #[test]
    fn what_is_no_skew_is_refused() {
        for skew in [f64::NAN, f64::INFINITY, -0.1, 1e18] {
            assert!(Routing::skewed(skew).is_err(), "{skew}");
        }
        assert_eq!(
            Routing::skewed(-2.0).unwrap_err().to_string(),
            "`skew` -2 of the routing is not a number from 0 (uniform) to 8"
        );
    }

    proptest! {
        #[test]
        fn one_token_gets_its_experts_and_many_get_no_more_than_all(
            skew in 0.0..8.0, experts in 1_u64..600, share in 0.0..=1.0, tokens in 1_u64..100_000,
        ) {
            let per_token = ((experts as f64 * share) as u64).max(1);
            prop_assert!((distinct(skew, experts, per_token, 1) - per_token as f64).abs() < 1e-6 * per_token as f64);
            let some = distinct(skew, experts, per_token, tokens);
            prop_assert!(some <= experts as f64 * (1.0 + 1e-9) && some >= per_token as f64 * (1.0 - 1e-9));
            prop_assert!(distinct(skew, experts, per_token, tokens + 1) >= some * (1.0 - 1e-9));
            prop_assert!(some <= distinct(0.0, experts, per_token, tokens) * (1.0 + 1e-9));
        }

        #[test]
        fn no_number_is_too_large(skew in 0.0..8.0, experts: u64, per_token: u64, devices: u64, tokens: u64) {
            let choice = Routing::skewed(skew).unwrap().choice(experts, per_token, devices);
            prop_assert!(choice.classes.len() < 1000);
            let load = choice.load(tokens);
            prop_assert!(Routing::default().choice(0, per_token, devices).load(tokens).distinct == 0.0);
            prop_assert!(load.pairs.is_finite() && load.distinct.is_finite(), "{load:?}");
        }
    }
}
