//! RL023: chunks of prompts that are too small to be bound by arithmetic.

use super::{MATTERS, Rule};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::Kind;
use crate::estimate::cost::{CostError, ridge_batch};
use crate::graph::{Sequences, Step};
use crate::units::Seconds;

pub(super) const RULE: Rule = Rule {
    id: "RL023",
    name: "chunks of prompts below the ridge",
    explain: "Engines cut long prompts into chunks, so that others need not wait for all of one. Each chunk reads all weights again, and has smaller matrices. Where its tokens are fewer than the device's ridge, it is bound by memory: a chunk of half the tokens takes as long as a whole one.

It is noted where the chunks of the run's prompts take a tenth of the time to the first token longer than whole prompts do, by the estimator. Larger chunks cost the others: their tokens wait for each one. With requests that decode in the same steps, those share the chunk's limit, and less is left for prompts.",
    check,
};

/// Tokens up to which the ridge is looked for.
const MOST: u64 = 1 << 16;
/// Chunks that are estimated one by one; of more, as many that lie evenly among them.
const ONE_BY_ONE: u64 = 64;

fn check(case: &Case<'_>) -> Option<Found> {
    let phase = case.phase(Kind::Prefill)?;
    let chunk = case.inputs.scenario.chunk?;
    let cached = phase.context.saturating_sub(phase.new_tokens);
    if chunk >= phase.new_tokens {
        return None;
    }
    let prompt = |new_tokens, cached| {
        let group = Sequences { count: 1, new_tokens, cached, logits: 1 };
        case.placed.cost(&Step::of(group)).ok().map(|cost| cost.time)
    };
    let chunks = phase.new_tokens.div_ceil(chunk);
    let estimated = chunks.min(ONE_BY_ONE);
    let mut some = Seconds(0.0);
    for index in 0..estimated {
        let first = (index as f64 * chunks as f64 / estimated as f64) as u64 * chunk;
        let tokens = chunk.min(phase.new_tokens.saturating_sub(first)).max(1);
        some = some + prompt(tokens, cached.saturating_add(first))?;
    }
    let cut = some * (chunks as f64 / estimated as f64);
    let whole = prompt(phase.new_tokens, cached)?;
    let lost = (cut - whole) * if case.starts_together() { phase.sequences as f64 } else { 1.0 };
    if lost / phase.measured < MATTERS {
        return None;
    }
    let is_compute_bound = |tokens| -> Result<bool, CostError> {
        let group = Sequences { count: 1, new_tokens: tokens, cached: 0, logits: 1 };
        let floor = case.placed.lower(&Step::of(group)).floor(case.estimator.costing)?;
        Ok(floor.is_some_and(|floor| floor.is_compute_bound()))
    };
    let ridge = ridge_batch(MOST, is_compute_bound).ok().flatten();
    let found =
        Found::new(Severity::Note, format!("prompts in chunks of {chunk} tokens read the weights {chunks} times"))
            .number("a prompt in chunks", cut.get(), EvidenceUnit::Seconds, "estimate")
            .number("whole", whole.get(), EvidenceUnit::Seconds, "estimate")
            .worth(Kind::Prefill, lost);
    let found = match ridge {
        Some(tokens) => found.number(
            "tokens from which on it is arithmetic that bounds",
            tokens as f64,
            EvidenceUnit::Count,
            "floor at growing chunks",
        ),
        None => found,
    };
    Some(found.attempt(
        "larger chunks (vLLM: `--max-num-batched-tokens`; SGLang: `--chunked-prefill-size`; llama.cpp: `-ub`)",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};
    use crate::diagnose::Worth;

    fn cut(chunk: u64, ttft: f64) -> Run {
        let mut run = Run::qwen().with(|typed| (typed.batch, typed.tpot, typed.ttft) = (Some(1), None, Some(ms(ttft))));
        run.otherwise.chunk = Some(chunk);
        run
    }

    #[test]
    fn chunks_below_the_ridge_read_the_weights_again_and_again() {
        // 16 chunks of 9 ms each instead of 46 ms.
        let found = cut(64, 200.0).finds("RL023").unwrap();
        assert!(found.says.contains("read the weights 16 times"), "{}", found.says);
        assert!(
            matches!(found.worth, Some(Worth::Time { up_to, .. }) if up_to.get() > 0.08 && up_to.get() < 0.12),
            "{found:?}"
        );
    }

    #[test]
    fn very_many_chunks_are_estimated_by_some() {
        let found = cut(1, 12_000.0).finds("RL023").unwrap();
        assert!(
            matches!(found.worth, Some(Worth::Time { up_to, .. }) if up_to.get() > 8.0 && up_to.get() < 12.0),
            "{found:?}"
        );
    }

    #[test]
    fn chunks_above_the_ridge_and_whole_prompts_are_no_finding() {
        assert_eq!(cut(512, 80.0).finds("RL023"), None);
        assert_eq!(cut(4096, 80.0).finds("RL023"), None);
        assert_eq!(Run::qwen().finds("RL023"), None);
    }
}
