//! What speaks against a diagnosis in the profile it rests on: ceilings that would not hold still when they were measured, and phases that were faster than them.

use super::case::Case;
use super::phase::Phase;
use super::waterfall::Cause;
use crate::estimate::cost::Source;
use crate::profile::{Answer, Ceilings, Demand, Flag};
use crate::resource::{Resource, Scope};
use crate::units::{Seconds, percent};

/// By how much a value must have moved while it was measured to be doubted.
pub(super) const MOVED: f64 = 0.1;
/// The share of a phase's estimate that must rest on such values.
const MATTERS: f64 = 0.2;
/// How much faster than its estimate a phase may be before the ceilings are doubted.
const FASTER: f64 = 0.05;

/// What is to be said of each phase.
pub(super) fn doubts(case: &Case<'_>) -> Vec<String> {
    if !case.is_measured() {
        return Vec::new();
    }
    case.phases.iter().flat_map(|phase| faster(phase).into_iter().chain(restless(case, phase))).collect()
}

fn faster(phase: &Phase) -> Option<String> {
    let share = -phase.spent_on(Cause::Unexplained)?.share;
    (share > FASTER).then(|| {
        format!(
            "{} took {} less than its estimate: a ceiling it rests on is lower than what this device can do",
            phase.kind.word(),
            percent(share)
        )
    })
}

/// The ceilings of a phase's operators that moved while they were measured, with the share of the estimate that rests on them.
fn restless(case: &Case<'_>, phase: &Phase) -> Option<String> {
    let cost = case.placed.cost(&phase.step()).ok()?;
    let ceilings = Ceilings::new(case.inputs.profile);
    let mut total = Seconds(0.0);
    let mut moved: Vec<(Resource, Seconds, f64)> = Vec::new();
    for operator in cost.stages.iter().flat_map(|stage| &stage.operators) {
        let time = operator.time * operator.count as f64;
        total = total + time;
        let Some(Source::Ceiling { resource, at, .. }) = operator.decisive().map(|need| need.from) else { continue };
        let Answer::Known(known) = ceilings.ask(&Demand { resource, scope: Scope::Device, at }) else { continue };
        let most = known.flags.iter().map(spread).fold(0.0, f64::max);
        if most < MOVED {
            continue;
        }
        match moved.iter_mut().find(|(known, ..)| *known == resource) {
            Some((_, sum, worst)) => (*sum, *worst) = (*sum + time, worst.max(most)),
            None => moved.push((resource, time, most)),
        }
    }
    let (resource, time, most) = moved.into_iter().reduce(|a, b| if b.1 > a.1 { b } else { a })?;
    (time / total >= MATTERS).then(|| {
        format!(
            "`{resource}`, on which {} of the estimate of {} rests, moved by {} while it was measured: measure it again on a quiet machine",
            percent(time / total),
            phase.kind.word(),
            percent(most)
        )
    })
}

/// By how much a flag says that a value moved.
pub(super) fn spread(flag: &Flag) -> f64 {
    let apart = |a: f64, b: f64| (a.max(b) / a.min(b) - 1.0).max(0.0);
    let spread = match flag {
        Flag::Unstable { uncertainty, .. } => *uncertainty,
        Flag::Drifting { change } => change.abs(),
        Flag::Bimodal { modes: [a, b] } => apart(a.value, b.value),
        Flag::Unrepeatable { visits: [a, b] } => apart(*a, *b),
        _ => 0.0,
    };
    if spread.is_finite() { spread } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Run, ms};
    use super::*;
    use crate::profile::Outcome;

    fn said(run: &Run) -> Vec<String> {
        run.diagnose().caveats
    }

    #[test]
    fn a_phase_that_beats_its_estimate_doubts_the_ceilings() {
        let fast = Run::measured().with(|typed| typed.tpot = Some(ms(4.6)));
        assert!(said(&fast).iter().any(|text| text.starts_with("decode took ")), "{:?}", said(&fast));
        assert_eq!(said(&Run::measured()), Vec::<String>::new());
        assert_eq!(said(&Run::qwen().with(|typed| typed.tpot = Some(ms(1.0)))), Vec::<String>::new());
    }

    #[test]
    fn ceilings_that_moved_are_told_where_the_time_rests_on_them() {
        let flagged = |flag: Flag| {
            let mut run = Run::measured();
            for ceiling in &mut run.profile.ceilings {
                if let Outcome::Ok { points, .. } = &mut ceiling.outcome
                    && ceiling.resource.to_string() == "gemv.bf16"
                {
                    points.iter_mut().for_each(|point| point.flags.push(flag.clone()));
                }
            }
            said(&run)
        };
        let texts = flagged(Flag::Unrepeatable { visits: [2e12, 3e12] });
        assert!(matches!(&texts[..], [text] if text.contains("`gemv.bf16`") && text.contains("50 %")), "{texts:?}");
        assert_eq!(flagged(Flag::Unrepeatable { visits: [2.9e12, 3e12] }), Vec::<String>::new());
        assert_eq!(flagged(Flag::Drifting { change: f64::NAN }), Vec::<String>::new());
    }
}
