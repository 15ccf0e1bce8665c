//! A team of pinned threads. Dispatch is a store that spinning workers see: about 100 ns, where a futex takes 25 µs. Workers
//! that find nothing to do for a while go to sleep, so that one-core measurements have the machine to themselves.

use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use core_affinity::CoreId;

use crate::backend::BackendError;

/// Turns of the wait loop before a worker goes to sleep: about half a millisecond.
const PATIENCE: u32 = 20_000;

type Job = *const (dyn Fn(usize) + Sync);

/// Alone on its cache lines (two, because prefetchers fetch pairs).
#[repr(align(128))]
struct Padded<T>(T);

struct Shared {
    order: Padded<Order>,
    done: Padded<AtomicUsize>,
    stop: AtomicBool,
    /// Whether every thread so far could be bound to its core.
    pinned: AtomicBool,
    asleep: Vec<Padded<AtomicBool>>,
}

/// What the workers are to do. On one cache line, so that it reaches them in one trip.
struct Order {
    /// Counts the jobs: a worker that sees a new number has something to do.
    epoch: AtomicUsize,
    /// Workers that take part.
    active: AtomicUsize,
    job: UnsafeCell<Option<Job>>,
}

// SAFETY: `job` is written only by the team's owner while no worker runs (between the last `done` and the next `epoch`), and
// read by workers only after they have seen the new epoch.
unsafe impl Sync for Shared {}
// SAFETY: the job pointer is only followed while `Team::run` keeps its referent alive.
unsafe impl Send for Shared {}

/// The team. Lane 0 is the thread that owns it.
pub(super) struct Team {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    original: Affinity,
}

impl Team {
    /// Starts one thread per core and binds each, the caller included.
    pub(super) fn start(cores: &[CoreId]) -> Result<Self, BackendError> {
        let original = Affinity::current();
        let shared = Arc::new(Shared {
            order: Padded(Order {
                epoch: AtomicUsize::new(0),
                active: AtomicUsize::new(0),
                job: UnsafeCell::new(None),
            }),
            done: Padded(AtomicUsize::new(0)),
            stop: AtomicBool::new(false),
            pinned: AtomicBool::new(!cores.is_empty()),
            asleep: cores.iter().skip(1).map(|_| Padded(AtomicBool::new(false))).collect(),
        });
        let mut team = Self { shared, workers: Vec::new(), original };
        if let Some(&core) = cores.first() {
            bind(&team.shared, core);
        }
        for (index, &core) in cores.iter().enumerate().skip(1) {
            let shared = Arc::clone(&team.shared);
            let worker = std::thread::Builder::new()
                .name(format!("rooflab-{index}"))
                .spawn(move || {
                    bind(&shared, core);
                    work(&shared, index);
                })
                .map_err(|error| {
                    BackendError::System(format!("worker thread {index} could not be started: {error}"))
                })?;
            team.workers.push(worker);
        }
        Ok(team)
    }

    pub(super) fn pinned(&self) -> bool {
        self.shared.pinned.load(Ordering::Relaxed)
    }

