//! The typed key everyone shares: what can be a ceiling. Strings such as `memory.dram.read` exist only at the JSON border.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::dtype::{DType, Kind};
use crate::units::Unit;

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
    /// A link between host and device memory.
    HostLink {
        /// Which way the data goes.
        direction: Direction,
    },
    /// A fixed cost per operation.
    Overhead {
        /// What is paid for.
        of: Overhead,
    },
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every value, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word it is written as.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

words!(
    /// A level of the memory hierarchy, nearest first.
    MemoryLevel {
        /// First-level data cache.
        L1 = "l1",
        /// Second-level cache.
        L2 = "l2",
        /// Third-level cache.
        L3 = "l3",
        /// Main memory of the device.
        Dram = "dram",
    }
);

words!(
    /// The streaming kernels of STREAM, with pure reads and writes.
    StreamOp {
        /// Every element is loaded.
        Read = "read",
        /// Every element is stored.
        Write = "write",
        /// c = a
        Copy = "copy",
        /// b = s·c
        Scale = "scale",
        /// c = a + b
        Add = "add",
        /// a = b + s·c
        Triad = "triad",
    }
);

words!(
    /// Where multiply-adds are executed.
    ComputeUnit {
        /// The vector (SIMD) pipelines.
        Vector = "vector",
        /// Matrix units: AMX tiles, tensor cores.
        Matrix = "matrix",
    }
);

words!(
    /// The two phases of serving a language model.
    Phase {
        /// One new token per sequence attends to the whole cache.
        Decode = "decode",
        /// All tokens of a prompt attend to those before them.
        Prefill = "prefill",
    }
);

words!(
    /// Operators of a transformer beside its matrix products and attention.
    RowwiseOp {
        /// Every row becomes its exponentials, scaled to the sum 1; in place.
        Softmax = "softmax",
        /// Every row is scaled to the root mean square 1, then by a vector of weights.
        RmsNorm = "rmsnorm",
        /// silu(gate) · up: what stands between the two halves of a gated feed-forward network.
        SiluMul = "silu_mul",
        /// Rotary position embedding of heads; in place.
        Rope = "rope",
        /// The residual connection x += y.
        Add = "add",
        /// Rows of an embedding table at random places are copied out.
        Gather = "gather",
    }
);

words!(
    /// Direction over a host link.
    Direction {
        /// Host to device.
        H2d = "h2d",
        /// Device to host.
        D2h = "d2h",
        /// Within host memory, where the device is the host.
        Memcpy = "memcpy",
    }
);

words!(
    /// A cost paid per operation rather than per byte or FLOP.
    Overhead {
        /// Handing an empty job to a device that is ready and waiting for it to finish.
        Launch = "launch",
        /// The same after the workers went to sleep.
        Wake = "wake",
    }
);

/// How a streaming kernel touches memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Access {
    /// The kernel.
    pub op: StreamOp,
    /// The kind of store it uses.
    pub stores: Stores,
}

/// The kind of store a kernel uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stores {
    /// Ordinary stores; caches may fetch the line first (write-allocate), which is not counted.
    Plain,
    /// Non-temporal stores, past the caches.
    NonTemporal,
}

impl StreamOp {
    /// Arrays loaded from.
    #[must_use]
    pub const fn arrays_read(self) -> u64 {
        match self {
            Self::Write => 0,
            Self::Read | Self::Copy | Self::Scale => 1,
            Self::Add | Self::Triad => 2,
        }
    }

    /// Arrays stored to.
    #[must_use]
    pub const fn arrays_written(self) -> u64 {
        match self {
            Self::Read => 0,
            Self::Write | Self::Copy | Self::Scale | Self::Add | Self::Triad => 1,
        }
    }

    /// Arrays touched.
    #[must_use]
    pub const fn arrays(self) -> u64 {
        self.arrays_read() + self.arrays_written()
    }

    /// Floating-point operations per element.
    #[must_use]
    pub const fn flops(self) -> u64 {
        match self {
            Self::Read | Self::Write | Self::Copy => 0,
            Self::Scale | Self::Add => 1,
            Self::Triad => 2,
        }
    }
}

impl Access {
    /// An access with ordinary stores.
    #[must_use]
    pub const fn plain(op: StreamOp) -> Self {
        Self { op, stores: Stores::Plain }
    }

    /// An access with non-temporal stores.
    #[must_use]
    pub const fn non_temporal(op: StreamOp) -> Self {
        Self { op, stores: Stores::NonTemporal }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stores {
            Stores::Plain => write!(f, "{}", self.op),
            Stores::NonTemporal => write!(f, "{}_nt", self.op),
        }
    }
}

impl FromStr for Access {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (word, stores) = match text.strip_suffix("_nt") {
            Some(word) => (word, Stores::NonTemporal),
            None => (text, Stores::Plain),
        };
        let op = StreamOp::from_word(word).ok_or(())?;
        if op == StreamOp::Read && stores == Stores::NonTemporal { Err(()) } else { Ok(Self { op, stores }) }
    }
}

