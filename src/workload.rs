//! The portable description of one launch and its exact work. Work is stated here and nowhere else, and here rates are derived from it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dtype::DType;
use crate::resource::{Access, ComputeUnit, Direction, Overhead, Resource};
use crate::units::Unit;

/// `f32` elements per lane come in multiples of this, so that every unrolled kernel divides them evenly.
pub const STREAM_GRANULE: u64 = 256;

/// Operations per lane and iteration of a multiply-add workload: divided evenly by every chain count and vector width.
pub const MULTIPLY_ADD_OPS: u64 = 393_216;

/// What to run, on how many lanes (pinned threads on a CPU).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The kernel and its size.
    pub kind: Kind,
    /// Lanes that run it side by side, each on its own memory.
    pub lanes: u32,
}

/// A kernel family with its size. Sizes are per lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A streaming kernel over private `f32` arrays. Each iteration passes over the next of `parts` equal parts of them, so that a
    /// sample can be shorter than a pass over a large working set.
    Stream {
        /// What is done with each element.
        access: Access,
        /// Elements per array, a multiple of `parts` times [`STREAM_GRANULE`].
        elements: u64,
        /// Iterations that make a pass over all elements.
        parts: u64,
    },
    /// [`MULTIPLY_ADD_OPS`] operations on values in registers.
    MultiplyAdd {
        /// The execution unit.
        unit: ComputeUnit,
        /// Format of the factors.
        input: DType,
        /// Format of the sum.
        accumulate: DType,
    },
    /// Dependent loads along a random cycle through cache lines; each iteration goes on where the last one ended.
    Chase {
        /// Bytes of the cycle, a power of two.
        bytes: u64,
        /// Loads per iteration.
        hops: u64,
    },
    /// Copies by the platform's own routine, from and to buffers that are used in turn, so that their data is not in a cache.
    HostCopy {
        /// Which way.
        direction: Direction,
        /// Bytes of one copy.
        bytes: u64,
        /// Pairs of buffers.
        buffers: u64,
    },
    /// An empty job.
    Empty {
        /// Whether the workers are kept waiting or were sent to sleep.
        overhead: Overhead,
    },
}

/// What one iteration of a workload does, over all lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Work {
    /// Arithmetic operations; a multiply-add is two.
    pub ops: u64,
    /// Bytes loaded by the program.
    pub bytes_read: u64,
    /// Bytes stored by the program.
    pub bytes_written: u64,
    /// Things that happen one after the other: dependent loads, launches.
    pub events: u64,
}

impl Workload {
    /// The exact work of one iteration.
    #[must_use]
    pub fn work(&self) -> Work {
        let lanes = u64::from(self.lanes);
        match self.kind {
            Kind::Stream { access: Access { op, .. }, elements, parts } => {
                let elements = elements / parts.max(1) * lanes;
                Work {
                    ops: op.flops() * elements,
                    bytes_read: op.arrays_read() * 4 * elements,
                    bytes_written: op.arrays_written() * 4 * elements,
                    events: 0,
                }
            }
            Kind::MultiplyAdd { .. } => Work { ops: MULTIPLY_ADD_OPS * lanes, ..Work::default() },
            // Lanes chase side by side: the latency is that of one lane.
            Kind::Chase { hops, .. } => Work { bytes_read: 8 * hops * lanes, events: hops, ..Work::default() },
            Kind::HostCopy { bytes, .. } => {
                Work { bytes_read: bytes * lanes, bytes_written: bytes * lanes, ..Work::default() }
            }
            Kind::Empty { .. } => Work { events: 1, ..Work::default() },
        }
    }

    /// Bytes of memory touched, over all lanes: the place on a working-set or transfer-size axis.
    #[must_use]
    pub fn footprint(&self) -> u64 {
        let lanes = u64::from(self.lanes);
        match self.kind {
            Kind::Stream { access, elements, .. } => {
                elements.saturating_mul(4 * access.op.arrays()).saturating_mul(lanes)
            }
            // For a copy: the size of the transfer, whatever buffers it goes round in.
            Kind::Chase { bytes, .. } | Kind::HostCopy { bytes, .. } => bytes.saturating_mul(lanes),
            Kind::MultiplyAdd { .. } | Kind::Empty { .. } => 0,
        }
    }

