//! What times launches: events of the device around all launches of a run; and its clock, from the cycles and the nanoseconds that a multiprocessor counts meanwhile.

use std::rc::Rc;
use std::time::Duration;

use cudarc::driver::sys;

use super::context::Context;
use super::driver::{self, NOT_READY};
use super::gpu::{Argument, Buffer, Function, Gpu, Grid, Stream};
use super::ptx::Source;
use crate::backend::time::Instant;
use crate::backend::variants::{known, naming};
use crate::backend::{BackendError, CycleLimit, Disturbance, Kernel, Sample};
use crate::facts::{ClockReading, Implementer, Timer, TimerSource};
use crate::units::{Hertz, Seconds};

/// How long is waited by asking again and again, and between two questions after that.
const EAGER: f64 = 20e-3;
const PAUSE: Duration = Duration::from_micros(200);
/// Shortest time over which the clock is told: some devices' nanoseconds move by a microsecond at a time.
const TELLING: f64 = 200e-6;

/// A moment in the device's work.
pub(super) struct Event {
    raw: sys::CUevent,
    context: Rc<Context>,
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the driver gave it, and it is given back once; it may still be pending, which the driver allows.
        self.context.give_back(|| unsafe { driver::cuEventDestroy_v2(self.raw) });
    }
}

impl Event {
    pub(super) fn new(gpu: &Gpu) -> Result<Self, BackendError> {
        let mut raw = std::ptr::null_mut();
        let flags = sys::CUevent_flags::CU_EVENT_DEFAULT as u32;
        // SAFETY: the pointer is to a local that outlives the call.
        gpu.checked(unsafe { driver::cuEventCreate(&raw mut raw, flags) })?;
        Ok(Self { raw, context: Rc::clone(&gpu.context) })
    }

    /// Makes it the moment when everything enqueued so far is done.
    pub(super) fn record(&self, gpu: &Gpu, stream: &Stream) -> Result<(), BackendError> {
        // SAFETY: both were given by the driver and are alive.
        gpu.checked(unsafe { driver::cuEventRecord(self.raw, stream.raw) })
    }

    /// Waits for it: first by asking again and again, because that is fastest, and not for ever, because a device may hang.
    pub(super) fn wait(&self, gpu: &Gpu) -> Result<(), BackendError> {
        let start = Instant::now();
        loop {
            // SAFETY: it was given by the driver and is alive.
            let result = unsafe { driver::cuEventQuery(self.raw) };
            if result != NOT_READY {
                return gpu.checked(result);
            }
            let waited = start.elapsed().get();
            if waited > gpu.patience.get() {
                return self.context.give_up(format!("no answer within {}", gpu.patience));
            }
            if waited > EAGER {
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// Time from this moment to a later one, of which both are over.
    fn until(&self, later: &Self, gpu: &Gpu) -> Result<Seconds, BackendError> {
        let mut milliseconds = 0.0_f32;
        // SAFETY: the pointer is to a local that outlives the call, and both events are alive.
        gpu.checked(unsafe { driver::cuEventElapsedTime(&raw mut milliseconds, self.raw, later.raw) })?;
        Ok(Seconds(f64::from(milliseconds) * 1e-3))
    }
}

/// What a multiprocessor counts: its cycles, nanoseconds, and its own number.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stamp {
    cycles: u64,
    nanoseconds: u64,
    multiprocessor: u64,
}

/// Bytes of a stamp.
const STAMP: u64 = 24;

/// Times runs.
pub(super) struct Clock {
    start: Event,
    end: Event,
    stamp: Function,
    stamps: Buffer,
}

/// What a run took, and the clock meanwhile.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// By the device's events.
    elapsed: Seconds,
    /// By the host's clock, with all that is around it.
    waited: Seconds,
    clock: Option<Hertz>,
}

impl Run {
    /// Its time, and whether that is the device's own.
    fn time(&self) -> (Seconds, Option<Disturbance>) {
        if self.elapsed.get() > 0.0 { (self.elapsed, None) } else { (self.waited, Some(Disturbance::Untimed)) }
    }
}

impl Clock {
    pub(super) fn new(gpu: &Gpu) -> Result<Self, BackendError> {
        Ok(Self {
            start: Event::new(gpu)?,
            end: Event::new(gpu)?,
            stamp: gpu.function(Source::Clock, "stamp")?,
            stamps: gpu.buffer(2 * STAMP)?,
        })
    }

