//! The host's clocks: monotonic time, and the time a thread spent on a core.

use crate::units::Seconds;

/// A point in monotonic time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instant(std::time::Instant);

impl Instant {
    #[expect(clippy::disallowed_methods, reason = "this is where the CPU backend reads its clock")]
    pub(super) fn now() -> Self {
        Self(std::time::Instant::now())
    }

    pub(super) fn elapsed(self) -> Seconds {
        Self::now().since(self)
    }

    pub(super) fn since(self, earlier: Self) -> Seconds {
        Seconds(self.0.saturating_duration_since(earlier.0).as_secs_f64())
    }
}

/// Processor time of the calling thread, where the system tells it to the nanosecond.
#[cfg(unix)]
pub(super) fn thread_time() -> Option<Seconds> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Some(Seconds(time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9))
}

/// Elsewhere its resolution (15 ms on Windows) is too coarse to tell a preempted sample.
#[cfg(not(unix))]
pub(super) fn thread_time() -> Option<Seconds> {
    None
}

/// Smallest step and cost of a reading of the monotonic clock.
pub(super) fn resolution_and_cost() -> (Seconds, Seconds) {
    const READINGS: u32 = 100;
    let start = Instant::now();
    let mut smallest = f64::INFINITY;
    let mut previous = start;
    for _ in 0..READINGS {
        let mut next = Instant::now();
        while next.since(previous).get() == 0.0 {
            next = Instant::now();
        }
        smallest = smallest.min(next.since(previous).get());
        previous = next;
    }
    let start = Instant::now();
    for _ in 0..READINGS {
        std::hint::black_box(Instant::now());
    }
    (Seconds(smallest), start.elapsed() / f64::from(READINGS))
}
