//! RL017: drafts that are longer than their acceptance makes worthwhile.

use super::{MATTERS, Rule};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::{Kind, Phase};
use crate::estimate::speculation::{Drafts, Speculation, accepted, drafts};
use crate::graph::Step;
use crate::observe::Quantity;
use crate::units::Seconds;

pub(super) const RULE: Rule = Rule {
    id: "RL017",
    name: "draft too long for its acceptance",
    explain: "In speculative decoding a draft proposes g tokens, and the model checks all of them in one step. Where each is accepted with a chance a, a step yields (1 − a^(g+1)) / (1 − a) tokens. A longer draft yields ever less, but costs the draft a step \
for each token, and the model a larger step: with a large batch, checking is bound by arithmetic, and every rejected token is lost work.

The chance follows from the tokens that a step yielded and the length of the draft, both as the run says them (`--draft-length`, `--acceptance`). It is noted where another length, or none, would take a tenth less time per token, by the estimator for this \
batch and context, and it warns where speculation is slower than none. Without the draft's model (`--draft`) its steps are taken to cost nothing, so that what is found is the least.",
    check,
};

/// The longest draft that is considered.
const LONGEST: u64 = 16;
/// A time that is none, for a draft of which nothing is known.
const NOTHING: Seconds = Seconds(1e-15);

fn check(case: &Case<'_>) -> Option<Found> {
    let phase = case.phase(Kind::Decode)?;
    let (length, yields, from) = drafted(case)?;
    let chance = chance(yields, length);
    let known = case.draft();
    let speculation = Speculation { acceptance: chance, longest: length.max(LONGEST) };
    let found = match &known {
        Some(draft) => drafts(&case.placed, draft, &speculation, phase.sequences, context(phase)),
        None => drafts(&case.placed, &|_: &Step| Ok(NOTHING), &speculation, phase.sequences, context(phase)),
    };
    let Drafts { lengths, best } = found.ok()?;
    let now = lengths.get(usize::try_from(length).ok()?)?;
    let gained = now.per_token - best.per_token;
    // A draft that costs nothing pays at any length where checking does, and a longer one says nothing.
    let is_shorter = best.length < length;
    if gained / now.per_token < MATTERS || !(is_shorter || known.is_some()) {
        return None;
    }
    let severity = if now.gain < 1.0 { Severity::Warning } else { Severity::Note };
    let says = match (now.gain < 1.0, best.length) {
        (true, 0) => "speculation takes longer than decoding without it, at any length of the draft".to_owned(),
        (true, best) => format!("speculation takes longer than decoding without it; a draft of {best} would not"),
        (false, best) if is_shorter => {
            format!("{length} drafted tokens are too many for their acceptance: {best} would take less time per token")
        }
        (false, best) => format!("a draft of {best} tokens would take less time per token than one of {length}"),
    };
    let by = if known.is_some() { "estimate, with the draft's steps" } else { "estimate, the draft's steps free" };
    Some(
        Found::new(severity, says)
            .number("tokens that a step yields", yields, EvidenceUnit::Times, from)
            .number("chance of a token", chance, EvidenceUnit::Share, "solved from those and the draft's length")
            .number("per token as it is", now.per_token.get(), EvidenceUnit::Seconds, by)
            .number("with the best draft", best.per_token.get(), EvidenceUnit::Seconds, by)
            // Of as many tokens as a step yields.
            .worth(Kind::Decode, gained * yields)
            .attempt(match best.length {
                0 => "no speculation at this batch".to_owned(),
                best => {
                    format!("a draft of {best} (vLLM: `num_speculative_tokens`; SGLang: `--speculative-num-steps`)")
                }
            })
            .decide("the same run without speculation: its time per token against this one"),
    )
}

/// Tokens that all of a step's proposals come after.
const fn context(phase: &Phase) -> u64 {
    let context = phase.context.saturating_sub(phase.new_tokens).saturating_add(1);
    if context > 0 { context } else { 1 }
}