impl RowwiseOp {
    /// Elements loaded per element of the result, not counting what stays in the nearest cache.
    #[must_use]
    pub const fn elements_read(self) -> u64 {
        match self {
            Self::Softmax | Self::RmsNorm | Self::Rope | Self::Gather => 1,
            Self::SiluMul | Self::Add => 2,
        }
    }

    /// Arrays of a row's length that lie in memory: those that are read, and the result where it is not in place of one of them.
    #[must_use]
    pub const fn arrays(self) -> u64 {
        match self {
            Self::Softmax | Self::Rope => 1,
            Self::RmsNorm | Self::Add | Self::Gather => 2,
            Self::SiluMul => 3,
        }
    }

    /// Arithmetic operations per element of the result; an exponential, a division and a maximum count as one each.
    #[must_use]
    pub const fn flops(self) -> u64 {
        match self {
            Self::Softmax => 5, // maximum, difference, exponential, sum, scaling
            // Square, sum, scaling, weight; exponential, sum, division, product.
            Self::RmsNorm | Self::SiluMul => 4,
            Self::Rope => 3, // four products and two sums for a pair
            Self::Add => 1,
            Self::Gather => 0,
        }
    }
}

/// The quantity a curve runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Bytes a kernel goes round in, over all its lanes.
    WorkingSet,
    /// Bytes of one transfer.
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
            | Self::Gemv { .. }
            | Self::Attention { phase: Phase::Decode, .. }
            | Self::Rowwise { .. } => Unit::BytePerSecond,
            Self::Attention { phase: Phase::Prefill, .. } => Unit::FlopPerSecond,
            Self::Compute { input, .. } | Self::Gemm { input, .. } => match input.format().kind {
                Kind::Float => Unit::FlopPerSecond,
                Kind::Integer => Unit::OpPerSecond,
            },
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
            Self::HostLink { .. } => Some(Axis::TransferSize),
            Self::Compute { .. } | Self::Overhead { .. } => None,
        }
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
            Self::HostLink { .. } => Cow::Borrowed("bytes copied, counted once"),
            Self::Overhead { of: Overhead::Launch } => {
                Cow::Borrowed("time from handing out an empty job to having all workers done, workers spinning")
            }
            Self::Overhead { of: Overhead::Wake } => {
                Cow::Borrowed("time from handing out an empty job to having all workers done, workers asleep")
            }
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { level: Some(level), access } => write!(f, "memory.{level}.{access}"),
            Self::Memory { level: None, access } => write!(f, "memory.{access}"),
            Self::Compute { unit, input, accumulate } if input == accumulate => write!(f, "compute.{unit}.{input}"),
            Self::Compute { unit, input, accumulate } => write!(f, "compute.{unit}.{input}.{accumulate}"),
            Self::Gemm { input, accumulate } if input == accumulate => write!(f, "gemm.{input}"),
            Self::Gemm { input, accumulate } => write!(f, "gemm.{input}.{accumulate}"),
            Self::Gemv { weights, activations } if weights == activations => write!(f, "gemv.{weights}"),
            Self::Gemv { weights, activations } => write!(f, "gemv.{weights}.{activations}"),
            Self::Attention { phase, kv } => write!(f, "attention.{phase}.{kv}"),
            Self::Rowwise { op, dtype } => write!(f, "rowwise.{op}.{dtype}"),
            Self::Latency { level: Some(level) } => write!(f, "latency.{level}"),
            Self::Latency { level: None } => write!(f, "latency"),
            Self::HostLink { direction } => write!(f, "link.host.{direction}"),
            Self::Overhead { of } => write!(f, "overhead.{of}"),
        }
    }
}

/// A text that names no resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a resource this rooflab knows")]
pub struct UnknownResource(pub String);

impl FromStr for Resource {
    type Err = UnknownResource;

