//! The plan of a run: for a device and an effort, which workloads of which sizes, and how long that will take.

mod sizes;
#[cfg(test)]
mod tests;
mod workloads;

use sizes::Sizes;
use workloads::workloads;

use super::catalogue::{Family, Grid, Probe, probes};
use super::effort::Settings;
use super::select::Selection;
use super::shapes::Speed;
use crate::backend::Device;
use crate::facts::DeviceKind;
use crate::profile::Effort;
use crate::resource::{Key, MemoryLevel, Overhead, Scope};
use crate::units::Seconds;
use crate::workload::{Shape, Workload};

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which ceilings.
    pub selection: Selection,
    /// How much time.
    pub effort: Effort,
    /// How long compute peaks are kept up after their burst is measured, if at all.
    pub sustain: Option<Seconds>,
    /// Whether raw samples are kept.
    pub keep_samples: bool,
    /// The shapes of matrix products, in place of those of the effort.
    pub shapes: Vec<Shape>,
}

/// What will be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The request it answers.
    pub request: Request,
    /// What kind of device it is for.
    pub kind: DeviceKind,
    /// How each point of a roof is measured.
    pub settings: Settings,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// How long the second visits will take on a quiet machine.
    pub second_visits: Seconds,
    /// Ceilings that were asked for and will not be measured, and why.
    pub left_out: Vec<(Key, LeftOut)>,
    /// Most bytes of memory that any step needs beside what stays allocated.
    pub memory: u64,
    /// Bytes the largest working set should have to be sure of main memory.
    pub wanted_working_set: u64,
}

/// Why something that was asked for is not measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// The effort is too small for it.
    Effort,
    /// It needs more memory than a run allows itself.
    DoesNotFit,
    /// The device has no such part that could be measured by itself.
    NoSuchPart,
    /// It means nothing on this kind of device.
    Unsuited,
}

impl LeftOut {
    /// The reason in words.
    #[must_use]
    pub fn reason(self, effort: Effort) -> String {
        match self {
            Self::Effort => format!("effort {} leaves it out", effort.word()),
            Self::DoesNotFit => "it needs more memory than rooflab allows itself".to_owned(),
            Self::NoSuchPart => "no part of this device can be measured by itself".to_owned(),
            Self::Unsuited => "devices of this kind have nothing of the sort".to_owned(),
        }
    }
}

/// One probe in one scope.
#[derive(Clone, Debug)]
pub struct Step {
    /// The probe.
    pub probe: &'static Probe,
    /// How much of the device takes part.
    pub scope: Scope,
    /// The keys that were asked for.
    pub keys: Vec<Key>,
    /// The workloads, in ascending order of their place on the axis.
    pub workloads: Vec<Workload>,
    /// How each point is measured.
    pub settings: Settings,
    /// How long it will take on a quiet machine.
    pub estimate: Seconds,
}

impl Step {
    /// The key of its points.
    #[must_use]
    pub const fn key(&self) -> Key {
        Key { resource: self.probe.resource(), scope: self.scope }
    }
}

impl Plan {
    /// Bytes that stay allocated at the end, at most: those of all lanes, of one lane, and half as many that lanes share for products.
    #[must_use]
    pub const fn memory_at_most(&self) -> u64 {
        self.memory / 2 * 5
    }

    /// How long it will take on a quiet machine.
    #[must_use]
    pub fn estimate(&self) -> Seconds {
        self.steps.iter().map(|step| step.estimate).sum::<Seconds>() + self.second_visits
    }
}

/// Rates assumed for the estimate of time, in bytes per second: filling and checking buffers, and linking a chase.
const FILL_RATE: f64 = 6e9;

