//! The portable description of one launch and its exact work. Work is stated here and nowhere else, and here rates are derived from it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dtype::DType;
use crate::resource::{Access, Axis, ComputeUnit, Direction, Exchange, Overhead, Phase, Resource, RowwiseOp, Sharing};
use crate::units::Unit;

mod shape;

pub use shape::{HEADS, Heads, ParseShapeError, ROW, Shape};

/// `f32` elements per lane come in multiples of this, so that every unrolled kernel divides them evenly.
pub const STREAM_GRANULE: u64 = 256;

/// The same on GPUs, which take larger bites.
pub const GPU_STREAM_GRANULE: u64 = 16_384;

/// Operations per lane and iteration of a multiply-add workload: divided evenly by every chain count and vector width.
pub const MULTIPLY_ADD_OPS: u64 = 393_216;

/// Atomic additions per lane and iteration: 16 by each of 1024 threads.
pub const ATOMIC_ADDITIONS: u64 = 16_384;

/// The length that matrix products sum over comes in multiples of this, so that every kernel divides it evenly.
pub const PRODUCT_GRANULE: u64 = 64;

/// What to run, on how many lanes: pinned threads on a CPU; on a GPU its multiprocessors, or one lane where they cannot be told apart, and for attention its heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The kernel and its size.
    pub kind: Kind,
    /// Lanes that run it side by side, each on its own memory.
    pub lanes: u32,
}

