//! RL010: requests that wait before their first token.

use super::{MATTERS, Rule, rest};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::Kind;
use crate::diagnose::waterfall::Cause;
use crate::observe::Quantity;

pub(super) const RULE: Rule = Rule {
    id: "RL010",
    name: "queueing before the first token",
    explain: "The time to the first token of a served request is its own prompt, and before that the prompts that came earlier: those of requests that started with it, and beyond admission \
whole requests. The waterfall's step `queueing` is the first token of the closed loop less the prompt alone, both by the estimator. In a batch that starts together there is no queue: all of its prompts are its own.

It is noted where waiting is a tenth of the time to the first token or more, and it warns where what is unexplained is more than the prompt itself takes: then requests waited longer than a closed loop makes \
them, as they do when they arrive faster than they are answered. Those that start together are counted where the run says how many requests it had and how many were in flight; of another run, they are part of what is unexplained.",
    check,
};

fn check(case: &Case<'_>) -> Option<Found> {
    let phase = case.phase(Kind::Prefill).filter(|_| !case.starts_together())?;
    let queued = phase.spent_on(Cause::Queueing)?;
    let own = phase.estimate - queued.time;
    let unexplained = rest(phase);
    let found = if unexplained > own {
        let says = "requests wait for their first token longer than prompts and the queue of a closed loop explain";
        Found::new(Severity::Warning, says).worth(Kind::Prefill, unexplained)
    } else if queued.share >= MATTERS {
        let says =
            format!("{:.0} % of the time to the first token is waiting for other requests", queued.share * 100.0);
        Found::new(Severity::Note, says).worth(Kind::Prefill, queued.time)
    } else {
        return None;
    };
    let found = found
        .number("measured", phase.measured.get(), EvidenceUnit::Seconds, phase.from.clone())
        .number("its own prompt", own.get(), EvidenceUnit::Seconds, "estimate")
        .number("waiting for others", queued.time.get(), EvidenceUnit::Seconds, "closed loop by the estimate")
        .number("unexplained", unexplained.get(), EvidenceUnit::Seconds, "waterfall");
    let spread =
        case.inputs.run.metrics.get(&Quantity::Ttft).and_then(|ttft| Some((ttft.values.p99?, ttft.values.median?)));
    let found = match spread {
        Some((late, middle)) if middle > 0.0 => {
            found.number("99th percentile over median", late / middle, EvidenceUnit::Times, phase.from.clone())
        }
        _ => found,
    };
    Some(
        found
            .attempt("fewer requests in flight, more replicas, or prefix caching")
            .decide("the same run at concurrency 1: what is left of the time is no queue"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};
    use crate::diagnose::Severity;

    fn served(ttft: f64, concurrency: u64) -> Option<Severity> {
        let run = Run::qwen().with(|typed| {
            (typed.batch, typed.concurrency, typed.generate) = (None, Some(concurrency), Some(128));
            (typed.tpot, typed.ttft) = (None, Some(ms(ttft)));
        });
        run.finds("RL010").map(|found| found.severity)
    }

    #[test]
    fn waiting_is_noted_and_long_waiting_warned_of() {
        // A prompt takes 46 ms.
        assert_eq!(served(80.0, 64), Some(Severity::Note));
        assert_eq!(served(400.0, 64), Some(Severity::Warning));
    }

    #[test]
    fn a_request_alone_and_a_batch_do_not_queue() {
        assert_eq!(served(60.0, 1), None);
        assert_eq!(Run::qwen().finds("RL010"), None);
    }
}
