//! The plan of a run: for a device and an effort, which workloads of which sizes, and how long that will take.

use super::catalogue::{Family, Grid, PROBES, Probe};
use super::effort::Settings;
use super::select::Selection;
use super::shapes::{self, Speed};
use crate::backend::Device;
use crate::dtype::DType;
use crate::facts::DeviceKind;
use crate::profile::Effort;
use crate::resource::{Key, MemoryLevel, Overhead, Phase, Scope};
use crate::units::Seconds;
use crate::workload::{Kind, ROW, Shape, Workload, cache_bytes, matrix_row_bytes};

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

/// Smallest working set per lane: five eighths of a power of two, so that no point falls on the edge of a cache.
const FIRST_WORKING_SET: u64 = 10 << 10;
/// The same on a GPU, which needs more to be busy at all.
const FIRST_OF_GPU: u64 = 640 << 10;
/// Smallest cycle of a pointer chase.
const FIRST_CHASE: u64 = 16 << 10;
/// Main memory is only believed beyond this many times the last-level cache…
const CACHES: u64 = 8;
/// …and this many bytes.
const LEAST_FAR: u64 = 512 << 20;
/// The same on a GPU: 8 times the largest caches there are, but for those of AMD's and NVIDIA's largest.
const FAR_OF_GPU: u64 = 1 << 30;
/// …and where a processor stands in for a GPU: its numbers mean nothing, and shall not take long.
const FAR_OF_SOFTWARE: u64 = 8 << 20;
/// Bytes per lane that one iteration of a streaming kernel passes over, in large working sets.
const PART: u64 = 2 << 20;
/// Smallest matrix of a matrix–vector product, and smallest working set of a row-wise operator, per lane.
const FIRST_MATRIX: u64 = 96 << 10;
const FIRST_ROWS: u64 = 80 << 10;
/// The same on a GPU: smaller ones are launched rather than computed.
const FIRST_OPERAND_OF_GPU: u64 = 4 << 20;
/// Smallest message between devices, and pairs of buffers at most that messages take turns in.
const FIRST_MESSAGE: u64 = 16 << 10;
const MOST_BUFFERS: u64 = 64;
/// Heads of keys and values of one layer: a prompt's attention on a GPU takes them together.
const HEADS_OF_LAYER: u64 = 8;
/// Tokens up to which the weights of a matrix product come from memory.
const FEW_TOKENS: u64 = 64;
/// Dependent loads per iteration of a chase.
const HOPS: u64 = 4096;
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
        for probe in PROBES.iter().filter(|probe| probe.scopes().any(|other| other == scope)) {
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

/// Sizes that follow from the device.
struct Sizes {
    /// What kind of device it is.
    kind: DeviceKind,
    /// The largest working set, in bytes.
    far: u64,
    /// What it should be.
    wanted: u64,
    /// Elements that streaming kernels take at a time.
    stream_granule: u64,
}

impl Sizes {
    fn of(device: &dyn Device, available: Option<u64>) -> Self {
        let identity = device.identity();
        let least = match identity.kind {
            DeviceKind::Software => FAR_OF_SOFTWARE,
            DeviceKind::Gpu => FAR_OF_GPU,
            _ => LEAST_FAR,
        };
        let wanted = (CACHES * identity.last_level_cache(identity.cores)).max(least);
        // Memory is kept between steps: a tenth for all lanes, one for a single lane and half of one for what lanes share make the quarter we allow
        // ourselves.
        // Backends of GPUs keep nothing.
        let share = if identity.kind.is_gpu_like() { 4 } else { 10 };
        let of_total = if identity.memory > 0 { identity.memory / share } else { LEAST_FAR };
        let of_available = available.map_or(u64::MAX, |available| available / 5);
        let of_array = device.largest_array().unwrap_or(u64::MAX);
        let far = wanted.min(of_total).min(of_available).min(of_array).max(1 << 20);
        Self { kind: identity.kind, far, wanted, stream_granule: device.stream_granule() }
    }

    /// The first place of a curve: some bytes per lane, or those of a whole GPU.
    fn first(&self, per_lane: u64, (scope, lanes): (Scope, u32), of_gpu: u64) -> u64 {
        if self.kind.is_gpu_like() && scope == Scope::Device { of_gpu } else { per_lane * u64::from(lanes) }
    }

    /// Iterations that make a pass over some bytes of a lane, in pieces of some bytes. A GPU's dispatch costs too much to be that small.
    fn parts(&self, bytes: u64, piece: u64) -> u64 {
        if self.kind.is_gpu_like() { 1 } else { (bytes / piece).max(1) }
    }
}

fn workloads(family: Family, part: (Scope, u32), grid: Grid, sizes: &Sizes, shapes: &[Shape]) -> Vec<Workload> {
    let (_, lanes) = part;
    let wide = u64::from(lanes);
    let kinds: Vec<Kind> = match family {
        _ if grid == Grid::Nothing => Vec::new(),
        Family::Stream(access) => places(grid, sizes.first(FIRST_WORKING_SET, part, FIRST_OF_GPU), sizes.far)
            .into_iter()
            .map(|bytes| {
                let array = bytes / wide / access.op.arrays() / 4;
                let parts = sizes.parts(bytes / wide, PART);
                let granule = sizes.stream_granule * parts;
                Kind::Stream { access, elements: (array / granule).max(1) * granule, parts }
            })
            .collect(),
        Family::MultiplyAdd { unit, input, accumulate } => vec![Kind::MultiplyAdd { unit, input, accumulate }],
        Family::Gemm { input, accumulate } => {
            let speed = Speed::of(sizes.kind, lanes);
            let chosen =
                if shapes.is_empty() { shapes::of(grid, speed, input != DType::F64) } else { in_order(shapes) };
            let kind = |shape: Shape, copies: u64| Kind::Gemm { input, accumulate, shape, copies };
            let bytes = |shape, copies| Workload { kind: kind(shape, copies), lanes }.footprint();
            let fits = |&shape: &Shape| bytes(shape, 1) <= sizes.far / 2;
            // For few tokens the weights are what matters, and they come from memory, not from a cache.
            let cold = |shape: Shape| if shape.m <= FEW_TOKENS { sizes.far / 2 / bytes(shape, 1) } else { 1 };
            chosen.into_iter().filter(fits).map(|shape| kind(shape, cold(shape).max(1))).collect()
        }
        Family::Gemv { weights, activations } => {
            places(grid, sizes.first(FIRST_MATRIX, part, FIRST_OPERAND_OF_GPU), sizes.far)
                .into_iter()
                .map(|bytes| {
                    let per_lane = bytes / wide;
                    let parts = sizes.parts(per_lane, PART);
                    let rows = (per_lane / matrix_row_bytes(weights, ROW) / parts / 4).max(1) * 4 * parts;
                    Kind::Gemv { weights, activations, rows, columns: ROW, parts }
                })
                .collect()
        }
        Family::Attention { phase, kv } if sizes.kind.is_gpu_like() => return attention_of_gpu(phase, kv, grid, sizes),
        Family::Attention { phase, kv } => contexts(phase, grid)
            .iter()
            .filter(|&&context| {
                let one = Workload { kind: Kind::Attention { phase, kv, context, caches: 1 }, lanes };
                one.bytes_per_lane().saturating_mul(wide) <= sizes.far
            })
            .map(|&context| {
                let caches = match phase {
                    Phase::Decode => (sizes.far / wide / cache_bytes(kv, context)).max(1),
                    Phase::Prefill => 1,
                };
                Kind::Attention { phase, kv, context, caches }
            })
            .collect(),
        Family::Rowwise { op, dtype } => places(grid, sizes.first(FIRST_ROWS, part, FIRST_OPERAND_OF_GPU), sizes.far)
            .into_iter()
            .map(|bytes| {
                let row = (ROW as f64 * dtype.bytes_per_element()) as u64 * op.arrays();
                let (per_lane, of_part) = (bytes / wide / row, PART / row);
                let parts = sizes.parts(per_lane, of_part.max(1));
                Kind::Rowwise { op, dtype, rows: (per_lane / parts).max(1) * parts, parts }
            })
            .collect(),
        Family::Chase => places(grid, FIRST_CHASE, previous_power_of_two(sizes.far))
            .into_iter()
            .map(|bytes| Kind::Chase { bytes, hops: HOPS })
            .collect(),
        Family::HostCopy(direction) => host_copies(grid, sizes.far / 2 / direction.ways())
            .into_iter()
            .map(|bytes| {
                let per_lane = bytes / u64::from(lanes);
                // Both buffers of all pairs together make the far working set.
                let buffers = (sizes.far / 2 / direction.ways() / bytes).max(1);
                Kind::HostCopy { direction, bytes: per_lane, buffers }
            })
            .collect(),
        Family::PeerCopy(exchange) => {
            // A run holds as much on each device as it would for a copy within this one.
            let most = sizes.far / 2 / exchange.ways().unwrap_or(1);
            let kind = |bytes| Kind::PeerCopy { exchange, bytes, buffers: (most / bytes).clamp(1, MOST_BUFFERS) };
            peer_copies(grid, most).into_iter().map(kind).collect()
        }
        Family::Atomic(sharing) => vec![Kind::Atomic { sharing }],
        Family::Empty(overhead) => vec![Kind::Empty { overhead }],
    };
    kinds.into_iter().map(|kind| Workload { kind, lanes }).collect()
}

/// A GPU attends with many heads at once: as many as make the far working set, or those of a layer for a prompt.
fn attention_of_gpu(phase: Phase, kv: DType, grid: Grid, sizes: &Sizes) -> Vec<Workload> {
    let workload = |&context: &u64| {
        let most = match phase {
            Phase::Decode => sizes.far / cache_bytes(kv, context),
            Phase::Prefill if sizes.kind == DeviceKind::Software => 1,
            Phase::Prefill => HEADS_OF_LAYER,
        };
        let kind = Kind::Attention { phase, kv, context, caches: 1 };
        let bytes = Workload { kind, lanes: 1 }.bytes_per_lane();
        let lanes = most.min(sizes.far / bytes);
        (lanes > 0).then_some(Workload { kind, lanes: lanes.min(u64::from(u16::MAX)) as u32 })
    };
    contexts(phase, grid).iter().filter_map(workload).collect()
}

fn in_order(shapes: &[Shape]) -> Vec<Shape> {
    let mut shapes = shapes.to_vec();
    shapes.sort();
    shapes.dedup();
    shapes
}

/// Tokens of context that attention is measured at.
const fn contexts(phase: Phase, grid: Grid) -> &'static [u64] {
    match (phase, grid) {
        (_, Grid::Nothing) => &[],
        (Phase::Decode, Grid::Far) => &[4096],
        (Phase::Decode, Grid::Coarse) => &[128, 1024, 8192, 32_768],
        (Phase::Decode, Grid::Octaves | Grid::Fine) => &[128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768],
        (Phase::Prefill, Grid::Far) => &[1024],
        (Phase::Prefill, Grid::Coarse) => &[128, 512, 2048],
        (Phase::Prefill, Grid::Octaves | Grid::Fine) => &[128, 256, 512, 1024, 2048, 4096],
    }
}

