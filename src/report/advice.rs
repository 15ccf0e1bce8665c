//! How to get better numbers: only what was observed in this run, with what to do about it.

use super::gpu::{others, pcie};
use crate::facts::{DeviceKind, Restraint};
use crate::profile::{Effort, Flag, Outcome, Profile};
use crate::resource::{Key, Overhead, Resource, Scope};
use crate::units::{Seconds, Unit, human};

/// Bytes of huge pages per byte of memory below which they are said to be missing.
const FEW_HUGE_PAGES: f64 = 0.5;

/// Change of the time between cores that is not scatter any more.
const MOVED: f64 = 1.5;

/// The shortest and longest time of an empty launch, if they tell of different places of the cores.
fn moved_cores(profile: &Profile) -> Option<(Seconds, Seconds)> {
    // A GPU's launches do not go from core to core.
    if profile.device.kind.is_gpu_like() {
        return None;
    }
    let launch = Resource::Overhead { of: Overhead::Launch };
    let point = profile.ceiling(Key { resource: launch, scope: Scope::Device })?.single()?;
    let [near, far] = point.flags.iter().find_map(|flag| match flag {
        Flag::Bimodal { modes: [near, far] } => Some([near.value, far.value]),
        Flag::Unrepeatable { visits: [a, b] } => Some([a.min(*b), a.max(*b)]),
        _ => None,
    })?;
    (far > MOVED * near).then_some((Seconds(near), Seconds(far)))
}

/// What a GPU's driver told of others, and of the link.
fn gpu(profile: &Profile) -> Vec<String> {
    let conditions = profile.conditions.gpu.as_ref();
    let used = conditions.and_then(|gpu| gpu.others).and_then(others);
    let used = used.map(|used| format!("this device was {used} when it began: stop them and measure again"));
    // At rest links are slow by design: it is the highest that was seen which counts.
    let seen = profile.observed.gpu.as_ref().and_then(|gpu| gpu.link);
    let links = seen.zip(conditions.and_then(|gpu| gpu.highest_link));
    let slow = links.filter(|(seen, highest)| seen.generation < highest.generation || seen.width < highest.width);
    let slow = slow.map(|(seen, highest)| {
        format!("the link to the host ran at {}, and is capable of {}", pcie(seen), pcie(highest))
    });
    used.into_iter().chain(slow).collect()
}

