//! A device with deterministic timings on a virtual clock: the whole pipeline can be tested with it, bad days included.
//! It is only used when asked for by name, and everything it produces says `simulated`.

use std::cell::Cell;
use std::rc::Rc;

use super::{
    Backend, BackendError, CycleLimit, Device, Disturbance, Glance, Host, Kernel, Sample, Sequence, Stopwatch,
};
use crate::data::{Seed, signed_f64};
use crate::facts::{Cache, ClockReading, Conditions, DeviceKind, Identity, Observed, Restraint, Timer, TimerSource};
use crate::resource::{Overhead, Scope};
use crate::units::{Hertz, Seconds};
use crate::workload::{Kind, Workload};

/// The backend of simulated devices.
pub struct MockBackend;

/// How a simulated device behaves. The index in `mock:N` is the place in this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Every run takes the time the model says, give or take 0.2 %.
    Steady,
    /// Verification of the multiply-adds and of matrix products fails.
    WrongResult,
    /// Samples scatter by half of their value.
    Noisy,
    /// Nine of ten samples are preempted.
    Crowded,
    /// Every other run of samples is 1.5 times slower.
    TwoModes,
    /// The limit on power takes a tenth of the clock for good after the first compute kernel.
    Throttling,
    /// The device is lost at the first chase.
    Lost,
    /// The device is lost when everything has been measured once.
    LostLate,
    /// No allocation above 1 MiB succeeds.
    OutOfMemory,
    /// For a while at the beginning it goes at half the speed, at a lower clock.
    SlowAtFirst,
}

/// Every behaviour, by index.
pub const BEHAVIOURS: &[(Behaviour, &str)] = &[
    (Behaviour::Steady, "steady"),
    (Behaviour::WrongResult, "wrong results"),
    (Behaviour::Noisy, "noisy"),
    (Behaviour::Crowded, "crowded"),
    (Behaviour::TwoModes, "two modes"),
    (Behaviour::Throttling, "throttling"),
    (Behaviour::Lost, "lost"),
    (Behaviour::LostLate, "lost late"),
    (Behaviour::OutOfMemory, "out of memory"),
    (Behaviour::SlowAtFirst, "slow at first"),
];

const CORES: u32 = 4;
const CLOCK: f64 = 2e9;
/// Seconds to start a kernel.
const LAUNCH: f64 = 100e-9;
/// Times the model's time that the first of two implementations takes.
const SLOW: f64 = 1.25;
/// Seconds until a device that is slow at first is no longer.
const SLOW_UNTIL: f64 = 0.5;
/// The limit on power, in W.
const POWER: f64 = 100.0;

impl Backend for MockBackend {
    fn name(&self) -> &'static str {
        "mock"
    }

    fn on_request_only(&self) -> bool {
        true
    }

    fn devices(&self, _: &dyn Host) -> Result<Vec<Identity>, BackendError> {
        Ok((0..BEHAVIOURS.len()).map(identity).collect())
    }

    fn open(&self, index: usize, _: &dyn Host) -> Result<Box<dyn Device>, BackendError> {
        let &(behaviour, _) = BEHAVIOURS.get(index).ok_or(BackendError::NoSuchDevice {
            backend: "mock",
            index,
            count: BEHAVIOURS.len(),
        })?;
        Ok(Box::new(MockDevice::new(index, behaviour)))
    }
}

fn identity(index: usize) -> Identity {
    let (_, word) = BEHAVIOURS[index];
    Identity {
        id: format!("mock:{index}"),
        backend: "mock".to_owned(),
        kind: DeviceKind::Simulated,
        name: format!("Simulated device ({word})"),
        vendor: None,
        architecture: None,
        isa: None,
        features: Vec::new(),
        cores: CORES,
        logical_processors: None,
        caches: vec![
            Cache { level: 1, bytes: 32 << 10, shared_by: 1 },
            Cache { level: 2, bytes: 1 << 20, shared_by: 1 },
            Cache { level: 3, bytes: 16 << 20, shared_by: CORES },
        ],
        cache_line: 64,
        memory: 16 << 30,
        driver: None,
        bus: None,
    }
}

struct MockDevice {
    identity: Identity,
    behaviour: Behaviour,
    time: Rc<Cell<f64>>,
    runs: Rc<Cell<u32>>,
    allocated: u64,
}

