//! The host's monotonic clock.

#![allow(dead_code, reason = "a build may be without the backends that time by the host's clock alone")]

use crate::units::Seconds;

/// A point in monotonic time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instant(std::time::Instant);

impl Instant {
    #[expect(clippy::disallowed_methods, reason = "this is where backends read the host's clock")]
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

/// Smallest step and cost of a reading of the monotonic clock.
#[allow(dead_code, reason = "a build may have no backend that times with it")]
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