/// A kernel family with its size. Sizes are per lane, but for a matrix product, which the lanes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A streaming kernel over private `f32` arrays. Each iteration passes over the next of `parts` equal parts of them, so that a
    /// sample can be shorter than a pass over a large working set.
    Stream {
        /// What is done with each element.
        access: Access,
        /// Elements per array, a multiple of `parts` times [`STREAM_GRANULE`], or [`GPU_STREAM_GRANULE`].
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
    /// A matrix product; each iteration takes the next of `copies` matrices B, so that they can be more than a cache holds.
    Gemm {
        /// Format of both factors.
        input: DType,
        /// Format of the sums and of the result.
        accumulate: DType,
        /// The shape, over all lanes.
        shape: Shape,
        /// Different matrices B.
        copies: u64,
    },
    /// A matrix–vector product. Each iteration multiplies the next of `parts` equal parts of the rows.
    Gemv {
        /// Format of the matrix.
        weights: DType,
        /// Format of the vector.
        activations: DType,
        /// Rows, a multiple of `parts`.
        rows: u64,
        /// Columns, a multiple of 256.
        columns: u64,
        /// Iterations that make a pass over all rows.
        parts: u64,
    },
    /// Attention with one head of keys and values and its group of query heads ([`HEADS`]). Each iteration takes the next of some caches.
    Attention {
        /// One query position, or all.
        phase: Phase,
        /// Format of keys and values.
        kv: DType,
        /// Tokens in each cache, a multiple of 64.
        context: u64,
        /// Different caches.
        caches: u64,
    },
    /// An operator on rows of [`ROW`] elements. Each iteration takes the next of `parts` equal parts of them.
    Rowwise {
        /// The operator.
        op: RowwiseOp,
        /// Format of the elements.
        dtype: DType,
        /// Rows, a multiple of `parts`.
        rows: u64,
        /// Iterations that make a pass over all rows.
        parts: u64,
    },
    /// Dependent loads along a random cycle through cache lines; each iteration goes on where the last one ended.
    Chase {
        /// Bytes of the cycle, a power of two.
        bytes: u64,
        /// Loads per iteration.
        hops: u64,
    },
    /// [`ATOMIC_ADDITIONS`] to words in memory.
    Atomic {
        /// How many threads share a word.
        sharing: Sharing,
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
    /// Copies from the device's memory into that of another device of the same kind, and back where both send; buffers are used in turn. Or an operation of all devices of the kind.
    PeerCopy {
        /// Whether one sends or both do, or which operation of all it is.
        exchange: Exchange,
        /// Bytes of one copy; of an operation, as its ceiling counts them.
        bytes: u64,
        /// Pairs of buffers for each way.
        buffers: u64,
    },
    /// An empty job, or a copy of next to nothing.
    Empty {
        /// What is paid for.
        overhead: Overhead,
    },
}

/// A place on an axis, of numbers or of shapes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spot {
    /// Bytes or tokens.
    pub at: Option<f64>,
    /// A shape.
    pub shape: Option<Shape>,
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
            Kind::Atomic { .. } => {
                let additions = ATOMIC_ADDITIONS * lanes;
                Work { ops: additions, bytes_read: 4 * additions, bytes_written: 4 * additions, events: 0 }
            }
            Kind::Gemm { input, accumulate, shape, .. } => shape.work(input, accumulate),
            Kind::Gemv { weights, activations, rows, columns, parts } => {
                let rows = rows / parts.max(1);
                let vector = bytes(columns, activations);
                Work {
                    ops: 2 * rows * columns * lanes,
                    // The vector is one for all lanes, and for all parts of a pass.
                    bytes_read: rows * matrix_row_bytes(weights, columns) * lanes + vector / parts.max(1),
                    bytes_written: rows * 4 * lanes,
                    events: 0,
                }
            }
            Kind::Attention { phase: Phase::Decode, kv, context, .. } => Work {
                ops: 4 * HEADS.group * HEADS.dim * context * lanes,
                bytes_read: cache_bytes(kv, context) * lanes,
                bytes_written: 0,
                events: 0,
            },
            Kind::Attention { phase: Phase::Prefill, kv, context, .. } => Work {
                // Token i attends to i + 1 tokens.
                ops: 4 * HEADS.group * HEADS.dim * (context * (context + 1) / 2) * lanes,
                bytes_read: (cache_bytes(kv, context) + HEADS.group * bytes(context * HEADS.dim, kv)) * lanes,
                bytes_written: HEADS.group * context * HEADS.dim * 4 * lanes,
                events: 0,
            },
            Kind::Rowwise { op, dtype, rows, parts } => {
                let elements = rows / parts.max(1) * ROW * lanes;
                Work {
                    ops: op.flops() * elements,
                    bytes_read: op.elements_read() * bytes(elements, dtype),
                    bytes_written: bytes(elements, dtype),
                    events: 0,
                }
            }
            // Lanes chase side by side: the latency is that of one lane.
            Kind::Chase { hops, .. } => Work { bytes_read: 8 * hops * lanes, events: hops, ..Work::default() },
            Kind::HostCopy { direction, bytes, .. } => {
                let bytes = bytes * lanes * direction.ways();
                Work { bytes_read: bytes, bytes_written: bytes, ..Work::default() }
            }
            Kind::PeerCopy { exchange, bytes, .. } => {
                let bytes = bytes * lanes * exchange.ways().unwrap_or(1);
                Work { bytes_read: bytes, bytes_written: bytes, ..Work::default() }
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
            Kind::Chase { bytes, .. } | Kind::HostCopy { bytes, .. } | Kind::PeerCopy { bytes, .. } => {
                bytes.saturating_mul(lanes)
            }
            Kind::Gemm { input, accumulate, shape, copies } => {
                let Work { bytes_read, bytes_written, .. } = shape.work(input, accumulate);
                let weights = bytes(shape.n.saturating_mul(shape.k), input);
                bytes_read
                    .saturating_add(bytes_written)
                    .saturating_add(weights.saturating_mul(copies.saturating_sub(1)))
            }
            Kind::Gemv { weights, rows, columns, .. } => {
                rows.saturating_mul(matrix_row_bytes(weights, columns)).saturating_mul(lanes)
            }
            Kind::Attention { kv, context, caches, .. } => {
                cache_bytes(kv, context).saturating_mul(caches).saturating_mul(lanes)
            }
            Kind::Rowwise { op, dtype, rows, .. } => {
                bytes(rows.saturating_mul(ROW), dtype).saturating_mul(op.arrays()).saturating_mul(lanes)
            }
            Kind::MultiplyAdd { .. } | Kind::Atomic { .. } | Kind::Empty { .. } => 0,
        }
    }

    /// The shape of its product, if it is one.
    #[must_use]
    pub const fn shape(&self) -> Option<Shape> {
        match self.kind {
            Kind::Gemm { shape, .. } => Some(shape),
            _ => None,
        }
    }

    /// Its place on the axis of its resource, if that has one.
    #[must_use]
    pub fn spot(&self) -> Spot {
        Spot { at: self.place(), shape: self.shape() }
    }

    /// Its place on the axis of its resource, if that has one that is a number.
    #[must_use]
    pub fn place(&self) -> Option<f64> {
        match (self.kind, self.resource().axis()?) {
            (Kind::Attention { context, .. }, _) => Some(context as f64),
            (_, Axis::Shape) => None,
            _ => Some(self.footprint() as f64),
        }
    }

    /// Bytes each lane needs allocated, not counting padding and what products are packed into.
    #[must_use]
    pub fn bytes_per_lane(&self) -> u64 {
        match self.kind {
            Kind::Stream { access, elements, .. } => elements.saturating_mul(4 * access.op.arrays()),
            Kind::Chase { bytes, .. } => bytes,
            Kind::HostCopy { direction, bytes, buffers } => {
                bytes.saturating_mul(2 * direction.ways()).saturating_mul(buffers)
            }
            // As many on each of the two devices; in an operation of all, what is sent and what is received.
            Kind::PeerCopy { exchange, bytes, buffers } => {
                bytes.saturating_mul(exchange.ways().unwrap_or(2)).saturating_mul(buffers)
            }
            // Queries, keys, values, results, and keys and values packed in 32 bits.
            Kind::Attention { phase: Phase::Prefill, kv, context, .. } => {
                let heads = 2 + HEADS.group;
                let elements = context.saturating_mul(HEADS.dim);
                bytes(elements.saturating_mul(heads), kv).saturating_add(elements.saturating_mul(4 * heads))
            }
            Kind::Gemm { .. } | Kind::Gemv { .. } | Kind::Attention { .. } | Kind::Rowwise { .. } => {
                self.footprint().div_ceil(u64::from(self.lanes.max(1)))
            }
            Kind::MultiplyAdd { .. } | Kind::Atomic { .. } | Kind::Empty { .. } => 0,
        }
    }

    /// The resource whose ceiling this workload measures.
    #[must_use]
    pub const fn resource(&self) -> Resource {
        match self.kind {
            Kind::Stream { access, .. } => Resource::Memory { level: None, access },
            Kind::MultiplyAdd { unit, input, accumulate } => Resource::Compute { unit, input, accumulate },
            Kind::Gemm { input, accumulate, .. } => Resource::Gemm { input, accumulate },
            Kind::Gemv { weights, activations, .. } => Resource::Gemv { weights, activations },
            Kind::Attention { phase, kv, .. } => Resource::Attention { phase, kv },
            Kind::Rowwise { op, dtype, .. } => Resource::Rowwise { op, dtype },
            Kind::Chase { .. } => Resource::Latency { level: None },
            Kind::HostCopy { direction, .. } => Resource::HostLink { direction },
            Kind::PeerCopy { exchange, .. } => Resource::PeerLink { exchange },
            Kind::Atomic { sharing } => Resource::Atomic { sharing },
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
            (Kind::HostCopy { .. } | Kind::PeerCopy { .. }, _) => work.bytes_written,
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

/// Bytes of some elements of a format, without scales of its own.
fn bytes(elements: u64, dtype: DType) -> u64 {
    (elements as f64 * dtype.bytes_per_element()).ceil() as u64
}

/// Bytes of a matrix row with its scales: integers without a block of their own have a 32-bit scale per row.
#[must_use]
pub fn matrix_row_bytes(weights: DType, columns: u64) -> u64 {
    bytes(columns, weights) + if has_outer_scale(weights) { 4 } else { 0 }
}

/// Bytes of one head's keys and values: integers have a 32-bit scale per token.
#[must_use]
pub fn cache_bytes(kv: DType, context: u64) -> u64 {
    2 * context.saturating_mul(bytes(HEADS.dim, kv) + if has_outer_scale(kv) { 4 } else { 0 })
}

fn has_outer_scale(dtype: DType) -> bool {
    dtype.format().kind == crate::dtype::Kind::Integer && dtype.format().block == 1
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
    fn what_two_devices_send_counts_once_for_each_way() {
        let copy = |exchange| Workload { kind: Kind::PeerCopy { exchange, bytes: 1000, buffers: 3 }, lanes: 1 };
        let (one, both) = (copy(Exchange::Send), copy(Exchange::SendBoth));
        assert_eq!((one.value(1.0), both.value(1.0)), (1000.0, 2000.0));
        assert_eq!((one.place(), both.place()), (Some(1000.0), Some(1000.0)));
        assert_eq!((one.bytes_per_lane(), both.bytes_per_lane()), (3000, 6000));
    }

    #[test]
    fn a_memcpy_counts_its_bytes_once() {
        let copy =
            Workload { kind: Kind::HostCopy { direction: Direction::Memcpy, bytes: 1000, buffers: 3 }, lanes: 1 };
        assert_eq!(copy.value(1.0), 1000.0);
    }
}
