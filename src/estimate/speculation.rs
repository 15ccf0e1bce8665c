//! Speculative decoding: a draft proposes tokens, the model checks them all in one step.

use schemars::JsonSchema;
use serde::Serialize;

use crate::graph::{Sequences, Step};
use crate::units::Seconds;

use super::serving::{ServingError, StepTimes, count, number, time};

/// A draft for a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speculation {
    /// The chance that a proposed token is accepted when those before it are: `a`. Chances of tokens are taken for
    /// independent.
    pub acceptance: f64,
    /// The longest draft to consider.
    pub longest: u64,
}

/// What a length of draft comes to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Draft {
    /// Tokens that are proposed in a step: `g`. None of them is decoding without a draft.
    pub length: u64,
    /// Tokens that a step yields for each sequence: `(1 − a^(g+1)) / (1 − a)`.
    pub tokens: f64,
    /// Time of the draft: g of its steps.
    pub draft: Seconds,
    /// Time of the model's step on g + 1 tokens of each sequence.
    pub verify: Seconds,
    /// Time for a token of each sequence.
    pub per_token: Seconds,
    /// How many times faster than without a draft.
    pub gain: f64,
}

/// All lengths of draft, and the best.
#[derive(Clone, Debug, PartialEq)]
pub struct Drafts {
    /// By length, from none.
    pub lengths: Vec<Draft>,
    /// The one with the least time per token; of equal ones, the shortest. Length 0: the draft does not pay.
    pub best: Draft,
}

/// The longest draft that is considered at all: every length takes two steps to estimate.
const LONGEST: u64 = 256;

/// What drafts of each length come to for a batch of sequences that attend to some tokens.
///
/// Both models' steps come from the same estimate, so that the gain fades by itself where the model's step becomes
/// bound by compute. The draft's steps are taken to be equal, and its share of the prompt is not counted.
///
/// # Errors
/// When a number cannot be calculated with, or a step has no time.
pub fn drafts(
    model: &impl StepTimes,
    draft: &impl StepTimes,
    speculation: &Speculation,
    batch: u64,
    context: u64,
) -> Result<Drafts, ServingError> {
    let Speculation { acceptance, longest } = *speculation;
    number("acceptance", acceptance, "0 to 1", |chance| (0.0..=1.0).contains(&chance))?;
    count("longest", longest, LONGEST)?;
    count("batch", batch, 1 << 20)?;
    count("context", context, 1 << 40)?;
    let without = time(model, &Step::decode(batch, context))?;
    let proposal = time(draft, &Step::decode(batch, context))?;
    let at = |length: u64| {
        let checked = Sequences { count: batch, new_tokens: length + 1, cached: context - 1, logits: length + 1 };
        let verify = if length == 0 { without } else { time(model, &Step::of(checked))? };
        let tokens = accepted(acceptance, length);
        let drafting = length as f64 * proposal;
        let per_token = (drafting + verify) / tokens;
        Ok(Draft {
            length,
            tokens,
            draft: Seconds(drafting),
            verify: Seconds(verify),
            per_token: Seconds(per_token),
            gain: without / per_token,
        })
    };
    let lengths = (0..=longest).map(at).collect::<Result<Vec<Draft>, ServingError>>()?;
    let mut best = lengths[0];
    for draft in &lengths {
        if draft.per_token < best.per_token {
            best = *draft;
        }
    }
    Ok(Drafts { lengths, best })
}