    fn from_str(text: &str) -> Result<Self, UnknownResource> {
        parse(text).ok_or_else(|| UnknownResource(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Resource> {
    let words: Vec<&str> = text.split('.').collect();
    Some(match words.as_slice() {
        ["memory", access] => Resource::Memory { level: None, access: access.parse().ok()? },
        ["memory", level, access] => {
            Resource::Memory { level: Some(MemoryLevel::from_word(level)?), access: access.parse().ok()? }
        }
        ["compute", unit, formats @ ..] => {
            let (input, accumulate) = pair(formats)?;
            Resource::Compute { unit: ComputeUnit::from_word(unit)?, input, accumulate }
        }
        ["gemm", formats @ ..] => {
            let (input, accumulate) = pair(formats)?;
            Resource::Gemm { input, accumulate }
        }
        ["gemv", formats @ ..] => {
            let (weights, activations) = pair(formats)?;
            Resource::Gemv { weights, activations }
        }
        ["attention", phase, kv] => Resource::Attention { phase: Phase::from_word(phase)?, kv: dtype(kv)? },
        ["rowwise", op, format] => Resource::Rowwise { op: RowwiseOp::from_word(op)?, dtype: dtype(format)? },
        ["latency"] => Resource::Latency { level: None },
        ["latency", level] => Resource::Latency { level: Some(MemoryLevel::from_word(level)?) },
        ["link", "host", direction] => Resource::HostLink { direction: Direction::from_word(direction)? },
        ["overhead", of] => Resource::Overhead { of: Overhead::from_word(of)? },
        _ => return None,
    })
}

/// Two formats, of which the second is only written where it differs.
fn pair(formats: &[&str]) -> Option<(DType, DType)> {
    match formats {
        [both] => dtype(both).map(|both| (both, both)),
        [first, second] if first != second => Some((dtype(first)?, dtype(second)?)),
        _ => None,
    }
}

/// Documents use a format's own name, never an alias, so that every resource has one spelling.
fn dtype(word: &str) -> Option<DType> {
    word.parse::<DType>().ok().filter(|dtype| dtype.name() == word)
}

/// How much of the device takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All of it.
    #[default]
    Device,
    /// One core (on a GPU: one multiprocessor).
    Core,
}

/// What identifies a ceiling within a profile. Written `memory.dram.read`, or `memory.dram.read@core` for one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The resource.
    pub resource: Resource,
    /// How much of the device takes part.
    pub scope: Scope,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scope {
            Scope::Device => self.resource.fmt(f),
            Scope::Core => write!(f, "{}@core", self.resource),
        }
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Resource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Resource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Resource {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Resource")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "What the ceiling is a ceiling of: words joined by dots, from the general to the particular. Readers skip resources they do not know.",
            "pattern": "^[a-z0-9_]+(\\.[a-z0-9_]+)*$",
            "examples": ["memory.dram.read", "memory.triad_nt", "compute.vector.f32", "compute.vector.bf16.f32", "gemm.bf16.f32", "gemv.int4_g128.bf16", "attention.decode.bf16", "rowwise.softmax.f32", "latency.dram", "link.host.memcpy", "overhead.launch"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> Vec<Resource> {
        let levels = || std::iter::once(None).chain(MemoryLevel::ALL.iter().copied().map(Some));
        let mut all = Vec::new();
        for level in levels() {
            all.push(Resource::Latency { level });
            for &op in StreamOp::ALL {
                all.push(Resource::Memory { level, access: Access::plain(op) });
                if op != StreamOp::Read {
                    all.push(Resource::Memory { level, access: Access::non_temporal(op) });
                }
            }
        }
        let formats = || crate::dtype::FORMATS.iter().map(|format| format.dtype);
        for (first, second) in formats().flat_map(|first| formats().map(move |second| (first, second))) {
            for &unit in ComputeUnit::ALL {
                all.push(Resource::Compute { unit, input: first, accumulate: second });
            }
            all.push(Resource::Gemm { input: first, accumulate: second });
            all.push(Resource::Gemv { weights: first, activations: second });
        }
        for dtype in formats() {
            all.extend(Phase::ALL.iter().map(|&phase| Resource::Attention { phase, kv: dtype }));
            all.extend(RowwiseOp::ALL.iter().map(|&op| Resource::Rowwise { op, dtype }));
        }
        all.extend(Direction::ALL.iter().map(|&direction| Resource::HostLink { direction }));
        all.extend(Overhead::ALL.iter().map(|&of| Resource::Overhead { of }));
        all
    }

    #[test]
    fn every_resource_survives_the_round_trip_and_has_its_own_spelling() {
        let mut spellings = std::collections::BTreeSet::new();
        for resource in all() {
            let text = resource.to_string();
            assert_eq!(text.parse(), Ok(resource), "{text}");
            assert!(spellings.insert(text));
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            ".",
            "memory",
            "memory.read_nt",
            "memory.l9.read",
            "compute.vector.fp32",
            "compute.vector.f32.f32",
            "gemm.f32.f32",
            "gemm",
            "attention.f32",
            "Memory.read",
        ] {
            assert!(text.parse::<Resource>().is_err(), "{text}");
        }
    }

    #[test]
    fn triad_moves_three_arrays() {
        assert_eq!(StreamOp::Triad.arrays(), 3);
        assert_eq!(
            "memory.dram.triad".parse::<Resource>().unwrap().counting(),
            "8 B loaded + 4 B stored per element; write-allocate traffic not counted"
        );
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_parses_prints_back(text in "[a-z0-9_.]{0,40}|\\PC{0,20}") {
            if let Ok(resource) = text.parse::<Resource>() {
                prop_assert_eq!(resource.to_string(), text);
            }
        }
    }
}