    /// Its place on the axis of its resource, if that has one.
    #[must_use]
    pub fn place(&self) -> Option<f64> {
        self.resource().axis().map(|_| self.footprint() as f64)
    }

    /// Bytes each lane needs allocated, not counting padding.
    #[must_use]
    pub fn bytes_per_lane(&self) -> u64 {
        match self.kind {
            Kind::Stream { access, elements, .. } => elements.saturating_mul(4 * access.op.arrays()),
            Kind::Chase { bytes, .. } => bytes,
            Kind::HostCopy { bytes, buffers, .. } => bytes.saturating_mul(2).saturating_mul(buffers),
            Kind::MultiplyAdd { .. } | Kind::Empty { .. } => 0,
        }
    }

    /// The resource whose ceiling this workload measures.
    #[must_use]
    pub const fn resource(&self) -> Resource {
        match self.kind {
            Kind::Stream { access, .. } => Resource::Memory { level: None, access },
            Kind::MultiplyAdd { unit, input, accumulate } => Resource::Compute { unit, input, accumulate },
            Kind::Chase { .. } => Resource::Latency { level: None },
            Kind::HostCopy { direction, .. } => Resource::HostLink { direction },
            Kind::Empty { overhead } => Resource::Overhead { of: overhead },
        }
    }

    /// The amount that, divided by the time of an iteration, gives the ceiling: bytes, operations, or (for times, which
    /// are divided the other way round) events.
    #[must_use]
    pub fn amount(&self) -> f64 {
        let work = self.work();
        let amount = match (self.kind, self.resource().unit()) {
            // A copy is counted once: what arrives, not what is touched.
            (Kind::HostCopy { .. }, _) => work.bytes_written,
            (_, Unit::BytePerSecond) => work.bytes_read + work.bytes_written,
            (_, Unit::FlopPerSecond | Unit::OpPerSecond) => work.ops,
            _ => work.events,
        };
        amount as f64
    }

    /// The ceiling's value, in the resource's unit, when one iteration takes `seconds`.
    #[must_use]
    pub fn value(&self, seconds: f64) -> f64 {
        if self.resource().unit().more_is_better() { self.amount() / seconds } else { seconds / self.amount() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::StreamOp;

    fn stream(op: StreamOp) -> Workload {
        Workload { kind: Kind::Stream { access: Access::plain(op), elements: 256, parts: 1 }, lanes: 2 }
    }

    #[test]
    fn stream_work_is_exact() {
        let triad = stream(StreamOp::Triad);
        assert_eq!(triad.work(), Work { ops: 1024, bytes_read: 4096, bytes_written: 2048, events: 0 });
        assert_eq!(triad.footprint(), 6144);
        assert_eq!(triad.value(1.0), 6144.0);
        assert_eq!(stream(StreamOp::Write).work().bytes_read, 0);
        let in_parts = Workload {
            kind: Kind::Stream { access: Access::plain(StreamOp::Read), elements: 1024, parts: 4 },
            lanes: 1,
        };
        assert_eq!((in_parts.work().bytes_read, in_parts.footprint()), (1024, 4096));
    }

    #[test]
    fn times_are_per_event() {
        let chase = Workload { kind: Kind::Chase { bytes: 4096, hops: 100 }, lanes: 1 };
        assert_eq!(chase.value(1e-6), 1e-8);
    }

    #[test]
    fn a_memcpy_counts_its_bytes_once() {
        let copy =
            Workload { kind: Kind::HostCopy { direction: Direction::Memcpy, bytes: 1000, buffers: 3 }, lanes: 1 };
        assert_eq!(copy.value(1.0), 1000.0);
    }
}
