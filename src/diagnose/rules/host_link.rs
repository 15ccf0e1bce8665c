//! RL016: what comes from outside of the device's memory.

use super::{MATTERS, Rule, rest};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::host::is_computed_there;
use crate::diagnose::phase::Phase;
use crate::diagnose::waterfall::Cause;
use crate::units::{Bytes, Seconds};

pub(super) const RULE: Rule = Rule {
    id: "RL016",
    name: "bound by the link to the host",
    explain: "Weights and caches that do not fit into the device's memory lie in that of the host, or on a disk, and come over a link in each step. A link is ten to a hundred times slower than the device's own \
memory, so that a tenth of the weights on the other side can take as long as all others. llama.cpp does not fetch layers of the host while decoding: the host computes them, one after the other with the device. Its own memory is then what they \
come through, and its bandwidth what `--host-link` should say.

It is noted where that is a tenth of a phase's time or more, and it warns from a half on. What it is worth is the time with everything in the device's memory, by the estimator: by narrower weights, a narrower cache, more devices, \
or a smaller model. Where nothing is known of the link, what is offloaded is noted with the rate at which it would be all that is unexplained.",
    check,
};

/// The share from which on it is grave.
const GRAVE: f64 = 0.5;

fn check(case: &Case<'_>) -> Option<Found> {
    if case.inputs.scenario.offload.is_none() {
        return None;
    }
    let found = case
        .phases
        .iter()
        .filter_map(|phase| if case.is_unreachable() { unknown(case, phase) } else { known(case, phase) });
    let found = found.reduce(|a, b| if b.severity >= a.severity { b } else { a })?;
    let offload = case.inputs.scenario.offload;
    let computed_there = is_computed_there(case.inputs.run);
    let from = if computed_there { "layers that the run counts" } else { "the run, `--offload`" };
    let mut found = found;
    for (what, share) in [("weights outside", offload.weights), ("cache outside", offload.kv)] {
        if share > 0.0 {
            found = found.number(what, share, EvidenceUnit::Share, from);
        }
    }
    let found = found.attempt("narrower weights or a narrower cache, so that all fits into the device's memory; `rooflab estimate` says what does");
    Some(if computed_there {
        found.decide("the same run with other numbers of layers on the device (`-ngl`): each layer adds as much time as the host takes for it")
    } else {
        found.decide("the bandwidth of the link by itself (nvbandwidth: `host_to_device_memcpy_ce`)")
    })
}

/// What a phase moves.
fn moved(case: &Case<'_>, phase: &Phase) -> Bytes {
    let step = case.placed.lower(&phase.step());
    let bytes: Bytes = step.graphs.iter().map(|graph| case.inputs.scenario.offload.transferred(graph)).sum();
    bytes * step.parts as f64
}

fn known(case: &Case<'_>, phase: &Phase) -> Option<Found> {
    let waited = phase.spent_on(Cause::Offload).filter(|spent| spent.share >= MATTERS)?;
    if waited.share > 1.0 {
        return Some(understated(case, phase, waited.time));
    }
    let severity = if waited.share >= GRAVE { Severity::Warning } else { Severity::Note };
    let says = format!(
        "{} waits for {:.0} % of its time for what lies outside of the device's memory",
        phase.kind.word(),
        waited.share * 100.0
    );
    let link = if case.inputs.host_link.is_some() {
        "estimate over `--host-link`"
    } else {
        "estimate over the profile's link to the host"
    };
    Some(
        Found::new(severity, says)
            .number("moved in a step", moved(case, phase).get(), EvidenceUnit::Bytes, "operator graph")
            .number("waited for", waited.time.get(), EvidenceUnit::Seconds, link)
            .worth(phase.kind, waited.time),
    )
}

/// A phase that took less than what lies outside takes by the link alone.
fn understated(case: &Case<'_>, phase: &Phase, waited: Seconds) -> Found {
    let moved = moved(case, phase);
    let says = format!(
        "{} took less time than what lies outside of the device's memory does over that link: the link is faster, or less lies there",
        phase.kind.word()
    );
    Found::new(Severity::Warning, says)
        .number("measured", phase.measured.get(), EvidenceUnit::Seconds, phase.from.clone())
        .number("waited for", waited.get(), EvidenceUnit::Seconds, "estimate over the link")
        .number("moved in a step", moved.get(), EvidenceUnit::Bytes, "operator graph")
        .number(
            "it took all of the time at",
            moved.get() / phase.measured.get(),
            EvidenceUnit::BytesPerSecond,
            "the run",
        )
        .attempt("check the share that lay outside, and the link's bandwidth")
}