/// Tokens that a step yields: those accepted before the first that is not, and the one that the model itself adds.
#[must_use]
pub fn accepted(acceptance: f64, length: u64) -> f64 {
    // The sum itself: the closed form loses its digits near an acceptance of 1. Beyond the first thousands, powers are
    // 0 or the sum is not.
    let mut power = 1.0;
    let mut sum = 1.0;
    for _ in 0..length.min(LONGEST) {
        power *= acceptance;
        sum += power;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::serving::synthetic::Roofline;
    use proptest::prelude::*;

    const MODEL: Roofline = Roofline::SMALL;

    /// A draft of a twentieth of the model.
    fn small() -> Roofline {
        MODEL.slower(0.05)
    }

    /// With contexts so short that a large batch is bound by compute and not by its cache.
    fn best(acceptance: f64, batch: u64) -> Draft {
        drafts(&MODEL, &small(), &Speculation { acceptance, longest: 16 }, batch, 100).unwrap().best
    }

    #[test]
    fn yields_are_the_closed_form() {
        for (acceptance, length) in [(0.0, 5), (0.3, 1), (0.8, 4), (0.99, 16)] {
            let closed = (1.0 - f64::powi(acceptance, length + 1)) / (1.0 - acceptance);
            assert!((accepted(acceptance, length as u64) - closed).abs() < 1e-12);
        }
        assert_eq!(accepted(1.0, 7), 8.0);
    }

    #[test]
    fn c35_two_to_three_times_at_batch_one_and_nothing_when_full() {
        let gain = best(0.8, 1).gain;
        assert!((2.0..3.5).contains(&gain), "{gain}");
        // The ridge is at 200 tokens: a batch of 400 computes whatever it is given.
        let full = best(0.8, 400);
        assert_eq!((full.length, full.gain), (0, 1.0));
    }

    #[test]
    fn c35_the_best_draft_shrinks_and_its_gain_fades_with_the_batch() {
        for acceptance in [0.6, 0.8, 0.9] {
            let found: Vec<Draft> = (0..10).map(|power| best(acceptance, 1 << power)).collect();
            for pair in found.windows(2) {
                assert!(pair[1].length <= pair[0].length, "{acceptance}: {pair:?}");
                assert!(pair[1].gain <= pair[0].gain * (1.0 + 1e-9), "{acceptance}: {pair:?}");
            }
            assert!(found[0].length >= 3 && found[9].length == 0, "{acceptance}");
        }
    }

    #[test]
    fn hostile_numbers_are_named() {
        let error = |acceptance, longest, batch, context| {
            let speculation = Speculation { acceptance, longest };
            drafts(&MODEL, &MODEL, &speculation, batch, context).unwrap_err().to_string()
        };
        assert_eq!(error(f64::NAN, 4, 1, 1), "`acceptance` is NaN; expected 0 to 1");
        assert_eq!(error(1.5, 4, 1, 1), "`acceptance` is 1.5; expected 0 to 1");
        assert_eq!(error(0.5, u64::MAX, 1, 1), "`longest` is 18446744073709551615; expected 1 to 256");
        assert_eq!(error(0.5, 4, 0, 1), "`batch` is 0; expected 1 to 1048576");
        assert_eq!(error(0.5, 4, 1, 0), "`context` is 0; expected 1 to 1099511627776");
    }

    proptest! {
        #[test]
        fn the_best_is_the_least_and_never_worse_than_none(
            acceptance in 0.0..=1.0_f64, batch in 1..2000_u64, context in 1..100_000_u64, size in 0.001..2.0_f64,
        ) {
            let speculation = Speculation { acceptance, longest: 12 };
            let found = drafts(&MODEL, &MODEL.slower(size), &speculation, batch, context).unwrap();
            prop_assert!(found.best.gain >= 1.0);
            prop_assert!(found.lengths.iter().all(|draft| draft.per_token >= found.best.per_token));
            prop_assert!(found.lengths.windows(2).all(|pair| pair[0].tokens <= pair[1].tokens));
        }

        #[test]
        fn a_draft_that_is_never_right_is_never_chosen(
            acceptance in 0.0..1e-4_f64, batch in 1..2000_u64, context in 1..100_000_u64, size in 0.001..2.0_f64,
        ) {
            let speculation = Speculation { acceptance, longest: 12 };
            let found = drafts(&MODEL, &MODEL.slower(size), &speculation, batch, context).unwrap();
            prop_assert_eq!(found.best.length, 0);
        }
    }
}
