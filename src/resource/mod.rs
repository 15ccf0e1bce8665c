//! The typed key everyone shares: what can be a ceiling. Strings such as `memory.dram.read` exist only at the JSON border.

mod access;
mod key;
mod text;
mod words;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dtype::{DType, Kind};
use crate::units::Unit;

pub use access::{Access, Stores};
pub use key::{Key, Scope};
pub use text::UnknownResource;
pub use words::{ComputeUnit, Direction, Exchange, MemoryLevel, Overhead, Phase, RowwiseOp, Sharing, StreamOp};

/// Something a device has only so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// Bandwidth of loads and stores. Without a level: the whole curve against the working set.
    Memory {
        /// The level of the hierarchy, or none for the curve over all of them.
        level: Option<MemoryLevel>,
        /// What the program does with the memory.
        access: Access,
    },
    /// Issue peak of multiply-adds held in registers.
    Compute {
        /// The execution unit.
        unit: ComputeUnit,
        /// Format of the factors.
        input: DType,
        /// Format of the sum.
        accumulate: DType,
    },
    /// Matrix products C[m, n] = A[m, k] · B[n, k]ᵀ, against their shape.
    Gemm {
        /// Format of both factors.
        input: DType,
        /// Format of the sums and of the result.
        accumulate: DType,
    },
    /// Matrix–vector products `y[n] = W[n, k] · x[k]`, summed in at least 32 bits, against the bytes of the matrix.
    Gemv {
        /// Format of the matrix.
        weights: DType,
        /// Format of the vector.
        activations: DType,
    },
    /// Attention, against the tokens of context.
    Attention {
        /// One query per sequence, or all of a prompt's.
        phase: Phase,
        /// Format of keys and values.
        kv: DType,
    },
    /// Operators that pass over rows of activations, against the working set.
    Rowwise {
        /// The operator.
        op: RowwiseOp,
        /// Format of the activations.
        dtype: DType,
    },
    /// Time of one dependent load. Without a level: the whole curve against the working set.
    Latency {
        /// The level of the hierarchy, or none for the curve over all of them.
        level: Option<MemoryLevel>,
    },
    /// Atomic additions of 32-bit integers to words in memory.
    Atomic {
        /// How many threads share a word.
        sharing: Sharing,
    },
    /// A link between host and device memory.
    HostLink {
        /// Which way the data goes.
        direction: Direction,
    },
    /// Links between devices of the same kind, against the size of a message. Of a collective operation this is the algorithm's bandwidth, so that
    /// size over value is its time whatever the number of devices: bus bandwidth follows from it and that number.
    PeerLink {
        /// What the devices do.
        exchange: Exchange,
    },
    /// A fixed cost per operation.
    Overhead {
        /// What is paid for.
        of: Overhead,
    },
}

/// The quantity a curve runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Bytes a kernel goes round in, over all its lanes.
    WorkingSet,
    /// Bytes of one transfer. Of a collective operation: of the larger of the two buffers that each device has, as nccl-tests counts them.
    TransferSize,
    /// The shape of a matrix product, which its points carry in `shape`; they are in ascending order of m, n, k.
    Shape,
    /// Tokens of context.
    Context,
}

