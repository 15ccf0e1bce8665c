//! RL009: tokens that wait for the prompts of others.

use super::{MATTERS, Rule};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::Kind;
use crate::diagnose::waterfall::Cause;

pub(super) const RULE: Rule = Rule {
    id: "RL009",
    name: "prompts of others between tokens",
    explain: "A server that answers many requests goes through new prompts while others decode. Each request waits for one prompt of each other one while it runs, so that its time per token is \
that of a step plus (c − 1) / N prompts, with c requests in flight and N tokens each. Nothing about decoding kernels helps there: the time is that of prompts.

It is noted where that is a tenth of the time per token or more, and it warns from a third on. What it is worth is the time per token of the closed loop less that of the step alone, both by the estimator. \
Chunked prompts spread the wait evenly and take little of it away; caching shared prefixes, separate devices for prompts, and longer answers do.",
    check,
};

/// The share from which on it is grave.
const GRAVE: f64 = 1.0 / 3.0;

fn check(case: &Case<'_>) -> Option<Found> {
    let phase = case.phase(Kind::Decode)?;
    let spent = phase.spent_on(Cause::Interference).filter(|spent| spent.share >= MATTERS)?;
    let severity = if spent.share >= GRAVE { Severity::Warning } else { Severity::Note };
    let says = format!("{:.0} % of the time per token is spent on the prompts of other requests", spent.share * 100.0);
    let found = Found::new(severity, says)
        .number("requests that decode together", phase.sequences as f64, EvidenceUnit::Count, "the run, and admission")
        .number("prompts between tokens", spent.time.get(), EvidenceUnit::Seconds, "closed loop by the estimate")
        .worth(Kind::Decode, spent.time)
        .attempt("prefix caching, or devices of their own for prompts (disaggregation)");
    Some(if case.inputs.scenario.chunk.is_none() {
        found.attempt("prompts in chunks (vLLM: `--enable-chunked-prefill`), which keep the longest intervals between tokens short")
    } else {
        found
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};
    use crate::diagnose::{Cause, Severity};

    /// Requests in flight on the NPU.
    fn served(concurrency: u64, generate: u64) -> Run {
        Run::qwen().with(|typed| {
            (typed.batch, typed.concurrency, typed.generate) = (None, Some(concurrency), Some(generate));
            (typed.tpot, typed.ttft) = (Some(ms(25.0)), None);
        })
    }

    #[test]
    fn short_answers_wait_for_many_prompts() {
        let run = served(16, 64);
        let found = run.finds("RL009").unwrap();
        assert_eq!(found.severity, Severity::Warning);
        // (16 - 1) / 64 of a prompt of 46 ms.
        let spent = run.diagnose().phases[0].spent_on(Cause::Interference).unwrap().time.get();
        assert!((spent / (15.0 / 64.0 * 0.0463) - 1.0).abs() < 0.1, "{spent}");
    }

    #[test]
    fn long_answers_and_batches_do_not() {
        assert_eq!(served(4, 2048).finds("RL009"), None);
        assert_eq!(Run::qwen().finds("RL009"), None);
    }
}