    /// What times the samples: the least time between two events with nothing between them, and the smallest step between two such times.
    pub(super) fn timer(&self, gpu: &Gpu) -> Timer {
        const READINGS: usize = 50;
        let mut times: Vec<f64> =
            (0..READINGS).filter_map(|_| Some(self.time(gpu, || Ok(())).ok()?.elapsed.get())).collect();
        times.sort_by(f64::total_cmp);
        let cost = times.first().copied().unwrap_or(0.0);
        let steps = times.windows(2).map(|pair| pair[1] - pair[0]).filter(|&step| step > 0.0);
        // Where all are the same, they are one step.
        let resolution = steps.fold(f64::INFINITY, f64::min).min(cost);
        Timer { source: TimerSource::DeviceEvents, resolution: Seconds(resolution), cost: Seconds(cost) }
    }

    /// Times whatever is enqueued.
    fn time(&self, gpu: &Gpu, enqueue: impl FnOnce() -> Result<(), BackendError>) -> Result<Run, BackendError> {
        let began = Instant::now();
        self.stamp(gpu, 0)?;
        self.start.record(gpu, gpu.main())?;
        let enqueued = enqueue();
        self.end.record(gpu, gpu.main())?;
        self.stamp(gpu, 1)?;
        // Whatever was enqueued is waited for, also when the rest was not.
        gpu.wait()?;
        enqueued?;
        let waited = began.elapsed();
        let elapsed = self.start.until(&self.end, gpu)?;
        let stamps = gpu.contents(&self.stamps)?;
        Ok(Run { elapsed, waited, clock: frequency(read(&stamps, 0), read(&stamps, 1)) })
    }

    fn stamp(&self, gpu: &Gpu, which: u64) -> Result<(), BackendError> {
        let at = Argument::from(self.stamps.address + which * STAMP);
        gpu.launch(&self.stamp, Grid::ONE, &[at])
    }

    /// The clock over some runs of a short load.
    pub(super) fn reading(
        &self,
        gpu: &Gpu,
        mut load: impl FnMut() -> Result<(), BackendError>,
    ) -> Option<ClockReading> {
        const READINGS: usize = 5;
        let mut clocks = Vec::new();
        for _ in 0..READINGS {
            clocks.push(self.time(gpu, &mut load).ok()?.clock?.get());
        }
        clocks.sort_by(f64::total_cmp);
        let at = |index: usize| clocks.get(index).copied().map(Hertz);
        Some(ClockReading { median: at(READINGS / 2)?, low: at(0)?, high: at(READINGS - 1)? })
    }
}

fn read(stamps: &[u8], which: usize) -> Option<Stamp> {
    let word = |index: usize| {
        let bytes = stamps.get(which * STAMP as usize + 8 * index..)?.first_chunk::<8>()?;
        Some(u64::from_ne_bytes(*bytes))
    };
    Some(Stamp { cycles: word(0)?, nanoseconds: word(1)?, multiprocessor: word(2)? })
}

/// The frequency between two stamps of one multiprocessor, if they lie far enough apart.
fn frequency(first: Option<Stamp>, second: Option<Stamp>) -> Option<Hertz> {
    let (first, second) = (first?, second?);
    let seconds = second.nanoseconds.checked_sub(first.nanoseconds)? as f64 * 1e-9;
    let cycles = second.cycles.checked_sub(first.cycles)? as f64;
    let same = first.multiprocessor == second.multiprocessor;
    (same && seconds >= TELLING && cycles > 0.0).then(|| Hertz(cycles / seconds))
}

/// A kernel family with its operands.
pub(super) trait Program {
    /// The implementations, described.
    fn variants(&self) -> &[String];

    /// Whose an implementation is.
    fn implementer(&self, _variant: usize) -> Implementer {
        Implementer::Open
    }

    /// Who might have had an implementation and has none, and why.
    fn without(&self) -> Option<(Implementer, &str)> {
        None
    }

    /// Iterations that one launch can make at most.
    fn most_at_once(&self, _variant: usize) -> u64 {
        1
    }

    /// Makes ready what a run of so many iterations needs beside what every run does. It is not timed.
    fn prepare(&mut self, _variant: usize, _iterations: u64) -> Result<(), BackendError> {
        Ok(())
    }

