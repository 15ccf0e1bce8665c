//! Submissions and what times them: timestamps of the device around a pass where they are valid, else the host's clock around a submission, less what an
//! empty one takes.

use std::cell::Cell;

use super::gpu::{Buffer, Gpu};
use crate::backend::time::{Instant, resolution_and_cost};
use crate::backend::variants::{known, naming};
use crate::backend::{BackendError, CycleLimit, Disturbance, Kernel, Sample};
use crate::facts::{Timer, TimerSource};
use crate::units::Seconds;

/// What a submission should take, and the shortest from which the next can be sized. Systems reset a device that does not answer for two seconds.
pub(super) const SUBMISSION: f64 = 50e-3;
const TELLING: f64 = 2e-3;
/// Growth from one submission to the next while it is not known how long a piece takes.
const GROWTH: u64 = 16;
/// Dispatches in a submission: each takes memory until it is done.
const MOST_DISPATCHES: u64 = 2048;
/// A device's time may exceed the host's by this, because their clocks differ.
const CLOCKS_DIFFER: f64 = 1.05;

/// Two timestamps, and where they are read.
struct Stamps {
    set: wgpu::QuerySet,
    resolved: Buffer,
    readable: Buffer,
    period: f64,
}

/// Times submissions.
pub(super) struct Clock {
    stamps: Option<Stamps>,
    /// Whether timestamps are believed.
    valid: Cell<bool>,
    /// What the host waits for a submission with next to nothing in it.
    empty: Cell<f64>,
    /// Smallest step seen between timestamps, and the device's time of a pass with nothing in it.
    step: Cell<f64>,
    idle: Cell<f64>,
}

/// The time of a pass, and whether it is what the clock usually gives.
#[derive(Clone, Copy)]
pub(super) struct Elapsed {
    pub(super) seconds: f64,
    valid: bool,
    /// What the device's clock said before and after, where it is believed.
    ticks: Option<[u64; 2]>,
}

/// The largest step that timestamps can be multiples of apart; 0 while they are all the same.
fn common_step(ticks: &[u64]) -> u64 {
    let divisor = |mut a: u64, mut b: u64| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    ticks.windows(2).fold(0, |step, pair| divisor(step, pair[0].abs_diff(pair[1])))
}

