//! A measurement becomes a point: times to values, with what speaks against them.

use super::contest;
use super::measure::{FEWEST, Measurement, NONLINEAR, is_crowded};
use super::plan::Plan;
use crate::backend::{CycleLimit, Glance};
use crate::facts::{DeviceKind, Restraint};
use crate::profile::{Beside, Flag, Limit, Mode, Point, Rival, Samples, Steady};
use crate::stats::{self, Modes, Summary};
use crate::units::{Hertz, Seconds, Unit};
use crate::workload::Workload;

/// Ratio to a physical limit above which a value is suspect.
const SUSPECT: f64 = 1.05;

/// A point with what the hardware allows there.
pub(super) struct Measured {
    pub(super) point: Point,
    pub(super) limit: Option<Limit>,
}

/// The point of a measurement, with every flag except those that only the whole run can tell.
pub(super) fn point(
    plan: &Plan,
    goal: f64,
    workload: &Workload,
    measurement: &Measurement,
    variant: String,
    limit: Option<CycleLimit>,
) -> Option<Measured> {
    let (summary, modes) = measurement.summary()?;
    let value = |seconds: f64| workload.value(seconds);
    // Long times are bad, for rates as for times: the 90th percentile of time is the 10th of goodness.
    let (worse, better) = (value(summary.p90), value(summary.p10));
    let (a, b) = (value(summary.confidence.0), value(summary.confidence.1));
    let center = value(summary.median);
    let values: Vec<f64> = measurement.times().iter().map(|&time| value(time)).collect();
    let deviations: Vec<f64> = values.iter().map(|value| (value - center).abs()).collect();
    let clock = measurement.clock();
    let limit = limit.zip(clock).map(|(limit, clock)| at_clock(limit, clock, workload, plan.kind));
    let point = Point {
        at: workload.place(),
        shape: workload.shape(),
        value: center,
        best: value(summary.min),
        p10: worse,
        p90: better,
        mad: stats::median(&deviations)?,
        confidence: [a.min(b), a.max(b)],
        samples: samples(measurement),
        iterations: measurement.iterations,
        time: Seconds(summary.median),
        work: workload.work(),
        lanes: workload.lanes,
        variant,
        by: measurement.by,
        devices: measurement.devices,
        beside: measurement.beside.as_ref().and_then(|other| beside(workload, other)),
        clock,
        stop: measurement.stop,
        flags: flags(goal, workload, measurement, &summary, modes, limit.as_ref()),
        steady: measurement.steady.as_ref().map(|steady| Steady {
            value: value(steady.time),
            after: steady.after,
            clock: steady.clock,
            flags: limits(&steady.glances),
        }),
        raw: plan.request.keep_samples.then_some(values),
    };
    Some(Measured { point, limit })
}

/// What became of the other implementer, as values.
fn beside(workload: &Workload, other: &contest::Beside) -> Option<Beside> {
    let rival = match &other.result {
        Err(reason) => Rival::Absent { reason: reason.clone() },
        Ok(rival) => {
            let (summary, _) = rival.measurement.summary()?;
            let (a, b) = (workload.value(summary.confidence.0), workload.value(summary.confidence.1));
            Rival::Ok {
                variant: rival.variant.clone(),
                value: workload.value(summary.median),
                confidence: [a.min(b), a.max(b)],
                samples: samples(&rival.measurement),
            }
        }
    };
    Some(Beside { by: other.by, rival })
}

fn flags(
    goal: f64,
    workload: &Workload,
    measurement: &Measurement,
    summary: &Summary,
    modes: Option<Modes>,
    limit: Option<&Limit>,
) -> Vec<Flag> {
    let samples = samples(measurement);
    let uncertainty = summary.uncertainty();
    let mut flags = Vec::new();
    if is_crowded(measurement.clean.len(), measurement.total()) && !measurement.disturbed.is_empty() {
        let untimed = measurement.untimed as u32;
        flags.push(if 2 * measurement.untimed > measurement.disturbed.len() {
            Flag::Untimed { valid: samples.total - untimed, total: samples.total }
        } else {
            Flag::Preempted { clean: samples.clean, total: samples.total }
        });
    }
    if uncertainty > goal || measurement.clean.len() < FEWEST {
        flags.push(Flag::Unstable { uncertainty, goal });
    }
    let values: Vec<f64> = measurement.times().iter().map(|&time| workload.value(time)).collect();
    if let Some(change) = stats::drift(&values) {
        flags.push(Flag::Drifting { change });
    }
    if let Some(Modes { low, high, low_share }) = modes {
        let mut modes = [(low, low_share), (high, 1.0 - low_share)]
            .map(|(time, share)| Mode { value: workload.value(time), share });
        modes.sort_by(|a, b| a.value.total_cmp(&b.value));
        flags.push(Flag::Bimodal { modes });
    }
    if let Some(ratio) = measurement.linearity.filter(|ratio| (ratio - 1.0).abs() > NONLINEAR) {
        flags.push(Flag::Nonlinear { ratio });
    }
    if let &[first, second] = measurement.visits.as_slice()
        && measurement.came_back() == Some(false)
    {
        flags.push(Flag::Unrepeatable { visits: [workload.value(first), workload.value(second)] });
    }
    if let Some(share) =
        limit.map(|limit| workload.value(summary.median) / limit.value).filter(|&share| share > SUSPECT)
    {
        flags.push(Flag::Suspect { share });
    }
    flags.extend(limits(&measurement.glances));
    flags
}

