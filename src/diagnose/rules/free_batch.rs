//! RL005: a larger batch would cost little.

use super::Rule;
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::Kind;
use crate::estimate::cost::{CostError, ridge_batch};
use crate::graph::{Sequences, Step};
use crate::units::Seconds;

pub(super) const RULE: Rule = Rule {
    id: "RL005",
    name: "room for a larger batch",
    explain: "While decoding is bound by memory, the weights are read once for all sequences of a step, and each further sequence adds only its own keys and values. Tokens per second grow with \
the batch until arithmetic bounds the step (the ridge), or until no more sequences fit into memory (admission), whichever comes first.

It is noted where the run is bound by memory and at least twice as many sequences fit below both. What that is worth is what the estimator says of the larger batch: its tokens per second, and the time \
per token that goes with it, which is longer. Whether the run had as many requests to answer is another question.",
    check,
};

/// So many times the batch must be possible to be worth a word.
const LARGER: u64 = 2;
/// The most sequences that are tried.
const MOST: u64 = 1 << 16;

fn check(case: &Case<'_>) -> Option<Found> {
    let phase = case.phase(Kind::Decode)?;
    phase.floor.as_ref().filter(|floor| floor.is_memory_bound())?;
    let admitted = case.engine.admitted().min(MOST);
    let is_compute_bound = |batch| -> Result<bool, CostError> {
        let step = case.placed.lower(&Step::of(Sequences { count: batch, ..case.group(Kind::Decode) }));
        let floor = step.floor(case.estimator.costing)?;
        Ok(floor.is_some_and(|floor| floor.is_compute_bound()))
    };
    let ridge = ridge_batch(admitted.max(1), is_compute_bound).ok()?;
    let batch = ridge.unwrap_or(admitted).min(admitted);
    if batch < phase.sequences.saturating_mul(LARGER) {
        return None;
    }
    let (now, then) = (case.decode_of(phase.sequences)?, case.decode_of(batch)?);
    let yields = phase.accepted.unwrap_or(1.0);
    let rate = |batch: u64, time: Seconds| batch as f64 * yields / time.get();
    let limit = if ridge.is_some_and(|ridge| ridge <= admitted) { "the ridge" } else { "what fits into memory" };
    let found = Found::new(
        Severity::Note,
        format!("decode reads the weights for a batch of {}; {batch} could share them, up to {limit}", phase.sequences),
    )
    .number("batch", phase.sequences as f64, EvidenceUnit::Count, "the run")
    .number("fit into memory", admitted as f64, EvidenceUnit::Count, "admission")
    .number("time per token by the estimate", now.get(), EvidenceUnit::Seconds, "estimate at this batch")
    .number("the same of the larger batch", then.get(), EvidenceUnit::Seconds, "estimate at that batch")
    .worth_rate(rate(phase.sequences, now), rate(batch, then), then * (1.0 / yields));
    let found = match ridge {
        Some(ridge) => found.number("ridge", ridge as f64, EvidenceUnit::Count, "floor at growing batches"),
        None => found,
    };
    Some(found.attempt("more requests at once, as far as the time per token allows (vLLM: `--max-num-seqs`); `rooflab estimate --frontier` shows what each number gives"))
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::Run;
    use crate::diagnose::Worth;

    #[test]
    fn weights_that_are_read_for_few_could_be_read_for_more() {
        let found = Run::qwen().finds("RL005").unwrap();
        let Some(Worth::Rate { from, to, tpot }) = found.worth else { panic!("{found:?}") };
        assert!(to > 5.0 * from && tpot.get() > 0.02, "{found:?}");
        assert!(found.says.contains("what fits into memory"), "{}", found.says);
    }

    #[test]
    fn tokens_of_a_draft_bring_the_ridge_nearer() {
        // Eight tokens of each sequence are checked in a step: arithmetic bounds it from a batch of 24 on.
        let drafted = Run::qwen().with(|typed| (typed.draft_length, typed.acceptance) = (Some(7), Some(0.4)));
        assert_eq!(drafted.finds("RL005"), None);
    }

    #[test]
    fn a_batch_that_fills_the_memory_has_no_room() {
        let full = Run::qwen().with(|typed| (typed.batch, typed.tpot) = (Some(300), Some(crate::units::Seconds(0.05))));
        assert_eq!(full.finds("RL005"), None);
    }
}