/// Makes the plan of a request for a device with some memory available.
#[must_use]
pub fn plan(device: &dyn Device, available_memory: Option<u64>, request: Request) -> Plan {
    let settings = Settings::of(request.effort);
    let sizes = Sizes::of(device, available_memory);
    let mut steps = Vec::new();
    let mut left_out = Vec::new();
    for scope in [Scope::Device, Scope::Core] {
        for probe in probes().filter(|probe| probe.scopes().any(|other| other == scope)) {
            let keys = request.selection.keys(probe, scope);
            if keys.is_empty() {
                continue;
            }
            let impossible = if device.lanes(scope) == 0 {
                Some(LeftOut::NoSuchPart)
            } else if probe.suits(sizes.kind, scope) {
                None
            } else {
                Some(LeftOut::Unsuited)
            };
            if let Some(why) = impossible {
                // Who asks for everything asks for all that there is.
                if !request.selection.is_all() {
                    left_out.extend(keys.into_iter().map(|key| (key, why)));
                }
                continue;
            }
            let lanes = match probe.family {
                Family::Chase => 1,
                Family::HostCopy(_) | Family::PeerCopy(_) if sizes.kind.is_gpu_like() => 1,
                _ => device.lanes(scope),
            };
            let grid = reach(probe, scope, &keys, &request);
            let workloads = workloads(probe.family, (scope, lanes), grid, &sizes, &request.shapes);
            if workloads.is_empty() {
                let why = if grid == Grid::Nothing { LeftOut::Effort } else { LeftOut::DoesNotFit };
                left_out.extend(keys.into_iter().map(|key| (key, why)));
                continue;
            }
            let settings = if probe.is_operator() { Settings::of_operators(request.effort) } else { settings };
            let speed = Speed::of(sizes.kind, lanes);
            let estimate = estimate(probe.family, &workloads, speed, &settings, request.sustain);
            let estimate = if is_measured_twice(device, probe.family) { estimate * 2.0 } else { estimate };
            steps.push(Step { probe, scope, keys, workloads, settings, estimate });
        }
    }
    let largest = steps.iter().flat_map(|step| &step.workloads);
    let memory = largest.map(|load| load.bytes_per_lane() * u64::from(load.lanes)).max().unwrap_or(0);
    let second_visits = steps.iter().map(|step| second_visits(step, &step.settings)).sum();
    Plan {
        request,
        kind: sizes.kind,
        settings,
        steps,
        second_visits,
        left_out,
        memory,
        wanted_working_set: sizes.wanted,
    }
}

/// The grid that serves the keys: what a pattern asks for is measured also where the effort would leave it out; and when only main
/// memory is asked for, there is no need for the curve.
fn reach(probe: &Probe, scope: Scope, keys: &[Key], request: &Request) -> Grid {
    let planned = probe.grids(scope).of(request.effort);
    if request.selection.is_all() {
        return planned;
    }
    let whole = keys.len() == probe.keys(scope).count();
    let far_only = keys.iter().all(|key| key.resource.level() == Some(MemoryLevel::Dram));
    match (whole, far_only) {
        (true, _) => planned.max(Grid::Far),
        (false, true) => Grid::Far,
        (false, false) => planned.max(Grid::Coarse),
    }
}

/// Whether a library of the maker's has a family's workloads beside rooflab's own kernels, so that each may be measured twice.
fn is_measured_twice(device: &dyn Device, family: Family) -> bool {
    let family = matches!(family, Family::Gemm { .. }).then_some(family);
    family
        .and_then(Family::vendor_library)
        .and_then(|name| device.vendor_library(name))
        .is_some_and(|library| library.version().is_some())
}

fn estimate(
    family: Family,
    workloads: &[Workload],
    speed: Speed,
    settings: &Settings,
    sustain: Option<Seconds>,
) -> Seconds {
    let variants = match family {
        Family::Stream(_) => 5,
        Family::Gemm { .. } | Family::Gemv { .. } | Family::Attention { .. } => 4,
        _ => 1,
    };
    let preparing = |workload: &Workload| {
        let bytes = workload.bytes_per_lane().saturating_mul(u64::from(workload.lanes));
        // Filled once, and verified for the variant that stands; where data come with verifying, for the first as well.
        let passes = if matches!(speed, Speed::Lanes(_)) { 2.0 } else { 3.0 };
        Seconds(passes * bytes as f64 / FILL_RATE)
    };
    let beside = match family {
        Family::MultiplyAdd { .. } => sustain.unwrap_or(Seconds(0.0)),
        Family::Empty(Overhead::Wake) => settings.budget + settings.warm_up,
        _ => Seconds(0.0),
    };
    // A product that takes longer than a sample is a sample by itself: tried by every variant, verified, and sampled a few times.
    let long = |workload: &Workload| {
        let once = workload.work().ops as f64 / speed.ops_rate();
        let excess = (once - settings.sample.get()).max(0.0);
        Seconds(excess * (variants + 10) as f64)
    };
    let point = |workload: &Workload| settings.typical(variants) + preparing(workload) + long(workload);
    workloads.iter().map(point).sum::<Seconds>() + beside
}

/// A step's curve has a point for each level, any other step one.
fn second_visits(step: &Step, settings: &Settings) -> Seconds {
    let levels = step.keys.iter().filter(|key| key.resource.level().is_some()).count();
    let count = levels.min(step.workloads.len()).max(1);
    let far = step.workloads.last().map_or(0, Workload::footprint);
    settings.typical(1) * count as f64 + Seconds(far as f64 / FILL_RATE)
}