/// The length of the draft, the tokens that a step yields with it, and where that stands.
fn drafted(case: &Case<'_>) -> Option<(u64, f64, String)> {
    let (yields, from) = case.stated(Quantity::AcceptanceLength)?;
    let length = case.draft_length()?;
    let is_one = (1.0..=256.0).contains(&length) && (1.0..=length + 1.0).contains(&yields);
    is_one.then_some((length as u64, yields, from))
}

/// The chance of a token with which a draft of some length yields so many: it grows with the chance, so that halving finds it.
fn chance(yields: f64, length: u64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if accepted(middle, length) < yields {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};
    use super::*;
    use crate::diagnose::{Cause, Worth};
    use crate::observe::{Distribution, Measured};

    fn speculating(batch: u64, length: u64, acceptance: f64, draft: Option<&'static str>) -> Run {
        let run = Run::measured().with(|typed| {
            (typed.batch, typed.draft_length, typed.acceptance) = (Some(batch), Some(length), Some(acceptance));
            typed.tpot = Some(ms(8.0));
        });
        Run { draft, ..run }
    }

    #[test]
    fn the_chance_is_the_one_that_yields_so_many() {
        for (a, g) in [(0.0, 3), (0.3, 1), (0.7, 5), (0.95, 16), (1.0, 4)] {
            assert!((chance(accepted(a, g), g) - a).abs() < 1e-9, "{a} {g}");
        }
    }

    #[test]
    fn a_draft_that_is_hardly_accepted_is_too_long() {
        let found = speculating(1, 8, 0.1, Some("qwen2.5-0.5b")).finds("RL017").unwrap();
        let Some(Worth::Time { up_to, .. }) = found.worth else { panic!("{found:?}") };
        assert!(up_to.get() > 5e-4 && found.remedies.len() == 1, "{found:?}");
        let diagnosis = speculating(1, 8, 0.1, Some("qwen2.5-0.5b")).diagnose();
        assert!(diagnosis.phases[0].spent_on(Cause::Draft).is_some_and(|spent| spent.time.get() > 1e-3));
        assert_eq!(diagnosis.phases[0].new_tokens, 9);
    }

    #[test]
    fn the_length_follows_from_what_is_accepted_or_is_asked_for() {
        let accepted = |rate: Option<f64>| {
            let mut run = Run::measured().with(|typed| typed.tpot = Some(ms(8.0)));
            let stated = [(Quantity::AcceptanceLength, Some(3.0)), (Quantity::AcceptanceRate, rate)];
            for (quantity, value) in stated.into_iter().filter_map(|(quantity, value)| Some((quantity, value?))) {
                let values = Distribution::single(value);
                run.observed.metrics.insert(quantity, Measured::stated(quantity, values, None));
            }
            run.diagnose()
        };
        // Two of five are accepted: a step checks six tokens and yields three.
        assert_eq!(accepted(Some(0.4)).phases[0].new_tokens, 6);
        let unknown = accepted(None);
        assert_eq!((unknown.phases[0].new_tokens, unknown.phases[0].accepted), (1, Some(3.0)));
        let why = unknown.phases[0].absent.iter().find(|absent| absent.cause == Cause::Draft).map(|absent| &absent.why);
        assert!(why.is_some_and(|why| why.contains("`--draft-length`")), "{why:?}");
    }

    #[test]
    fn a_full_batch_has_nothing_to_speculate_with() {
        let short = speculating(2048, 5, 0.1, None).with(|typed| (typed.prompt, typed.generate) = (Some(16), Some(16)));
        let found = short.finds("RL017").unwrap();
        assert_eq!(found.severity, Severity::Warning, "{found:?}");
        assert!(found.remedies[0].contains("no speculation"), "{found:?}");
    }

    #[test]
    fn a_draft_that_pays_is_no_finding() {
        assert_eq!(speculating(1, 4, 0.7, None).finds("RL017"), None);
        assert_eq!(speculating(1, 4, 0.6, Some("qwen2.5-0.5b")).finds("RL017"), None);
        assert_eq!(Run::measured().finds("RL017"), None);
    }
}