impl Clock {
    pub(super) fn new(gpu: &Gpu) -> Result<Self, BackendError> {
        let stamps = if gpu.features.contains(wgpu::Features::TIMESTAMP_QUERY) {
            use wgpu::BufferUsages as Usage;
            let describe = wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count: 2 };
            Some(Stamps {
                set: gpu.scoped(|| gpu.device.create_query_set(&describe))?,
                resolved: gpu.buffer_for(256, Usage::QUERY_RESOLVE | Usage::COPY_SRC)?,
                readable: gpu.buffer_for(16, Usage::COPY_DST | Usage::MAP_READ)?,
                period: f64::from(gpu.queue.get_timestamp_period()) * 1e-9,
            })
        } else {
            None
        };
        let valid = Cell::new(stamps.is_some());
        let [empty, step, idle] = [const { Cell::new(0.0) }; 3];
        Ok(Self { stamps, valid, empty, step, idle })
    }

    /// Learns from passes of some dispatches whether timestamps are valid and in which steps they go on, and what takes time where there is nothing to do: a pass and a
    /// submission.
    pub(super) fn learn(&self, gpu: &Gpu, dispatches: impl Fn(&mut wgpu::ComputePass<'_>)) -> Result<(), BackendError> {
        const TRIES: usize = 5;
        let (mut least, mut idle) = (f64::INFINITY, f64::INFINITY);
        let mut ticks = Vec::new();
        for attempt in 0..TRIES {
            let elapsed = self.time(gpu, &dispatches)?;
            let nothing = self.time(gpu, |_| ())?.ticks;
            ticks.extend(elapsed.ticks.into_iter().chain(nothing).flatten());
            if let Some([begin, end]) = nothing {
                idle = idle.min(end.saturating_sub(begin) as f64);
            }
            // The first pass compiles and touches memory.
            if attempt > 0 && self.valid.get() && !elapsed.valid {
                self.valid.set(false);
            }
            let start = Instant::now();
            let submission = gpu.scoped(|| gpu.queue.submit([]))?;
            gpu.wait(Some(submission))?;
            least = least.min(start.elapsed().get());
        }
        self.empty.set(least);
        let period = self.stamps.as_ref().map_or(0.0, |stamps| stamps.period);
        self.step.set(common_step(&ticks).max(1) as f64 * period);
        // A driver that drops empty passes leaves none to be timed.
        self.idle.set(if idle.is_finite() { idle * period } else { 0.0 });
        Ok(())
    }

    /// What times the samples.
    pub(super) fn timer(&self) -> Timer {
        if self.valid.get() {
            let (resolution, cost) = (Seconds(self.step.get()), Seconds(self.idle.get()));
            return Timer { source: TimerSource::DeviceEvents, resolution, cost };
        }
        let (resolution, cost) = resolution_and_cost();
        Timer { source: TimerSource::HostClock, resolution, cost }
    }

    /// Runs commands that are no pass and says how long they took, by the host's clock: devices stamp passes alone.
    pub(super) fn time_beside(
        &self,
        gpu: &Gpu,
        record: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<Elapsed, BackendError> {
        let (start, submission) = gpu.scoped(|| {
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            record(&mut encoder);
            let commands = encoder.finish();
            let start = Instant::now();
            (start, gpu.queue.submit([commands]))
        })?;
        gpu.wait(Some(submission))?;
        let seconds = self.without_submission(start);
        Ok(Elapsed { seconds, valid: seconds > 0.0, ticks: None })
    }

    /// The time since some moment, less that of a submission with nothing in it.
    fn without_submission(&self, start: Instant) -> f64 {
        (start.elapsed().get() - self.empty.get()).max(0.0)
    }

    /// Runs a pass and says how long it took.
    pub(super) fn time(
        &self,
        gpu: &Gpu,
        dispatches: impl FnOnce(&mut wgpu::ComputePass<'_>),
    ) -> Result<Elapsed, BackendError> {
        let stamps = self.stamps.as_ref().filter(|_| self.valid.get());
        let (start, submission) = gpu.scoped(|| {
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let timestamp_writes = stamps.map(|stamps| wgpu::ComputePassTimestampWrites {
                query_set: &stamps.set,
                beginning_of_pass_write_index: Some(0),
                end_of_pass_write_index: Some(1),
            });
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes });
            dispatches(&mut pass);
            drop(pass);
            if let Some(Stamps { set, resolved, readable, .. }) = stamps {
                encoder.resolve_query_set(set, 0..2, &resolved.raw, 0);
                encoder.copy_buffer_to_buffer(&resolved.raw, 0, &readable.raw, 0, 16);
            }
            let commands = encoder.finish();
            let start = Instant::now();
            (start, gpu.queue.submit([commands]))
        })?;
        gpu.wait(Some(submission))?;
        let wall = start.elapsed().get();
        let Some(stamps) = stamps else {
            return Ok(Elapsed { seconds: self.without_submission(start), valid: true, ticks: None });
        };
        let ticks: Vec<u64> = gpu.mapped(&stamps.readable, 16, bytemuck::pod_collect_to_vec)?;
        Ok(Elapsed::between([ticks[0], ticks[1]], stamps.period, wall))
    }
}

impl Elapsed {
    /// The time between two timestamps where they can be believed, else the host's. Some drivers give zeros, or the clock of another unit.
    fn between([begin, end]: [u64; 2], period: f64, wall: f64) -> Self {
        let seconds = end.saturating_sub(begin) as f64 * period;
        let believed = begin > 0 && end >= begin && seconds <= CLOCKS_DIFFER * wall;
        let ticks = believed.then_some([begin, end]);
        if believed && seconds > 0.0 {
            return Self { seconds, valid: true, ticks };
        }
        Self { seconds: wall, valid: false, ticks }
    }
}