    /// Runs a job on the first `lanes` lanes and returns when all have finished.
    pub(super) fn run(&mut self, lanes: usize, job: &(dyn Fn(usize) + Sync)) {
        let others = lanes.saturating_sub(1).min(self.workers.len());
        if others == 0 {
            return job(0);
        }
        // SAFETY: only the lifetime is erased. Workers follow the pointer only between the epoch below and their `done`, and
        // this function does not return before all of them are done.
        let erased = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(job) };
        // SAFETY: no worker reads `job` now; see `Shared`.
        unsafe { *self.shared.order.0.job.get() = Some(std::ptr::from_ref(erased)) };
        self.shared.done.0.store(0, Ordering::Relaxed);
        self.shared.order.0.active.store(others, Ordering::Relaxed);
        // Sequentially consistent with the worker's going to sleep: one of the two sees the other.
        self.shared.order.0.epoch.fetch_add(1, Ordering::SeqCst);
        for (worker, asleep) in self.workers.iter().zip(&self.shared.asleep) {
            if asleep.0.load(Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
        run_or_abort(job, 0);
        // Every worker reports, also those whose lane is not wanted: then all have seen this epoch.
        while self.shared.done.0.load(Ordering::Acquire) != self.workers.len() {
            std::hint::spin_loop();
        }
    }

    /// Waits until every worker is asleep.
    pub(super) fn rest(&self) {
        while !self.shared.asleep.iter().all(|asleep| asleep.0.load(Ordering::SeqCst)) {
            std::thread::sleep(std::time::Duration::from_micros(100));
        }
    }
}

fn bind(shared: &Shared, core: CoreId) {
    if !core_affinity::set_for_current(core) {
        shared.pinned.store(false, Ordering::Relaxed);
    }
}

/// Runs a job that must not unwind: others still hold the pointer to it, or wait for it for ever. Jobs are kernels of this backend and do not
/// panic; should one, the process ends.
fn run_or_abort(job: &(dyn Fn(usize) + Sync), lane: usize) {
    struct Abort;
    impl Drop for Abort {
        fn drop(&mut self) {
            std::process::abort();
        }
    }
    let guard = Abort;
    job(lane);
    std::mem::forget(guard);
}

fn work(shared: &Shared, index: usize) {
    let (order, asleep) = (&shared.order.0, &shared.asleep[index - 1].0);
    let mut seen = 0;
    loop {
        let mut turns = 0;
        while order.epoch.load(Ordering::Acquire) == seen {
            if shared.stop.load(Ordering::Relaxed) {
                return;
            }
            if turns < PATIENCE {
                turns += 1;
                std::hint::spin_loop();
                continue;
            }
            asleep.store(true, Ordering::SeqCst);
            if order.epoch.load(Ordering::SeqCst) == seen && !shared.stop.load(Ordering::SeqCst) {
                std::thread::park();
            }
            asleep.store(false, Ordering::SeqCst);
        }
        seen += 1;
        if index <= order.active.load(Ordering::Relaxed) {
            // SAFETY: the epoch was seen, so the owner has written the job and waits for `done`; see `Shared`.
            let job = unsafe { (*order.job.get()).map(|job| &*job) };
            if let Some(job) = job {
                run_or_abort(job, index);
            }
        }
        shared.done.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // Workers do not panic; see `run_or_abort`.
            let _ = worker.join();
        }
        self.original.restore();
    }
}

/// The cores the calling thread may use, kept so that it can be given back its freedom.
struct Affinity {
    #[cfg(target_os = "linux")]
    cores: Option<rustix::thread::CpuSet>,
}

#[cfg(target_os = "linux")]
impl Affinity {
    fn current() -> Self {
        Self { cores: rustix::thread::sched_getaffinity(None).ok() }
    }

    fn restore(&self) {
        if let Some(cores) = &self.cores {
            // Failing leaves the thread bound, which harms nothing but its freedom.
            let _ = rustix::thread::sched_setaffinity(None, cores);
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Affinity {
    fn current() -> Self {
        Self {}
    }

    fn restore(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    fn team() -> Team {
        Team::start(&core_affinity::get_core_ids().unwrap_or_else(|| vec![CoreId { id: 0 }])).unwrap()
    }

    #[test]
    fn every_lane_runs_every_job_once() {
        let mut team = team();
        let lanes = team.workers.len() + 1;
        let counts: Vec<AtomicU64> = (0..lanes).map(|_| AtomicU64::new(0)).collect();
        for round in 0..200 {
            if round % 50 == 0 {
                team.rest();
            }
            team.run(lanes, &|lane| {
                counts[lane].fetch_add(1, Ordering::Relaxed);
            });
        }
        team.run(1, &|lane| {
            counts[lane].fetch_add(1000, Ordering::Relaxed);
        });
        assert_eq!(counts[0].load(Ordering::Relaxed), 1200);
        for count in &counts[1..] {
            assert_eq!(count.load(Ordering::Relaxed), 200);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn dropping_the_team_gives_the_thread_back_its_cores() {
        let before = rustix::thread::sched_getaffinity(None).unwrap();
        drop(team());
        assert_eq!(rustix::thread::sched_getaffinity(None).unwrap(), before);
    }
}