impl MockDevice {
    fn new(index: usize, behaviour: Behaviour) -> Self {
        Self { identity: identity(index), behaviour, time: Rc::default(), runs: Rc::default(), allocated: 0 }
    }

    /// Whether kernels that are prepared now go at half the speed.
    fn is_held_back(&self) -> bool {
        self.behaviour == Behaviour::SlowAtFirst && self.time.get() < SLOW_UNTIL
    }

    /// The model: bandwidth falls in steps as the working set outgrows the caches, and operations cost half a cycle.
    fn seconds_per_iteration(&self, workload: &Workload) -> f64 {
        let lanes = f64::from(workload.lanes);
        let work = workload.work();
        match workload.kind {
            Kind::Stream { .. }
            | Kind::HostCopy { .. }
            | Kind::PeerCopy { .. }
            | Kind::Gemv { .. }
            | Kind::Rowwise { .. } => {
                let (bandwidth, _) = self.level(workload);
                (work.bytes_read + work.bytes_written) as f64 / bandwidth
            }
            Kind::MultiplyAdd { .. } => work.ops as f64 / (32.0 * CLOCK * lanes),
            // Nine tenths of the peak, one tenth of a roofline's corner, and a floor.
            Kind::Gemm { .. } | Kind::Attention { .. } => {
                let (bandwidth, _) = self.level(workload);
                let compute = work.ops as f64 / (0.9 * 32.0 * CLOCK * lanes);
                let memory = (work.bytes_read + work.bytes_written) as f64 / bandwidth;
                compute.max(memory) + 0.1 * compute.min(memory) + 1e-6
            }
            Kind::Chase { .. } => work.events as f64 * self.level(workload).1,
            Kind::Atomic { .. } => work.ops as f64 / (CLOCK * lanes),
            Kind::Empty { overhead: Overhead::Launch | Overhead::GraphLaunch | Overhead::PeerSend } => LAUNCH,
            Kind::Empty { overhead: Overhead::Wake } => 20e-6,
        }
    }

    /// Bandwidth over all lanes and latency at a working set.
    fn level(&self, workload: &Workload) -> (f64, f64) {
        let lanes = f64::from(workload.lanes);
        let fits = |cache: &&Cache| workload.footprint() <= self.identity.capacity(cache, workload.lanes);
        match self.identity.caches.iter().find(fits).map(|cache| cache.level) {
            Some(1) => (200e9 * lanes, 1e-9),
            Some(2) => (100e9 * lanes, 4e-9),
            Some(_) => (50e9 * lanes, 12e-9),
            None => (15e9 * lanes.min(3.0), 90e-9),
        }
    }
}

impl Device for MockDevice {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn conditions(&mut self) -> Conditions {
        Conditions { threads: Some(CORES), pinned: Some(true), ..Conditions::default() }
    }

    fn observed(&self) -> Observed {
        Observed { memory_allocated: self.allocated, ..Observed::default() }
    }

    fn timer(&mut self) -> Timer {
        Timer { source: TimerSource::Virtual, resolution: Seconds(1e-9), cost: Seconds(0.0) }
    }

    fn clock(&mut self) -> Option<ClockReading> {
        Some(ClockReading { median: Hertz(CLOCK), low: Hertz(CLOCK), high: Hertz(CLOCK) })
    }

    fn stopwatch(&self) -> Stopwatch {
        let time = Rc::clone(&self.time);
        Box::new(move || Seconds(time.get()))
    }

    fn lanes(&self, scope: Scope) -> u32 {
        match scope {
            Scope::Device => CORES,
            Scope::Core => 1,
        }
    }