impl Resource {
    /// The unit its values are in.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::Memory { .. }
            | Self::HostLink { .. }
            | Self::PeerLink { .. }
            | Self::Gemv { .. }
            | Self::Attention { phase: Phase::Decode, .. }
            | Self::Rowwise { .. } => Unit::BytePerSecond,
            Self::Attention { phase: Phase::Prefill, .. } => Unit::FlopPerSecond,
            Self::Compute { input, .. } | Self::Gemm { input, .. } => match input.format().kind {
                Kind::Float => Unit::FlopPerSecond,
                Kind::Integer => Unit::OpPerSecond,
            },
            Self::Atomic { .. } => Unit::OpPerSecond,
            Self::Latency { .. } | Self::Overhead { .. } => Unit::Second,
        }
    }

    /// What its points are placed along, where it is a curve.
    #[must_use]
    pub const fn axis(self) -> Option<Axis> {
        match self {
            Self::Memory { .. } | Self::Latency { .. } | Self::Gemv { .. } | Self::Rowwise { .. } => {
                Some(Axis::WorkingSet)
            }
            Self::Gemm { .. } => Some(Axis::Shape),
            Self::Attention { .. } => Some(Axis::Context),
            Self::HostLink { .. } | Self::PeerLink { .. } => Some(Axis::TransferSize),
            Self::Compute { .. } | Self::Atomic { .. } | Self::Overhead { .. } => None,
        }
    }

    /// Whether it is the curve over all levels of memory, which have values of their own.
    #[must_use]
    pub const fn is_whole_curve(self) -> bool {
        matches!(self, Self::Memory { level: None, .. } | Self::Latency { level: None })
    }

    /// The same resource at another level of the hierarchy (or, with none, its whole curve). Resources without levels
    /// stay what they are.
    #[must_use]
    pub const fn at_level(self, level: Option<MemoryLevel>) -> Self {
        match self {
            Self::Memory { access, .. } => Self::Memory { level, access },
            Self::Latency { .. } => Self::Latency { level },
            other => other,
        }
    }

    /// The level of the hierarchy it is bound to.
    #[must_use]
    pub const fn level(self) -> Option<MemoryLevel> {
        match self {
            Self::Memory { level, .. } | Self::Latency { level } => level,
            _ => None,
        }
    }

    /// How work is counted, in words.
    #[must_use]
    pub fn counting(self) -> Cow<'static, str> {
        match self {
            Self::Memory { access, .. } => {
                let (loads, stores) = (access.op.arrays_read() * 4, access.op.arrays_written() * 4);
                let moved = match (loads, stores) {
                    (loads, 0) => format!("{loads} B loaded per element"),
                    (0, stores) => format!("{stores} B stored per element"),
                    (loads, stores) => format!("{loads} B loaded + {stores} B stored per element"),
                };
                let allocate = if stores > 0 { "; write-allocate traffic not counted" } else { "" };
                Cow::Owned(moved + allocate)
            }
            Self::Compute { unit: ComputeUnit::MatrixSparse, .. } => Cow::Borrowed(
                "a multiply-add of the dense product counts as two operations, also where a factor is zero and nothing is computed: half of them",
            ),
            Self::Compute { .. } => Cow::Borrowed("a multiply-add counts as two operations"),
            Self::Gemm { .. } => Cow::Borrowed("2·m·n·k operations; packing and compensation not counted"),
            Self::Gemv { weights, .. } => {
                let format = weights.format();
                let scales = match (format.block, format.kind) {
                    (1, Kind::Float) => "",
                    (1, Kind::Integer) => " with a 32-bit scale per row",
                    _ => " with their scales",
                };
                Cow::Owned(format!("bytes of the weights{scales}, the vector and the result, each once"))
            }
            Self::Attention { phase: Phase::Decode, kv } => Cow::Borrowed(match kv.format().kind {
                Kind::Float => "bytes of keys and values, each once",
                Kind::Integer => "bytes of keys and values with a 32-bit scale per token and head, each once",
            }),
            Self::Attention { phase: Phase::Prefill, .. } => Cow::Borrowed(
                "4·dim operations per query head and pair of tokens, causal: half of the square, exponentials not counted",
            ),
            Self::Rowwise { op, .. } => Cow::Owned(format!(
                "{} elements loaded + 1 stored per element of the result; write-allocate traffic not counted",
                op.elements_read()
            )),
            Self::Latency { .. } => Cow::Borrowed("time of one load whose address depends on the load before it"),
            Self::Atomic { .. } => Cow::Borrowed("additions, each thread's counted"),
            Self::HostLink { direction: Direction::Both } => Cow::Borrowed("bytes copied, counted once for each way"),
            Self::HostLink { .. } => Cow::Borrowed("bytes copied, counted once"),
            Self::PeerLink { exchange } => Cow::Borrowed(match exchange {
                Exchange::Send => "bytes copied, counted once",
                Exchange::SendBoth => "bytes copied, counted once for each way",
                Exchange::AllReduce => "bytes of each device's buffer over the time (algorithm bandwidth)",
                Exchange::AllGather => "bytes that each device has in the end over the time (algorithm bandwidth)",
                Exchange::ReduceScatter => "bytes that each device brings over the time (algorithm bandwidth)",
                Exchange::AllToAll => {
                    "bytes that each device brings over the time, its own part too (algorithm bandwidth)"
                }
            }),
            Self::Overhead { of: Overhead::PeerSend } => {
                Cow::Borrowed("time from one copy of a few bytes to the next, there and back in turn")
            }
            Self::Overhead { of: Overhead::GraphLaunch } => {
                Cow::Borrowed("time from one empty kernel of a graph to the next")
            }
            Self::Overhead { of: Overhead::Launch } => Cow::Borrowed(
                "time from handing out an empty job to having all workers done, workers spinning; of a GPU, from one empty kernel to the next",
            ),
            Self::Overhead { of: Overhead::Wake } => Cow::Borrowed(
                "time from handing out an empty job to having all workers done, workers asleep; of a GPU, until the host knows that an empty kernel is done",
            ),
        }
    }
}
