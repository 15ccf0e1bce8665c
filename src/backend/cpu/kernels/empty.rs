//! The empty job: what it costs to hand work to the team and learn that it is done.
//!
//! Work: none; one event per iteration. Bound: the time a store takes to reach the other cores, twice; or, for sleeping workers,
//! the operating system's wake-up.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::backend::cpu::team::Team;
use crate::backend::cpu::time::thread_time;
use crate::backend::cpu::timing::ON_CORE;
use crate::backend::time::Instant;
use crate::backend::{BackendError, CycleLimit, Disturbance, Kernel, Sample};
use crate::resource::Overhead;
use crate::units::Seconds;

/// Empty jobs, handed out one after the other.
pub(in crate::backend::cpu) struct Empty<'device> {
    team: &'device mut Team,
    lanes: usize,
    overhead: Overhead,
    names: [String; 1],
}

impl<'device> Empty<'device> {
    pub(in crate::backend::cpu) fn new(
        team: &'device mut Team,
        lanes: usize,
        overhead: Overhead,
    ) -> Result<Self, BackendError> {
        if lanes < 2 {
            return Err(BackendError::unsupported("with one core there is nobody to hand work to"));
        }
        let name = match overhead {
            Overhead::Launch => "spinning workers",
            Overhead::Wake => "parked workers",
            Overhead::PeerSend => return Err(BackendError::unsupported("a processor has no link to another device")),
            Overhead::GraphLaunch => return Err(BackendError::unsupported("a processor takes no graphs of jobs")),
        };
        Ok(Self { team, lanes, overhead, names: [name.to_owned()] })
    }
}

impl Empty<'_> {
    /// Processor time of every lane so far.
    fn thread_times(&mut self) -> Vec<Option<Seconds>> {
        let times: Vec<OnceLock<Option<Seconds>>> = (0..self.lanes).map(|_| OnceLock::new()).collect();
        self.team.run(self.lanes, &|lane| {
            // Each lane sets its own, once.
            let _ = times[lane].set(thread_time());
        });
        times.into_iter().map(|time| time.into_inner().flatten()).collect()
    }
}

impl Kernel for Empty<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn verify(&mut self, _: usize) -> Result<(), BackendError> {
        let ran = AtomicU64::new(0);
        self.team.run(self.lanes, &|lane| {
            ran.fetch_add(1 << (8 * (lane % 8)), Ordering::Relaxed);
        });
        let count: u64 = ran.into_inner().to_le_bytes().iter().map(|&lanes| u64::from(lanes)).sum();
        if count == self.lanes as u64 {
            return Ok(());
        }
        Err(BackendError::WrongResult(format!("{count} of {} workers ran the job", self.lanes)))
    }

    fn run(&mut self, _: usize, iterations: u64) -> Result<Sample, BackendError> {
        // The workers are woken, so that the first iteration costs what the others cost.
        let core_start = self.thread_times();
        let start = Instant::now();
        let mut elapsed = Seconds(0.0);
        for _ in 0..iterations {
            if self.overhead == Overhead::Wake {
                self.team.rest();
            }
            let dispatched = Instant::now();
            self.team.run(self.lanes, &|_| {});
            elapsed = elapsed + dispatched.elapsed();
        }
        let wall = start.elapsed();
        if self.overhead == Overhead::Launch {
            elapsed = wall;
        }
        let shares =
            core_start.iter().zip(self.thread_times()).filter_map(|(start, end)| Some((end? - (*start)?) / wall));
        let on_core = shares.fold(1.0, f64::min);
        // Waiting for workers to fall asleep is time off the core by intention.
        let disturbed = self.overhead == Overhead::Launch && on_core < ON_CORE;
        let disturbance = disturbed.then_some(Disturbance::Preempted { on_core });
        Ok(Sample { elapsed, clock: None, disturbance, glance: None })
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        None
    }
}
