//! RL007: what exchanges between devices cost.

use super::{MATTERS, Rule};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::{Kind, Phase};
use crate::diagnose::waterfall::Cause;
use crate::graph::{Kind as Work, Layout};

pub(super) const RULE: Rule = Rule {
    id: "RL007",
    name: "communication between devices",
    explain: "Devices that share each matrix add their parts up twice in every layer. While decoding those messages are small, so that the latency of the link counts and not its \
bandwidth: eighty exchanges of ten microseconds are most of a millisecond in every token. Prompts send large messages, for which bandwidth counts.

It is noted where exchanges are a tenth of a phase's time or more, and it warns from a quarter on. What that is worth is the time with exchanges less the time without, by the estimator and the link that was given. Where \
no link was given, their number is noted and their time is in what is unexplained.",
    check,
};

/// The share from which on it is grave.
const GRAVE: f64 = 0.25;

fn check(case: &Case<'_>) -> Option<Found> {
    let Layout { tensor, pipeline, expert, .. } = case.inputs.scenario.layout;
    if tensor.max(pipeline).max(expert) < 2 {
        return None;
    }
    let found = case.phases.iter().filter_map(|phase| exchanged(case, phase));
    found.reduce(|a, b| if b.severity > a.severity { b } else { a })
}

fn exchanged(case: &Case<'_>, phase: &Phase) -> Option<Found> {
    let step = case.placed.lower(&phase.step());
    let exchanges = step.graphs.iter().flat_map(|graph| &graph.operators);
    let exchanges: f64 = exchanges
        .filter(|operator| matches!(operator.kind, Work::Exchange(_)))
        .map(|operator| operator.count as f64)
        .sum();
    if exchanges == 0.0 {
        return None;
    }
    let word = phase.kind.word();
    let found = match phase.spent_on(Cause::Communication) {
        Some(spent) if spent.share >= MATTERS => {
            let severity = if spent.share >= GRAVE { Severity::Warning } else { Severity::Note };
            Found::new(severity, format!("{word} spends {:.0} % of its time on exchanges between devices", spent.share * 100.0))
                .number("exchanges of a step", exchanges, EvidenceUnit::Count, "operator graph")
                .number("their time", spent.time.get(), EvidenceUnit::Seconds, format!("estimate over {}", case.inputs.link_from()))
                .worth(phase.kind, spent.time)
                .attempt("fewer devices for each layer and more replicas, where the model fits; custom all-reduce kernels for small messages")
        }
        Some(_) => return None,
        None => Found::new(
            Severity::Note,
            format!("{word} exchanges data between devices, over a link of which nothing is known"),
        )
        .number("exchanges of a step", exchanges, EvidenceUnit::Count, "operator graph")
        .attempt("give the link, so that its time is told from the rest: `--link 450GB/s,5us`"),
    };
    let devices = case.inputs.scenario.layout.tensor;
    Some(if phase.kind == Kind::Decode {
        found.decide(format!("`all_reduce_perf -g {devices}` of nccl-tests at the size of one step's activations"))
    } else {
        found
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};
    use crate::diagnose::{Severity, Worth};
    use crate::estimate::link::Link;
    use crate::units::{BytesPerSecond, Seconds};

    fn shared(latency: f64) -> Run {
        let mut run = Run::qwen().with(|typed| (typed.tp, typed.tpot, typed.ttft) = (Some(4), Some(ms(6.0)), None));
        run.link = Link::new(Seconds(latency), BytesPerSecond(450e9)).ok();
        run
    }

    #[test]
    fn slow_exchanges_are_found_with_what_they_are_worth() {
        let found = shared(20e-6).finds("RL007").unwrap();
        let Some(Worth::Time { up_to, .. }) = found.worth else { panic!("{found:?}") };
        // Two for each of 28 layers, and one for the logits.
        assert!(up_to.get() > 57.0 * 20e-6 && up_to.get() < 60.0 * 25e-6, "{found:?}");
        assert_eq!(found.severity, Severity::Note);
        assert_eq!(shared(40e-6).finds("RL007").map(|found| found.severity), Some(Severity::Warning));
    }

    #[test]
    fn a_fast_link_or_a_single_device_is_no_finding() {
        assert_eq!(shared(1e-6).finds("RL007"), None);
        assert_eq!(Run::qwen().finds("RL007"), None);
    }

    #[test]
    fn without_a_link_it_is_asked_for() {
        let run = Run { link: None, ..shared(1e-6) };
        let found = run.finds("RL007").unwrap();
        assert!(found.worth.is_none() && found.remedies[0].contains("--link"));
        assert!(run.diagnose().phases[0].absent.iter().any(|absent| absent.why.contains("--link")));
    }
}
