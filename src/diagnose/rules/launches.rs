//! RL004: the time of starting kernels.

use super::{MATTERS, Rule, rest};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::{Kind, Phase};
use crate::diagnose::waterfall::Cause;
use crate::estimate::StagedCost;
use crate::facts::DeviceKind;
use crate::profile::{Ceilings, Demand, Place};
use crate::resource::{Overhead, Resource, Scope};
use crate::units::Seconds;

pub(super) const RULE: Rule = Rule {
    id: "RL004",
    name: "launch-bound, or not graphed",
    explain: "A step of a model is some hundreds of kernels. Started one by one, each costs the host a few microseconds, and where that is longer than the kernels themselves the device waits. \
Graphs start all of a step at once. Small models, small batches and fast devices suffer the most; the time does not depend on the batch, nor on the context.

It warns where the kernels of a step, by the profile's `overhead.launch`, take longer to start than to run, and it notes where starting them one by one would fit into what is \
unexplained. Where the profile has no such ceiling, it notes how much of what is unexplained falls on each kernel, if that is what starting one takes on common machines: 1 to 50 microseconds.",
    check,
};

/// What starting a kernel takes on common machines, from the fastest driver to an interpreter that prepares each call.
const COMMON: std::ops::RangeInclusive<f64> = 1e-6..=50e-6;

fn check(case: &Case<'_>) -> Option<Found> {
    if case.inputs.profile.device.kind == DeviceKind::Cpu {
        return None;
    }
    let phase = case.phase(Kind::Decode)?;
    let cost = case.cost(Kind::Decode).ok()?;
    let kernels = kernels(&cost);
    match launch(case) {
        Some(launch) => known(case, phase, kernels, launch),
        None => unknown(phase, kernels),
    }
}

/// Kernels of a step, one after another over all stages.
fn kernels(cost: &StagedCost) -> f64 {
    cost.stages.iter().flat_map(|stage| &stage.operators).map(|operator| operator.count as f64).sum()
}

fn launch(case: &Case<'_>) -> Option<Seconds> {
    let ceilings = Ceilings::new(case.inputs.profile);
    let resource = Resource::Overhead { of: Overhead::Launch };
    let answer = ceilings.ask(&Demand { resource, scope: Scope::Device, at: Place::Anywhere });
    answer.known().map(|known| Seconds(known.value))
}

fn known(case: &Case<'_>, phase: &Phase, kernels: f64, launch: Seconds) -> Option<Found> {
    let exposed = phase.spent_on(Cause::Launch).map_or(Seconds(0.0), |spent| spent.time);
    let all = launch * kernels;
    let unexplained = rest(phase);
    let (severity, says, worth) = if exposed / phase.measured >= MATTERS {
        (Severity::Warning, "decode is launch-bound: its kernels take longer to start than to run", exposed)
    } else if unexplained >= all && all / phase.measured >= MATTERS {
        (
            Severity::Note,
            "launches may not be batched into a graph: starting kernels one by one fits into what is unexplained",
            all,
        )
    } else {
        return None;
    };
    let from = format!("profile `{}`, `overhead.launch`", case.inputs.profile.name);
    Some(
        Found::new(severity, says)
            .number("kernels of a step", kernels, EvidenceUnit::Count, "operator graph")
            .number("starting one", launch.get(), EvidenceUnit::Seconds, from)
            .number("unexplained", unexplained.get(), EvidenceUnit::Seconds, "waterfall")
            .worth(Kind::Decode, worth)
            .attempt("confirm that graphs are on (vLLM: no `--enforce-eager`; llama.cpp: a build with CUDA graphs), then run it again")
            .decide("the same run at half the batch: starting kernels takes as long as before, reading keys and values half as long"),
    )
}

fn unknown(phase: &Phase, kernels: f64) -> Option<Found> {
    let unexplained = rest(phase);
    let each = unexplained / kernels;
    if unexplained / phase.measured < MATTERS || !COMMON.contains(&each.get()) {
        return None;
    }
    Some(
        Found::new(Severity::Note, "what is unexplained is what starting kernels one by one takes on common machines")
            .number("unexplained", unexplained.get(), EvidenceUnit::Seconds, "waterfall")
            .number("kernels of a step", kernels, EvidenceUnit::Count, "operator graph")
            .number("unexplained for each", each.get(), EvidenceUnit::Seconds, "waterfall")
            .worth(Kind::Decode, unexplained)
            .attempt("confirm that graphs are on, then run it again")
            .decide("a profile with `overhead.launch` (`rooflab probe`), or a trace of one step: gaps between kernels are the host's"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};
    use crate::diagnose::{Severity, Worth};

    #[test]
    fn kernels_that_start_slowly_bound_the_step() {
        let mut run = Run::measured().with(|typed| typed.tpot = Some(ms(30.0)));
        run.ceilings(&[]);
        for ceiling in &mut run.profile.ceilings {
            if let crate::profile::Outcome::Ok { points, .. } = &mut ceiling.outcome
                && ceiling.resource.to_string() == "overhead.launch"
            {
                points[0].value = 60e-6;
            }
        }
        let found = run.finds("RL004").unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert!(
            matches!(found.worth, Some(Worth::Time { up_to, .. }) if up_to.get() > 0.01 && up_to.get() < 0.03),
            "{found:?}"
        );
    }

    #[test]
    fn what_is_left_may_be_launches() {
        assert_eq!(
            Run::measured().with(|typed| typed.tpot = Some(ms(9.0))).finds("RL004").map(|found| found.severity),
            Some(Severity::Note)
        );
        // Nothing is left that they could be.
        assert_eq!(Run::measured().finds("RL004"), None);
    }

    #[test]
    fn without_a_measured_launch_the_remainder_is_divided_by_the_kernels() {
        let found = Run::qwen().finds("RL004").unwrap();
        assert!(found.decide.is_some_and(|decide| decide.contains("overhead.launch")));
        assert_eq!(Run::qwen().with(|typed| typed.tpot = Some(ms(10.0))).finds("RL004"), None);
        // Far more than any launch takes.
        assert_eq!(Run::qwen().with(|typed| typed.tpot = Some(ms(100.0))).finds("RL004"), None);
    }
}