/// What held the clock down at most of the looks that were taken at the sensors.
fn limits(glances: &[Glance]) -> Vec<Flag> {
    let limited = |by: Restraint| {
        let seen = || glances.iter().filter(move |glance| glance.restraints.contains(by));
        let share = seen().count() as f64 / glances.len() as f64;
        // It is of interest how much power is drawn where that is the reason.
        let median = |of: fn(&Glance) -> Option<f64>| {
            stats::median(&seen().filter_map(of).collect::<Vec<f64>>()).filter(|_| by == Restraint::Power)
        };
        let (power, power_limit) = (median(|glance| glance.power), median(|glance| glance.power_limit));
        (share > 0.5).then_some(Flag::Limited { by, share, power, power_limit })
    };
    Restraint::ALL.into_iter().filter_map(limited).collect()
}

fn samples(measurement: &Measurement) -> Samples {
    Samples { clean: measurement.clean.len() as u32, total: measurement.total() as u32 }
}

/// What the hardware allows, at the clock of the samples themselves.
fn at_clock(limit: CycleLimit, clock: Hertz, workload: &Workload, kind: DeviceKind) -> Limit {
    let what = if workload.resource().unit() == Unit::BytePerSecond { "bytes" } else { "operations" };
    let CycleLimit { per_cycle, source } = limit;
    let lanes = workload.lanes;
    let (one, many) = kind.parts();
    let parts = if lanes == 1 { one } else { many };
    Limit {
        value: per_cycle * clock.get() * f64::from(lanes),
        formula: format!("{lanes} {parts} × {per_cycle} {what} per cycle × {clock} measured"),
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Implementer;
    use crate::profile::Stop;
    use crate::resource::Overhead;
    use crate::workload::Kind;

    fn glance(restraints: &[Restraint], power: f64) -> Glance {
        let restraints = restraints.iter().copied().collect();
        Glance { restraints, power: Some(power), power_limit: Some(700.0) }
    }

    #[test]
    fn what_held_the_clock_down_most_of_the_time_is_told() {
        assert_eq!(limits(&[]), []);
        assert_eq!(limits(&[glance(&[], 300.0)]), []);
        let (power, heat) = (Restraint::Power, Restraint::Heat);
        let half = [glance(&[power], 700.0), glance(&[], 300.0)];
        assert_eq!(limits(&half), [], "half is not most");
        let most = [glance(&[power], 690.0), glance(&[], 300.0), glance(&[power, heat], 700.0), glance(&[heat], 710.0)];
        assert_eq!(limits(&most), []);
        let limited = |by, power, power_limit| Flag::Limited { by, share: 2.0 / 3.0, power, power_limit };
        let both = [limited(power, Some(695.0), Some(700.0)), limited(heat, None, None)];
        let three = [most[0], most[2], most[3]];
        assert_eq!(limits(&three), both);
    }

    /// The flags of samples of which some were disturbed, some of those because the device gave no time.
    fn flags_of(clean: usize, disturbed: usize, untimed: usize) -> Vec<Flag> {
        let measurement = Measurement {
            variant: 0,
            by: Implementer::Open,
            devices: None,
            beside: None,
            iterations: 1,
            clean: vec![1.0; clean],
            disturbed: vec![1.0; disturbed],
            untimed,
            visits: Vec::new(),
            clocks: Vec::new(),
            glances: Vec::new(),
            stop: Stop::Budget,
            linearity: None,
            steady: None,
        };
        let workload = Workload { kind: Kind::Empty { overhead: Overhead::Launch }, lanes: 1 };
        let summary = Summary::of(measurement.times()).unwrap();
        flags(0.01, &workload, &measurement, &summary, None, None)
    }

    #[test]
    fn a_device_that_tells_no_time_is_not_a_crowded_machine() {
        let untimed = flags_of(2, 40, 30);
        assert!(untimed.contains(&Flag::Untimed { valid: 12, total: 42 }), "{untimed:?}");
        assert!(!untimed.iter().any(|flag| matches!(flag, Flag::Preempted { .. })));
        let crowded = flags_of(2, 40, 20);
        assert!(crowded.contains(&Flag::Preempted { clean: 2, total: 42 }), "{crowded:?}");
        assert_eq!(flags_of(40, 2, 2), []);
        // Few samples, none of them disturbed, say nothing of other programs.
        let few = flags_of(3, 0, 0);
        assert!(matches!(few[..], [Flag::Unstable { .. }]), "{few:?}");
    }
}
