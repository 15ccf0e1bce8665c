//! RL024: stages of a pipeline that wait for one another.

use super::{MATTERS, Rule};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::Phase;
use crate::diagnose::waterfall::Cause;

pub(super) const RULE: Rule = Rule {
    id: "RL024",
    name: "stages that wait for one another",
    explain: "Devices that have some layers each work at the same time only on different sequences. A step's sequences go through the stages in parts: the first part has to pass all stages before the last one is busy, and unequal stages wait for the slowest. With p equal stages and m parts, (p − 1) / (m + p − 1) of the time is spent so; \
a single sequence uses one device at a time, and takes as long as on one.

It is noted where that is a tenth of a phase's time or more, and it warns from a third on. What it is worth is the time through all stages less that of stages which are busy all the time, both by the estimator. More sequences in flight fill the pipeline; dividing each layer (`--tp`) needs no filling, and a faster link.",
    check,
};

/// The share from which on it is grave.
const GRAVE: f64 = 1.0 / 3.0;

fn check(case: &Case<'_>) -> Option<Found> {
    let found = case.phases.iter().filter_map(|phase| waiting(case, phase));
    found.reduce(|a, b| if b.severity >= a.severity { b } else { a })
}

fn waiting(case: &Case<'_>, phase: &Phase) -> Option<Found> {
    let spent = phase.spent_on(Cause::Pipeline).filter(|spent| spent.share >= MATTERS)?;
    let step = case.placed.lower(&phase.step());
    let severity = if spent.share >= GRAVE { Severity::Warning } else { Severity::Note };
    let says = format!("stages wait for one another for {:.0} % of {}'s time", spent.share * 100.0, phase.kind.word());
    let found = Found::new(severity, says)
        .number("stages", step.graphs.len() as f64, EvidenceUnit::Count, "`--pp`")
        .number("parts that go through them", step.parts as f64, EvidenceUnit::Count, "sequences of a step")
        .number(
            "waiting",
            spent.time.get(),
            EvidenceUnit::Seconds,
            "estimate through all stages, less that of busy ones",
        )
        .worth(phase.kind, spent.time);
    let found = if step.parts < step.graphs.len() as u64 {
        found.attempt(format!("{} sequences in flight or more, one for each stage", step.graphs.len()))
    } else {
        found.attempt("more sequences in flight, or layers divided so that stages take equally long")
    };
    Some(found.attempt("devices that share each layer (`--tp`) instead, where the link between them allows"))
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};
    use crate::diagnose::{Cause, Severity};

    fn staged(batch: u64, tpot: f64) -> Run {
        Run::qwen().with(|typed| {
            (typed.pp, typed.batch, typed.tpot, typed.ttft) = (Some(4), Some(batch), Some(ms(tpot)), None);
        })
    }

    #[test]
    fn a_single_sequence_uses_one_device_at_a_time() {
        let run = staged(1, 14.0);
        let found = run.finds("RL024").unwrap();
        assert!(found.severity == Severity::Warning && found.remedies[0].starts_with("4 sequences"), "{found:?}");
        let diagnosis = run.diagnose();
        let waiting = diagnosis.phases[0].spent_on(Cause::Pipeline).unwrap().time.get();
        // Three of four stages, with a seventh of the weights in the last one's head.
        assert!(waiting > 0.0055 && waiting < 0.0075, "{waiting}");
    }

    #[test]
    fn one_stage_does_not_wait() {
        assert_eq!(Run::qwen().finds("RL024"), None);
        // All of the time is somewhere else.
        assert_eq!(staged(1, 200.0).finds("RL024"), None);
    }
}