    fn prepare<'device>(&'device mut self, workload: &Workload) -> Result<Box<dyn Kernel + 'device>, BackendError> {
        let bytes = workload.bytes_per_lane() * u64::from(workload.lanes);
        match (self.behaviour, workload.kind) {
            (Behaviour::Lost, Kind::Chase { .. }) => return Err(BackendError::Lost("it fell off the bus".to_owned())),
            (Behaviour::LostLate, Kind::Empty { .. }) if self.allocated > 0 => {
                return Err(BackendError::Lost("it fell off the bus at last".to_owned()));
            }
            (Behaviour::OutOfMemory, _) if bytes > 1 << 20 => {
                return Err(BackendError::OutOfMemory { bytes, cause: "the simulated device has 1 MiB".to_owned() });
            }
            (_, Kind::MultiplyAdd { input, .. }) if input.format().bits < 16 => {
                return Err(BackendError::unsupported("the simulated device has no 8-bit arithmetic"));
            }
            (_, Kind::Empty { .. }) if workload.lanes == 1 => {
                return Err(BackendError::unsupported("one lane has nobody to launch work on"));
            }
            _ => {}
        }
        self.allocated = self.allocated.max(bytes);
        Ok(Box::new(MockKernel {
            variants: vec!["slow".to_owned(), "model".to_owned()],
            compute: matches!(workload.kind, Kind::MultiplyAdd { .. }),
            multiplies: matches!(workload.kind, Kind::MultiplyAdd { .. } | Kind::Gemm { .. }),
            seconds: self.seconds_per_iteration(workload),
            behaviour: self.behaviour,
            held_back: self.is_held_back(),
            time: Rc::clone(&self.time),
            runs: Rc::clone(&self.runs),
        }))
    }

    fn prepare_sequence<'device>(
        &'device mut self,
        sequence: &Sequence,
    ) -> Result<Box<dyn Kernel + 'device>, BackendError> {
        let Sequence { stages, turns } = sequence.checked()?;
        let of_stage = |index: usize| {
            let stage = stages[index];
            self.seconds_per_iteration(&stage.workload) * if stage.variant == 0 { SLOW } else { 1.0 }
        };
        let waits = turns.len() as f64 * LAUNCH;
        let seconds = waits + turns.iter().map(|turn| turn.iterations as f64 * of_stage(turn.stage)).sum::<f64>();
        Ok(Box::new(MockKernel {
            variants: Sequence::names(),
            compute: false,
            multiplies: false,
            seconds,
            behaviour: self.behaviour,
            held_back: self.is_held_back(),
            time: Rc::clone(&self.time),
            runs: Rc::clone(&self.runs),
        }))
    }
}

struct MockKernel {
    variants: Vec<String>,
    compute: bool,
    multiplies: bool,
    seconds: f64,
    behaviour: Behaviour,
    held_back: bool,
    time: Rc<Cell<f64>>,
    runs: Rc<Cell<u32>>,
}

impl Kernel for MockKernel {
    fn variants(&self) -> &[String] {
        &self.variants
    }

    fn verify(&mut self, _: usize) -> Result<(), BackendError> {
        if self.behaviour == Behaviour::WrongResult && self.multiplies {
            return Err(BackendError::WrongResult("element 3 is 1.5, the reference says 2.5".to_owned()));
        }
        Ok(())
    }

    fn run(&mut self, variant: usize, iterations: u64) -> Result<Sample, BackendError> {
        let run = self.runs.get();
        self.runs.set(run + 1);
        let random = signed_f64(Seed(1), run);
        let slowdown = match self.behaviour {
            Behaviour::Noisy => 1.5 + 0.5 * random,
            Behaviour::Crowded if !run.is_multiple_of(10) => 2.0 + random,
            Behaviour::SlowAtFirst if self.held_back => 2.0 + 0.002 * random,
            Behaviour::TwoModes if (run / 8) % 2 == 1 => 1.5 + 0.002 * random,
            _ => 1.0 + 0.002 * random,
        };
        let throttled = self.behaviour == Behaviour::Throttling && self.compute && run > 40;
        let clock = if throttled || self.held_back { 0.9 } else { 1.0 };
        let variant_cost = if variant == 0 && self.variants.len() > 1 { SLOW } else { 1.0 };
        let elapsed = self.seconds * iterations as f64 * slowdown * variant_cost / clock;
        self.time.set(self.time.get() + elapsed);
        let preempted = self.behaviour == Behaviour::Crowded && !run.is_multiple_of(10);
        Ok(Sample {
            elapsed: Seconds(elapsed),
            clock: Some(Hertz(CLOCK * clock)),
            disturbance: preempted.then_some(Disturbance::Preempted { on_core: 0.4 }),
            glance: throttled.then(|| Glance {
                restraints: [Restraint::Power].into_iter().collect(),
                power: Some(POWER),
                power_limit: Some(POWER),
            }),
        })
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        self.compute.then_some(CycleLimit { per_cycle: 32.0, source: "the simulated device's definition" })
    }
}