    /// Enqueues some iterations as one launch, no more than [`Program::most_at_once`], going on where the last ones ended.
    fn launch(&mut self, variant: usize, iterations: u64) -> Result<(), BackendError>;

    /// Enqueues some iterations, however many.
    fn launch_all(&mut self, variant: usize, iterations: u64) -> Result<(), BackendError> {
        let most = self.most_at_once(variant).max(1);
        let mut left = iterations;
        while left > 0 {
            let now = left.min(most);
            self.launch(variant, now)?;
            left -= now;
        }
        Ok(())
    }

    /// Runs with poisoned outputs and checks the results.
    fn verify(&mut self, variant: usize) -> Result<(), BackendError>;

    /// Begins anew: inputs are what they were, results are poisoned, and of several matrices the first comes next. The same launches come to the same results from here.
    fn renew(&mut self, _variant: usize) -> Result<(), BackendError> {
        Ok(())
    }

    /// What launches leave behind, where they are operators of a model.
    fn results(&self, _variant: usize) -> Option<&Buffer> {
        None
    }

    /// Gives back what an implementation needs no more once it is the only one that runs.
    fn keep_only(&mut self, _variant: usize) {}

    /// Whether an implementation hands all launches of an iteration over together.
    fn is_graph(&self, _variant: usize) -> bool {
        false
    }

    /// What the data paths of a multiprocessor allow.
    fn limit(&self, _variant: usize) -> Option<CycleLimit> {
        None
    }
}

/// A program with the device that runs it.
pub(super) struct Timed<'device> {
    pub(super) gpu: &'device Gpu,
    pub(super) clock: &'device Clock,
    pub(super) program: Box<dyn Program + 'device>,
}

impl Kernel for Timed<'_> {
    fn variants(&self) -> &[String] {
        self.program.variants()
    }

    fn implementer(&self, variant: usize) -> Implementer {
        self.program.implementer(variant)
    }

    fn without(&self) -> Option<(Implementer, &str)> {
        self.program.without()
    }

    fn is_graph(&self, variant: usize) -> bool {
        self.program.is_graph(variant)
    }

    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        let variant = known(self.program.variants(), variant)?;
        self.gpu.enter()?;
        let verified = self.program.verify(variant);
        verified.map_err(|error| naming(error, &self.program.variants()[variant]))
    }

    fn run(&mut self, variant: usize, iterations: u64) -> Result<Sample, BackendError> {
        let variant = known(self.program.variants(), variant)?;
        self.gpu.enter()?;
        self.program.prepare(variant, iterations)?;
        let program = &mut self.program;
        // What was seen before this run is not of it.
        let _ = self.gpu.glance();
        let run = self.clock.time(self.gpu, || program.launch_all(variant, iterations))?;
        let (elapsed, disturbance) = run.time();
        Ok(Sample { elapsed, clock: run.clock, disturbance, glance: self.gpu.glance() })
    }

    fn limit(&self, variant: usize) -> Option<CycleLimit> {
        self.program.limit(variant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_clock_stands_in_where_the_device_tells_no_time() {
        let run = |elapsed| Run { elapsed: Seconds(elapsed), waited: Seconds(2.0), clock: None };
        assert_eq!(run(1.5).time(), (Seconds(1.5), None));
        for nothing in [0.0, -1.0, f64::NAN] {
            assert_eq!(run(nothing).time(), (Seconds(2.0), Some(Disturbance::Untimed)));
        }
    }

    #[test]
    fn the_clock_is_told_by_one_multiprocessor_over_enough_time() {
        let stamp = |cycles, nanoseconds, multiprocessor| Some(Stamp { cycles, nanoseconds, multiprocessor });
        let clock = frequency(stamp(1_000, 5_000, 3), stamp(1_981_000, 1_005_000, 3)).unwrap();
        assert!((clock.get() - 1.98e9).abs() < 1.0);
        assert_eq!(frequency(stamp(0, 0, 3), stamp(1_980_000, 1_000_000, 4)), None);
        assert_eq!(frequency(stamp(0, 0, 3), stamp(198, 100, 3)), None);
        assert_eq!(frequency(stamp(0, 9_000_000, 3), stamp(198, 100, 3)), None);
        assert_eq!(frequency(None, stamp(0, 0, 0)), None);
    }
}