/// A kernel that runs in dispatches.
pub(super) trait Program {
    /// The implementations, described.
    fn variants(&self) -> &[String];

    /// Pieces that an iteration is put into passes by.
    fn pieces(&self, _variant: usize) -> u64 {
        1
    }

    /// Whether all pieces take as long, so that the time of some tells that of others.
    fn pieces_are_alike(&self) -> bool {
        true
    }

    /// Pieces that one dispatch can make at most: its loops are kept short.
    fn most_at_once(&self, _variant: usize) -> u64 {
        1
    }

    /// Puts some pieces into a pass, no more than [`Program::most_at_once`], going on where the last ones ended.
    fn dispatch(&mut self, variant: usize, pieces: u64, pass: &mut wgpu::ComputePass<'_>);

    /// Puts any number of pieces into a pass.
    fn dispatch_all(&mut self, variant: usize, pieces: u64, pass: &mut wgpu::ComputePass<'_>) {
        let most = self.most_at_once(variant).max(1);
        let mut left = pieces;
        while left > 0 {
            let now = left.min(most);
            self.dispatch(variant, now, pass);
            left -= now;
        }
    }

    /// Whether an implementation is the driver's own copy, which takes no part in passes.
    fn is_transfer(&self, _variant: usize) -> bool {
        false
    }

    /// Puts some pieces of such an implementation between passes.
    fn transfer(&mut self, _variant: usize, _pieces: u64, _encoder: &mut wgpu::CommandEncoder) {}

    /// Runs with poisoned outputs and checks the results.
    fn verify(&mut self, variant: usize, bench: &Bench<'_>) -> Result<(), BackendError>;
}

/// A device with its clock.
#[derive(Clone, Copy)]
pub(super) struct Bench<'device> {
    pub(super) gpu: &'device Gpu,
    pub(super) clock: &'device Clock,
}

impl Bench<'_> {
    /// Runs a pass whose time nobody wants.
    pub(super) fn run(&self, dispatches: impl FnOnce(&mut wgpu::ComputePass<'_>)) -> Result<(), BackendError> {
        self.clock.time(self.gpu, dispatches).map(|_| ())
    }
}

/// A program with the device that runs it, in submissions that no watchdog minds.
pub(super) struct Timed<'device> {
    bench: Bench<'device>,
    program: Box<dyn Program>,
    /// Of each variant, how fast it went.
    pace: Vec<Option<Pace>>,
}

/// How fast a variant went.
#[derive(Clone, Copy)]
struct Pace {
    /// Seconds of a piece, as they were seen last; of the slowest so far where pieces are not alike.
    piece: f64,
    /// Pieces of the submission that told it.
    count: u64,
    /// Pieces that have run.
    seen: u64,
}

impl<'device> Timed<'device> {
    pub(super) fn new(bench: Bench<'device>, program: Box<dyn Program>) -> Self {
        let pace = vec![None; program.variants().len()];
        Self { bench, program, pace }
    }

    /// Pieces that the next submission may have.
    fn affordable(&self, variant: usize) -> u64 {
        let most = self.program.most_at_once(variant).saturating_mul(MOST_DISPATCHES);
        let alike = self.program.pieces_are_alike();
        match self.pace[variant] {
            None => 1,
            // One by one, until each has been seen once: the next may take a thousand times as long.
            Some(Pace { seen, .. }) if !alike && seen < self.program.pieces(variant) => 1,
            Some(Pace { piece, count, .. }) if alike && piece * (count as f64) < TELLING => {
                count.saturating_mul(GROWTH).min(most)
            }
            Some(Pace { piece, .. }) => ((SUBMISSION / piece) as u64).clamp(1, most),
        }
    }