/// Places from the first by octaves, ending in the last.
fn places(grid: Grid, first: u64, last: u64) -> Vec<u64> {
    let octaves = match grid {
        Grid::Nothing => return Vec::new(),
        Grid::Far => return vec![last],
        Grid::Coarse => 2.0,
        Grid::Octaves => 1.0,
        Grid::Fine => 0.5,
    };
    // A place close to the last would measure the same thing twice.
    let mut places: Vec<u64> = (0..)
        .map(|step| (first as f64 * f64::powf(2.0, octaves * f64::from(step))).round() as u64)
        .take_while(|&place| place as f64 <= last as f64 / 1.4)
        .collect();
    places.push(last);
    places
}

/// Transfers of a few pages to some megabytes, as far as there is memory.
fn host_copies(grid: Grid, most: u64) -> Vec<u64> {
    let last = most.min(16 << 20);
    match grid {
        Grid::Nothing => Vec::new(),
        Grid::Far => vec![last],
        _ => [64 << 10, 1 << 20].into_iter().filter(|&bytes| bytes < last).chain([last]).collect(),
    }
}

/// Messages from those that are all latency to those that fill the fastest links, as far as there is memory.
fn peer_copies(grid: Grid, most: u64) -> Vec<u64> {
    let last = most.min(256 << 20);
    let factor = match grid {
        Grid::Nothing => return Vec::new(),
        Grid::Far => return vec![last],
        Grid::Coarse => 16,
        Grid::Octaves | Grid::Fine => 4,
    };
    let sizes = std::iter::successors(Some(FIRST_MESSAGE), |bytes| Some(bytes * factor));
    sizes.take_while(|&bytes| bytes < last).chain([last]).collect()
}

