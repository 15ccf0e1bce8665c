//! The time that a thread spent on a core.

use crate::units::Seconds;

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