    /// Learns from a submission of some pieces.
    fn learn(&mut self, variant: usize, count: u64, seconds: f64) {
        let piece = seconds / count as f64;
        let before = self.pace[variant];
        let seen = before.map_or(0, |pace| pace.seen).saturating_add(count);
        self.pace[variant] = Some(match before {
            Some(pace) if !self.program.pieces_are_alike() => {
                Pace { piece: pace.piece.max(piece), count: pace.count, seen }
            }
            // A short remainder at the end of a run tells less than what came before it.
            Some(pace) if count < pace.count && seconds < TELLING => Pace { seen, ..pace },
            _ => Pace { piece, count, seen },
        });
    }
}

impl Kernel for Timed<'_> {
    fn variants(&self) -> &[String] {
        self.program.variants()
    }

    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        let variant = known(self.program.variants(), variant)?;
        let verified = self.program.verify(variant, &self.bench);
        verified.map_err(|error| naming(error, &self.program.variants()[variant]))
    }

    fn run(&mut self, variant: usize, iterations: u64) -> Result<Sample, BackendError> {
        let variant = known(self.program.variants(), variant)?;
        let pieces = iterations.saturating_mul(self.program.pieces(variant));
        let (mut left, mut elapsed, mut valid) = (pieces, 0.0, true);
        while left > 0 {
            let count = left.min(self.affordable(variant));
            let program = &mut self.program;
            let Bench { gpu, clock } = self.bench;
            let time = if program.is_transfer(variant) {
                clock.time_beside(gpu, |encoder| program.transfer(variant, count, encoder))?
            } else {
                clock.time(gpu, |pass| program.dispatch_all(variant, count, pass))?
            };
            self.learn(variant, count, time.seconds);
            elapsed += time.seconds;
            valid &= time.valid;
            left -= count;
        }
        let disturbance = (!valid).then_some(Disturbance::Untimed);
        Ok(Sample { elapsed: Seconds(elapsed), clock: None, disturbance, glance: None })
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::wgpu::adapters::Survey;

    /// Metal on macOS 26 gives zeros, and a pass that a driver drops as well.
    #[test]
    fn timestamps_are_believed_only_where_they_can_be_true() {
        let read = |ticks| Elapsed::between(ticks, 1e-9, 1e-3);
        let right = read([5, 900_005]);
        assert!(right.valid && (right.seconds - 0.9e-3).abs() < 1e-12 && right.ticks == Some([5, 900_005]));
        for (ticks, why) in [
            ([0, 0], "zeros"),
            ([0, 900_000], "one of them was not written"),
            ([900_000, 5], "the second comes before the first"),
            ([5, 1_060_005], "more than the host has waited"),
        ] {
            let said = read(ticks);
            assert!(!said.valid && said.seconds == 1e-3 && said.ticks.is_none(), "{why}");
        }
        // Nothing took less than a step: the clock is right, and the time is the host's.
        let nothing = read([7, 7]);
        assert!(!nothing.valid && nothing.seconds == 1e-3 && nothing.ticks.is_some());
    }

    #[test]
    #[ignore = "needs a driver; `scripts/test` installs lavapipe"]
    fn without_valid_timestamps_the_host_times() {
        let adapters = Survey::take().adapters().unwrap();
        let gpu = Gpu::open(adapters.last().unwrap(), false).unwrap();
        let clock = Clock::new(&gpu).unwrap();
        clock.learn(&gpu, |_| ()).unwrap();
        clock.valid.set(false);
        assert_eq!(clock.timer().source, TimerSource::HostClock);
        let elapsed = clock.time(&gpu, |_| ()).unwrap();
        assert!(elapsed.valid && elapsed.ticks.is_none() && elapsed.seconds >= 0.0);
    }

    #[test]
    fn timestamps_tell_the_step_they_go_on_by() {
        assert_eq!(common_step(&[1000, 1096, 5032, 5064]), 32);
        assert_eq!(common_step(&[7, 8, 1 << 60]), 1);
        assert_eq!((common_step(&[]), common_step(&[5]), common_step(&[5, 5])), (0, 0, 0));
    }
}