fn unknown(case: &Case<'_>, phase: &Phase) -> Option<Found> {
    let (moved, unexplained) = (moved(case, phase), rest(phase));
    if unexplained / phase.measured < MATTERS || moved.get() <= 0.0 {
        return None;
    }
    let says = format!(
        "{} needs what lies outside of the device's memory, over a link of which nothing is known",
        phase.kind.word()
    );
    Some(
        Found::new(Severity::Note, says)
            .number("moved in a step", moved.get(), EvidenceUnit::Bytes, "operator graph")
            .number(
                "it is all that is unexplained at",
                moved.get() / unexplained.get(),
                EvidenceUnit::BytesPerSecond,
                "waterfall",
            )
            .attempt("give the link, so that its time is told from the rest: `--host-link 25GB/s,10us`"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};
    use crate::diagnose::{Cause, Severity, Worth};
    use crate::estimate::link::Link;
    use crate::observe::{Source, Tool};
    use crate::units::{BytesPerSecond, Seconds};

    /// So much of 15.2 GB over 25 GB/s.
    fn offloaded(share: f64, tpot: f64) -> Run {
        let mut run = Run::measured().with(|typed| (typed.host_weights, typed.tpot) = (Some(share), Some(ms(tpot))));
        run.host_link = Link::new(Seconds(10e-6), BytesPerSecond(25e9)).ok();
        run
    }

    #[test]
    fn what_comes_over_the_link_is_a_step_of_the_waterfall() {
        let run = offloaded(0.3, 200.0);
        let found = run.finds("RL016").unwrap();
        let Some(Worth::Time { up_to, .. }) = found.worth else { panic!("{found:?}") };
        // 0.3 · 14.1 GB / 25 GB/s, less the 6 ms of computing that overlap with it.
        assert!(found.severity == Severity::Warning && up_to.get() > 0.155 && up_to.get() < 0.175, "{found:?}");
        let diagnosis = run.diagnose();
        let phase = &diagnosis.phases[0];
        assert_eq!(phase.spent_on(Cause::Offload).map(|spent| spent.time), Some(up_to));
        let sum: f64 = phase.spent.iter().map(|spent| spent.time.get()).sum();
        assert!((sum - 0.2).abs() < 1e-12, "{sum}");
    }

    #[test]
    fn a_run_faster_than_the_link_doubts_the_input() {
        let found = offloaded(0.3, 20.0).finds("RL016").unwrap();
        assert!(found.says.contains("the link is faster") && found.worth.is_none(), "{found:?}");
    }

    #[test]
    fn without_a_link_it_is_asked_for() {
        let run = Run { host_link: None, ..offloaded(0.3, 200.0) };
        let found = run.finds("RL016").unwrap();
        assert!(found.remedies[0].contains("--host-link") && found.worth.is_none(), "{found:?}");
        assert!(
            run.diagnose().phases[0]
                .absent
                .iter()
                .any(|absent| absent.cause == Cause::Offload && absent.why.contains("--host-link"))
        );
    }

    #[test]
    fn counted_layers_are_computed_by_the_host() {
        let mut run = offloaded(0.3, 200.0).with(|typed| typed.host_weights = None);
        run.observed.sources = vec![Source { tool: Tool::LlamaBench, version: None, file: None }];
        run.observed.load.device_layers = Some(20);
        let found = run.finds("RL016").unwrap();
        assert!(found.decide.unwrap().contains("-ngl"));
        run.observed.load.device_layers = Some(29);
        assert_eq!(run.finds("RL016"), None);
    }

    #[test]
    fn what_overlaps_with_computing_and_what_is_all_here_is_no_finding() {
        assert_eq!(offloaded(0.005, 6.5).finds("RL016"), None);
        assert_eq!(offloaded(0.0, 6.5).finds("RL016"), None);
        assert_eq!(Run::measured().finds("RL016"), None);
    }
}