fn previous_power_of_two(number: u64) -> u64 {
    if number.is_power_of_two() { number } else { number.next_power_of_two() / 2 }
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
        // Filled once, verified for the first variant and for the fastest.
        Seconds(3.0 * bytes as f64 / FILL_RATE)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::mock::MockBackend;
    use crate::backend::{Backend, InPlace};
    use crate::backend::{BackendError, Kernel, Stopwatch};
    use crate::facts::{ClockReading, Conditions, Identity, Observed, Timer, TimerSource};
    use crate::resource::{Access, Direction};
    use crate::workload::{GPU_STREAM_GRANULE, STREAM_GRANULE};

    fn request(patterns: &[&str], effort: Effort) -> Request {
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        Request {
            selection: Selection::new(&patterns).unwrap(),
            effort,
            sustain: None,
            keep_samples: false,
            shapes: Vec::new(),
        }
    }

    fn plan_for(patterns: &[&str], effort: Effort) -> Plan {
        let device = MockBackend.open(0, &InPlace).unwrap();
        plan(device.as_ref(), None, request(patterns, effort))
    }

    #[test]
    fn curves_start_in_l1_and_end_far_beyond_the_last_cache() {
        let plan = plan_for(&["memory.read"], Effort::Normal);
        let step = &plan.steps[0];
        let places: Vec<u64> = step.workloads.iter().map(Workload::footprint).collect();
        assert_eq!(places[0], 4 * FIRST_WORKING_SET);
        assert!(*places.last().unwrap() >= (512 << 20) - (1 << 20), "{places:?}");
        assert!(places.is_sorted());
    }

    #[test]
    fn all_workloads_are_ones_that_backends_accept() {
        for effort in [Effort::Quick, Effort::Normal, Effort::Thorough] {
            for step in plan_for(&[], effort).steps {
                for workload in &step.workloads {
                    match workload.kind {
                        Kind::Stream { elements, parts, .. } => {
                            assert!(elements > 0 && elements.is_multiple_of(parts * STREAM_GRANULE), "{workload:?}");
                        }
                        Kind::Chase { bytes, .. } => assert!(bytes.is_power_of_two(), "{workload:?}"),
                        _ => {}
                    }
                    assert!(workload.footprint() <= 2 << 30);
                }
            }
        }
    }

    #[test]
    fn asking_for_main_memory_alone_spares_the_curve() {
        assert_eq!(plan_for(&["memory.dram.read"], Effort::Normal).steps[0].workloads.len(), 1);
        assert!(plan_for(&["memory.l2.read"], Effort::Normal).steps[0].workloads.len() > 5);
        // Left out of a quick run of everything, measured when named.
        assert_eq!(plan_for(&["memory.dram.add_nt"], Effort::Quick).steps.len(), 1);
        assert!(
            plan_for(&[], Effort::Quick)
                .left_out
                .iter()
                .any(|(key, why)| { key.to_string() == "memory.dram.add_nt" && *why == LeftOut::Effort })
        );
    }

    #[test]
    fn whatever_is_asked_for_is_planned_or_left_out_with_the_reason() {
        let left_out = |plan: &Plan| -> Vec<(String, LeftOut)> {
            plan.left_out.iter().map(|(key, why)| (key.to_string(), *why)).collect()
        };
        let plan_of_cores = plan_for(&["overhead.launch", "gemm.f16.f32"], Effort::Normal);
        assert_eq!(plan_of_cores.steps.len(), 1);
        assert_eq!(left_out(&plan_of_cores), [("gemm.f16.f32".to_owned(), LeftOut::Unsuited)]);
        let gpu = PlainGpu(Identity::named("plain", DeviceKind::Gpu));
        let patterns = ["memory.write_nt", "memory.l2.read@core", "memory.dram.read"];
        let plan_of_gpu = plan(&gpu, None, request(&patterns, Effort::Normal));
        assert_eq!(plan_of_gpu.steps.len(), 1);
        let expected = [("memory.write_nt", LeftOut::Unsuited), ("memory.l2.read@core", LeftOut::NoSuchPart)];
        assert_eq!(left_out(&plan_of_gpu), expected.map(|(key, why)| (key.to_owned(), why)));
        let nothing_unsuited = plan(&gpu, None, request(&[], Effort::Normal));
        assert!(nothing_unsuited.left_out.iter().all(|(_, why)| *why == LeftOut::Effort));
    }

    #[test]
    fn what_does_not_fit_is_not_put_down_to_the_effort() {
        let shapes = vec![Shape::square(1 << 20)];
        let device = MockBackend.open(0, &InPlace).unwrap();
        let plan = plan(device.as_ref(), None, Request { shapes, ..request(&["gemm.f64"], Effort::Thorough) });
        assert!(plan.steps.is_empty());
        assert_eq!(plan.left_out.iter().map(|(_, why)| *why).collect::<Vec<_>>(), [LeftOut::DoesNotFit]);
        assert!(LeftOut::DoesNotFit.reason(Effort::Thorough).contains("memory"));
    }

    /// A GPU as portable interfaces show it: a name and its memory.
    struct PlainGpu(Identity);

    impl Device for PlainGpu {
        fn identity(&self) -> &Identity {
            &self.0
        }

        fn conditions(&mut self) -> Conditions {
            Conditions::default()
        }

        fn observed(&self) -> Observed {
            Observed::default()
        }

        fn timer(&mut self) -> Timer {
            Timer { source: TimerSource::DeviceEvents, resolution: Seconds(1e-9), cost: Seconds(0.0) }
        }

        fn clock(&mut self) -> Option<ClockReading> {
            None
        }

        fn stopwatch(&self) -> Stopwatch {
            Box::new(|| Seconds(0.0))
        }

        fn lanes(&self, scope: Scope) -> u32 {
            u32::from(scope == Scope::Device)
        }

        fn stream_granule(&self) -> u64 {
            GPU_STREAM_GRANULE
        }

        fn largest_array(&self) -> Option<u64> {
            Some((2 << 30) - 16)
        }

        fn prepare<'device>(&'device mut self, _: &Workload) -> Result<Box<dyn Kernel + 'device>, BackendError> {
            Err(BackendError::unsupported("it is only planned for"))
        }
    }

    #[test]
    fn a_gpu_is_planned_for_as_a_whole() {
        for (kind, memory) in [(DeviceKind::Gpu, 0), (DeviceKind::Gpu, 24 << 30), (DeviceKind::Software, 2 << 30)] {
            let device = PlainGpu(Identity { memory, ..Identity::named("plain", kind) });
            for effort in [Effort::Quick, Effort::Normal, Effort::Thorough] {
                let plan = plan(&device, None, request(&[], effort));
                assert!(plan.steps.len() > 25 && plan.steps.iter().all(|step| step.scope == Scope::Device));
                let far = if kind == DeviceKind::Software { FAR_OF_SOFTWARE } else { FAR_OF_GPU };
                assert!(plan.memory <= far, "{kind:?} {effort:?}: {}", plan.memory);
                for workload in plan.steps.iter().flat_map(|step| &step.workloads) {
                    match workload.kind {
                        Kind::Stream { access, elements, parts } => {
                            assert_eq!((parts, elements % GPU_STREAM_GRANULE), (1, 0));
                            assert_eq!(access, Access::plain(access.op), "WGSL has no stores past the caches");
                        }
                        Kind::Gemv { rows, parts, .. } => assert_eq!((parts, rows % 4), (1, 0)),
                        Kind::Attention { phase: Phase::Decode, kv, context, caches } => {
                            assert_eq!(caches, 1);
                            let bytes = cache_bytes(kv, context) * u64::from(workload.lanes);
                            assert!(workload.lanes > 0 && bytes <= FAR_OF_GPU, "{workload:?}");
                        }
                        Kind::HostCopy { direction, .. } => assert_ne!(direction, Direction::Memcpy),
                        _ => {}
                    }
                }
            }
        }
    }

    #[test]
    fn messages_between_devices_grow_to_what_fills_a_link() {
        assert_eq!(peer_copies(Grid::Far, 512 << 20), [256 << 20]);
        assert_eq!(peer_copies(Grid::Coarse, 512 << 20), [16 << 10, 256 << 10, 4 << 20, 64 << 20, 256 << 20]);
        assert_eq!(peer_copies(Grid::Octaves, 100 << 10), [16 << 10, 64 << 10, 100 << 10]);
        assert_eq!(peer_copies(Grid::Coarse, 100), [100]);
        let gpu = PlainGpu(Identity { memory: 24 << 30, ..Identity::named("plain", DeviceKind::Gpu) });
        for step in plan(&gpu, None, request(&["link.peer.*"], Effort::Thorough)).steps {
            for workload in step.workloads {
                assert!(workload.lanes == 1 && workload.bytes_per_lane() <= FAR_OF_GPU / 2, "{workload:?}");
            }
        }
    }

    #[test]
    fn nobody_else_is_asked_for_a_link_to_the_host() {
        let memcpy = |step: &Step| matches!(step.probe.family, Family::HostCopy(Direction::Memcpy));
        let plan = plan_for(&["link.*"], Effort::Normal);
        assert!(!plan.steps.is_empty() && plan.steps.iter().all(memcpy));
    }

    #[test]
    fn a_quarter_of_the_memory_is_enough() {
        let device = MockBackend.open(0, &InPlace).unwrap();
        for available in [None, Some(1 << 30), Some(100 << 20), Some(0)] {
            let plan = plan(device.as_ref(), available, request(&[], Effort::Thorough));
            let limit = (device.identity().memory / 4).min(available.map_or(u64::MAX, |bytes| bytes / 2)).max(2 << 20);
            assert!(plan.memory <= limit, "{available:?}: {}", plan.memory);
        }
    }
}