/// Advice for a profile, most important first.
#[must_use]
pub fn advice(profile: &Profile) -> Vec<String> {
    let mut advice = Vec::new();
    let Some(instrument) = &profile.instrument else { return advice };
    let conditions = &profile.conditions;
    let points: Vec<_> = profile
        .ceilings
        .iter()
        .filter_map(|ceiling| match &ceiling.outcome {
            Outcome::Ok { points, .. } => Some(points),
            _ => None,
        })
        .flatten()
        .collect();
    let flagged = |wanted: fn(&Flag) -> bool| points.iter().filter(|point| point.flags.iter().any(wanted)).count();
    let crowded = flagged(|flag| matches!(flag, Flag::Preempted { .. }));
    if crowded > 0 {
        let load = conditions.load.map_or(String::new(), |load| format!(" (load {load:.1} when it began)"));
        advice.push(format!(
            "other programs used this device{load}: {crowded} of {} points rest on few undisturbed samples; stop them and measure again",
            points.len()
        ));
    }
    let untimed = flagged(|flag| matches!(flag, Flag::Untimed { .. }));
    if untimed > 0 {
        advice.push(format!(
            "the driver gave no valid times for {untimed} of {} points, whose times are the host's and include handing work over: update the driver",
            points.len()
        ));
    }
    if let Some((near, far)) = moved_cores(profile) {
        advice.push(format!(
            "handing work between cores took {near} at one time and {far} at another: the cores were moved, which changes the bandwidth of \
             shared caches and memory too"
        ));
    }
    let unsteady = flagged(|flag| {
        matches!(flag, Flag::Unstable { .. } | Flag::Bimodal { .. } | Flag::Drifting { .. } | Flag::Unrepeatable { .. })
    });
    if unsteady > 0 && crowded + untimed == 0 {
        let remedy = match instrument.effort {
            Effort::Quick | Effort::Normal => "; `--effort thorough` takes more samples",
            Effort::Thorough => "",
        };
        let cause = match &conditions.virtualisation {
            Some(host) => format!("this is a guest of {host}, and its neighbours share memory and caches"),
            None => "something changed while it was measured".to_owned(),
        };
        advice.push(format!("{unsteady} of {} points would not hold still: {cause}{remedy}", points.len()));
    }
    if flagged(|flag| matches!(flag, Flag::Suspect { .. })) > 0 {
        advice.push("a value lies above what the hardware can do: please report it, with the profile".to_owned());
    }
    advice.extend(gpu(profile));
    if flagged(|flag| matches!(flag, Flag::Limited { by: Restraint::Heat, .. })) > 0 {
        advice.push("heat held the clock down: these are the ceilings of this device with this cooling".to_owned());
    }
    if let Some(governor) = conditions.governor.as_deref().filter(|governor| *governor == "powersave") {
        advice.push(format!(
            "the frequency governor is `{governor}`: `sudo cpupower frequency-set -g performance` before measuring"
        ));
    }
    if conditions.pinned == Some(false) {
        advice.push(
            "threads could not be bound to cores: the system moved them about while they were measured".to_owned(),
        );
    }
    if let Some(limit) = &conditions.limit {
        advice.push(format!(
            "this process is limited to {limit}: the ceilings are those of the limit, not of the machine"
        ));
    }
    let observed = &profile.observed;
    if let Some(huge) = observed.memory_in_huge_pages.filter(|_| profile.device.kind == DeviceKind::Cpu) {
        let allocated = observed.memory_allocated as f64;
        if allocated >= 64e6 && (huge as f64) < FEW_HUGE_PAGES * allocated {
            advice.push(format!(
                "only {} of {} lay in huge pages (policy `{}`): latencies of large working sets include page walks",
                human(huge as f64, Unit::Byte),
                human(allocated, Unit::Byte),
                conditions.huge_pages.as_deref().unwrap_or("unknown"),
            ));
        }
    }
    if let Some(stolen) = observed.stolen.filter(|stolen| stolen.get() > 0.02 * instrument.elapsed.get()) {
        advice.push(format!("the hypervisor gave {stolen} of processor time to other guests"));
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::from_json;

    /// A simulated device's profile as one of some kind, with a flag on the time of its launches.
    fn flagged(kind: DeviceKind, flag: &Flag) -> Profile {
        let text = include_bytes!("../../tests/profiles/simulated-0.1.json");
        let (mut profile, _) = from_json(text).unwrap();
        profile.device.kind = kind;
        let launch = Resource::Overhead { of: Overhead::Launch };
        for ceiling in profile.ceilings.iter_mut().filter(|ceiling| ceiling.resource == launch) {
            let Outcome::Ok { points, .. } = &mut ceiling.outcome else { panic!("it was measured") };
            points[0].flags = vec![flag.clone()];
        }
        profile
    }

    #[test]
    fn a_gpu_has_no_cores_that_are_moved() {
        let flag = Flag::Unrepeatable { visits: [150e-9, 450e-9] };
        let moved = |kind| advice(&flagged(kind, &flag)).iter().any(|line| line.contains("the cores were moved"));
        assert!(moved(DeviceKind::Cpu));
        assert!(!moved(DeviceKind::Gpu) && !moved(DeviceKind::Software));
    }

    #[test]
    fn a_driver_without_times_is_not_another_program() {
        let advice = advice(&flagged(DeviceKind::Gpu, &Flag::Untimed { valid: 1, total: 40 }));
        assert!(advice.iter().any(|line| line.contains("the driver gave no valid times for 1 of ")), "{advice:?}");
        assert!(!advice.iter().any(|line| line.contains("other programs")), "{advice:?}");
    }
}
