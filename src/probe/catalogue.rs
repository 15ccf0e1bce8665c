//! What can be measured: one block each. Help pages, plans and patterns all come from this table.

use crate::dtype::DType;
use crate::facts::DeviceKind;
use crate::profile::Effort;
use crate::resource::{
    Access, ComputeUnit, Direction, Exchange, Key, MemoryLevel, Overhead, Phase, Resource, RowwiseOp, Scope, Sharing,
    Stores, StreamOp,
};

/// Something that can be measured.
#[derive(Debug)]
pub struct Probe {
    /// What kind of workloads it runs.
    pub family: Family,
    /// How finely, over the whole device.
    pub device: PerEffort,
    /// How finely, on one core.
    pub core: PerEffort,
    /// What the number means and what it is good for, in a sentence or two.
    pub explain: &'static str,
}

/// A family of workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Streaming kernels over growing working sets.
    Stream(Access),
    /// Multiply-adds in registers.
    MultiplyAdd {
        /// The execution unit.
        unit: ComputeUnit,
        /// Format of the factors.
        input: DType,
        /// Format of the sum.
        accumulate: DType,
    },
    /// Matrix products of square matrices and of the shapes of language models.
    Gemm {
        /// Format of both factors.
        input: DType,
        /// Format of the sums and of the result.
        accumulate: DType,
    },
    /// Matrix–vector products with growing matrices.
    Gemv {
        /// Format of the matrix.
        weights: DType,
        /// Format of the vector.
        activations: DType,
    },
    /// Attention over growing contexts, with caches that are together more than the machine's caches hold.
    Attention {
        /// One query position, or all.
        phase: Phase,
        /// Format of keys and values.
        kv: DType,
    },
    /// An operator on rows, over growing working sets.
    Rowwise {
        /// The operator.
        op: RowwiseOp,
        /// Format of the elements.
        dtype: DType,
    },
    /// A pointer chase over growing working sets. One lane, also for the whole device.
    Chase,
    /// Atomic additions.
    Atomic(Sharing),
    /// Host copies of growing size.
    HostCopy(Direction),
    /// Copies of growing size between two devices.
    PeerCopy(Exchange),
    /// Empty jobs.
    Empty(Overhead),
}

/// Which places on the axis are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grid {
    /// None: the effort leaves it out.
    Nothing,
    /// The largest only: main memory. For a probe without an axis, its one value; of shapes, one square.
    Far,
    /// Every second octave.
    Coarse,
    /// Every octave.
    Octaves,
    /// Two to an octave.
    Fine,
}

/// A grid for each effort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerEffort {
    /// In the least time.
    pub quick: Grid,
    /// In some minutes.
    pub normal: Grid,
    /// In many minutes.
    pub thorough: Grid,
}

impl PerEffort {
    const fn new(quick: Grid, normal: Grid, thorough: Grid) -> Self {
        Self { quick, normal, thorough }
    }

    const NOTHING: Self = Self::new(Grid::Nothing, Grid::Nothing, Grid::Nothing);
    const ALWAYS: Self = Self::new(Grid::Far, Grid::Far, Grid::Far);

    /// The grid of an effort.
    #[must_use]
    pub const fn of(&self, effort: Effort) -> Grid {
        match effort {
            Effort::Quick => self.quick,
            Effort::Normal => self.normal,
            Effort::Thorough => self.thorough,
        }
    }
}

impl Probe {
    /// The resource that its points belong to.
    #[must_use]
    pub const fn resource(&self) -> Resource {
        match self.family {
            Family::Stream(access) => Resource::Memory { level: None, access },
            Family::MultiplyAdd { unit, input, accumulate } => Resource::Compute { unit, input, accumulate },
            Family::Gemm { input, accumulate } => Resource::Gemm { input, accumulate },
            Family::Gemv { weights, activations } => Resource::Gemv { weights, activations },
            Family::Attention { phase, kv } => Resource::Attention { phase, kv },
            Family::Rowwise { op, dtype } => Resource::Rowwise { op, dtype },
            Family::Chase => Resource::Latency { level: None },
            Family::HostCopy(direction) => Resource::HostLink { direction },
            Family::PeerCopy(exchange) => Resource::PeerLink { exchange },
            Family::Atomic(sharing) => Resource::Atomic { sharing },
            Family::Empty(of) => Resource::Overhead { of },
        }
    }

    /// Whether it means something on a kind of device: processors have stores past the caches and a copy within their memory, GPUs a link to the
    /// host. A multiprocessor by itself has a cache to read and arithmetic; all else is the work of whole GPUs.
    #[must_use]
    pub const fn suits(&self, kind: DeviceKind, scope: Scope) -> bool {
        if matches!(scope, Scope::Core) && kind.is_gpu_like() {
            return matches!(
                self.family,
                Family::Stream(Access { op: StreamOp::Read, .. }) | Family::MultiplyAdd { .. }
            );
        }
        match self.family {
            Family::Stream(Access { stores: Stores::NonTemporal, .. }) | Family::HostCopy(Direction::Memcpy) => {
                !kind.is_gpu_like()
            }
            Family::HostCopy(_)
            | Family::PeerCopy(_)
            | Family::Atomic(_)
            | Family::Empty(Overhead::GraphLaunch | Overhead::PeerSend)
            | Family::Gemm { input: DType::F16 | DType::Fp8E4m3, .. }
            | Family::Gemv { weights: DType::Fp8E4m3, .. }
            | Family::Attention { kv: DType::Fp8E4m3, .. }
            | Family::MultiplyAdd { accumulate: DType::Bf16, .. }
            | Family::MultiplyAdd {
                unit: ComputeUnit::Matrix,
                input: DType::F64 | DType::Tf32 | DType::F16 | DType::Fp8E4m3,
                ..
            }
            | Family::MultiplyAdd { input: DType::Int32, .. } => kind.is_gpu_like(),
            _ => true,
        }
    }

    /// Whether it measures an operator rather than a roof.
    #[must_use]
    pub const fn is_operator(&self) -> bool {
        matches!(
            self.family,
            Family::Gemm { .. } | Family::Gemv { .. } | Family::Attention { .. } | Family::Rowwise { .. }
        )
    }

    /// The scopes it is measured in.
    pub fn scopes(&self) -> impl Iterator<Item = Scope> + use<> {
        let both = [(Scope::Device, self.device), (Scope::Core, self.core)];
        both.into_iter().filter(|(_, grids)| *grids != PerEffort::NOTHING).map(|(scope, _)| scope)
    }

    /// The grids of a scope.
    #[must_use]
    pub const fn grids(&self, scope: Scope) -> &PerEffort {
        match scope {
            Scope::Device => &self.device,
            Scope::Core => &self.core,
        }
    }

    /// Every key it can fill in a scope: its own, and those of the levels found in its curve.
    pub fn keys(&self, scope: Scope) -> impl Iterator<Item = Key> + use<> {
        let resource = self.resource();
        let levels = match self.family {
            Family::Stream(_) | Family::Chase => MemoryLevel::ALL,
            _ => &[],
        };
        let own = std::iter::once(resource);
        own.chain(levels.iter().map(move |&level| resource.at_level(Some(level))))
            .map(move |resource| Key { resource, scope })
    }
}

const fn stream(access: Access, device: PerEffort, core: PerEffort, explain: &'static str) -> Probe {
    Probe { family: Family::Stream(access), device, core, explain }
}

const fn multiply_add(unit: ComputeUnit, input: DType, accumulate: DType, explain: &'static str) -> Probe {
    Probe {
        family: Family::MultiplyAdd { unit, input, accumulate },
        device: PerEffort::ALWAYS,
        core: PerEffort::ALWAYS,
        explain,
    }
}

const fn peer_copy(exchange: Exchange, device: PerEffort, explain: &'static str) -> Probe {
    Probe { family: Family::PeerCopy(exchange), device, core: PerEffort::NOTHING, explain }
}

const fn atomic(sharing: Sharing, explain: &'static str) -> Probe {
    Probe {
        family: Family::Atomic(sharing),
        device: PerEffort::new(Grid::Nothing, Grid::Far, Grid::Far),
        core: PerEffort::NOTHING,
        explain,
    }
}

const fn gemm(input: DType, accumulate: DType, device: PerEffort, core: PerEffort, explain: &'static str) -> Probe {
    Probe { family: Family::Gemm { input, accumulate }, device, core, explain }
}

const fn gemv(weights: DType, activations: DType, explain: &'static str) -> Probe {
    Probe {
        family: Family::Gemv { weights, activations },
        device: PerEffort::new(Grid::Far, Grid::Coarse, Grid::Octaves),
        core: PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        explain,
    }
}

const fn attention(phase: Phase, kv: DType, explain: &'static str) -> Probe {
    Probe {
        family: Family::Attention { phase, kv },
        device: PerEffort::new(Grid::Far, Grid::Coarse, Grid::Octaves),
        core: PerEffort::new(Grid::Nothing, Grid::Nothing, Grid::Far),
        explain,
    }
}

const fn rowwise(op: RowwiseOp, dtype: DType, device: PerEffort, explain: &'static str) -> Probe {
    Probe {
        family: Family::Rowwise { op, dtype },
        device,
        core: PerEffort::new(Grid::Nothing, Grid::Nothing, Grid::Far),
        explain,
    }
}

/// Operators in the format that engines on CPUs keep activations in, and in the half as wide one.
const ROWWISE: PerEffort = PerEffort::new(Grid::Nothing, Grid::Coarse, Grid::Octaves);
/// Engines keep activations in 16 bits, and those of a step lie in caches: main memory alone would say of them what none of them sees.
const ROWWISE_HALF: PerEffort = PerEffort::new(Grid::Nothing, Grid::Coarse, Grid::Coarse);
const SHAPES: PerEffort = PerEffort::new(Grid::Far, Grid::Coarse, Grid::Octaves);
const SHAPES_OF_A_CORE: PerEffort = PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse);

/// Every probe, in the order they are run and shown.
pub static PROBES: &[Probe] = &[
    Probe {
        family: Family::Empty(Overhead::Launch),
        device: PerEffort::ALWAYS,
        core: PerEffort::NOTHING,
        explain: "Time to hand an empty job to every lane and see it done, with the workers waiting for it. The least that an operator \
                  can take when an engine keeps its threads spinning. On a GPU: an empty dispatch that follows another one of the same submission.",
    },
    Probe {
        family: Family::Empty(Overhead::GraphLaunch),
        device: PerEffort::ALWAYS,
        core: PerEffort::NOTHING,
        explain: "The same for one of a hundred empty kernels in a graph that is handed over whole: the least that an operator takes when an \
                  engine replays its steps as graphs.",
    },
    Probe {
        family: Family::Empty(Overhead::Wake),
        device: PerEffort::ALWAYS,
        core: PerEffort::NOTHING,
        explain: "The same after the workers went to sleep: what an engine pays per operator when its threads sleep between them. \
                  On a GPU: a submission by itself, until the host knows that it is done.",
    },
    multiply_add(
        ComputeUnit::Vector,
        DType::F32,
        DType::F32,
        "Issue peak of f32 fused multiply-adds on values held in registers. No kernel computes faster; real matrix products reach \
         70-95 % of it.",
    ),
    multiply_add(
        ComputeUnit::Vector,
        DType::F64,
        DType::F64,
        "Issue peak of f64 fused multiply-adds on values held in registers.",
    ),
    multiply_add(
        ComputeUnit::Vector,
        DType::F16,
        DType::F16,
        "Issue peak of native f16 multiply-adds that also sum in f16.",
    ),
    multiply_add(
        ComputeUnit::Vector,
        DType::Bf16,
        DType::F32,
        "Issue peak of bf16 dot products summed in f32: the ceiling of bf16 matrix products without matrix units.",
    ),
    multiply_add(
        ComputeUnit::Vector,
        DType::Bf16,
        DType::Bf16,
        "Issue peak of native bf16 multiply-adds that also sum in bf16: what a GPU's element-wise kernels can reach in that format.",
    ),
    multiply_add(
        ComputeUnit::Vector,
        DType::Int32,
        DType::Int32,
        "Issue peak of 32-bit integer multiply-adds: the ceiling of index arithmetic and of unpacking weights.",
    ),
    multiply_add(
        ComputeUnit::Vector,
        DType::Int8,
        DType::Int32,
        "Issue peak of 8-bit integer dot products summed in 32 bits: the ceiling of W8A8 products without matrix units.",
    ),
    multiply_add(
        ComputeUnit::Matrix,
        DType::Bf16,
        DType::F32,
        "Issue peak of the matrix units for bf16, summed in f32.",
    ),
    multiply_add(ComputeUnit::Matrix, DType::F16, DType::F32, "Issue peak of the matrix units for f16, summed in f32."),
    multiply_add(
        ComputeUnit::Matrix,
        DType::F16,
        DType::F16,
        "Issue peak of the matrix units for f16 that also sum in f16: on NVIDIA's cards for games twice the rate of sums in f32.",
    ),
    multiply_add(
        ComputeUnit::Matrix,
        DType::Tf32,
        DType::F32,
        "Issue peak of the matrix units for f32 of which 10 bits of fraction are multiplied.",
    ),
    multiply_add(
        ComputeUnit::Matrix,
        DType::F64,
        DType::F64,
        "Issue peak of the matrix units for f64: what HPC codes can reach.",
    ),
    multiply_add(
        ComputeUnit::Matrix,
        DType::Fp8E4m3,
        DType::F32,
        "Issue peak of the matrix units for fp8 (e4m3), summed in f32.",
    ),
    multiply_add(ComputeUnit::Matrix, DType::Int8, DType::Int32, "Issue peak of the matrix units for 8-bit integers."),
    stream(
        Access::plain(StreamOp::Read),
        PerEffort::new(Grid::Coarse, Grid::Octaves, Grid::Fine),
        PerEffort::new(Grid::Coarse, Grid::Octaves, Grid::Fine),
        "Bandwidth of pure loads. Decoding a language model reads every weight once per token, so this is the ceiling of decode.",
    ),
    stream(
        Access::plain(StreamOp::Write),
        PerEffort::new(Grid::Coarse, Grid::Octaves, Grid::Fine),
        PerEffort::new(Grid::Nothing, Grid::Coarse, Grid::Octaves),
        "Bandwidth of pure stores. Ordinary stores fetch the line before they overwrite it; that traffic is not counted.",
    ),
    stream(
        Access::non_temporal(StreamOp::Write),
        PerEffort::new(Grid::Far, Grid::Coarse, Grid::Octaves),
        PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        "Bandwidth of stores that go past the caches and do not fetch the line.",
    ),
    stream(
        Access::plain(StreamOp::Copy),
        PerEffort::new(Grid::Coarse, Grid::Octaves, Grid::Fine),
        PerEffort::new(Grid::Nothing, Grid::Coarse, Grid::Octaves),
        "Bandwidth of c = a: one load and one store per element.",
    ),
    stream(
        Access::non_temporal(StreamOp::Copy),
        PerEffort::new(Grid::Far, Grid::Coarse, Grid::Octaves),
        PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        "Bandwidth of c = a with stores that go past the caches.",
    ),
    stream(
        Access::plain(StreamOp::Scale),
        PerEffort::new(Grid::Far, Grid::Coarse, Grid::Octaves),
        PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        "Bandwidth of b = s·a, as in STREAM.",
    ),
    stream(
        Access::non_temporal(StreamOp::Scale),
        PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        PerEffort::new(Grid::Nothing, Grid::Nothing, Grid::Far),
        "Bandwidth of b = s·a with stores that go past the caches.",
    ),
    stream(
        Access::plain(StreamOp::Add),
        PerEffort::new(Grid::Far, Grid::Coarse, Grid::Octaves),
        PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        "Bandwidth of c = a + b, as in STREAM.",
    ),
    stream(
        Access::non_temporal(StreamOp::Add),
        PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        PerEffort::new(Grid::Nothing, Grid::Nothing, Grid::Far),
        "Bandwidth of c = a + b with stores that go past the caches.",
    ),
    stream(
        Access::plain(StreamOp::Triad),
        PerEffort::new(Grid::Coarse, Grid::Octaves, Grid::Fine),
        PerEffort::new(Grid::Nothing, Grid::Coarse, Grid::Octaves),
        "Bandwidth of a = b + s·c, the kernel STREAM is known for: two loads, one store.",
    ),
    stream(
        Access::non_temporal(StreamOp::Triad),
        PerEffort::new(Grid::Far, Grid::Coarse, Grid::Octaves),
        PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        "Bandwidth of a = b + s·c with stores that go past the caches. Usually the highest a machine gives.",
    ),
    gemm(
        DType::F32,
        DType::F32,
        SHAPES,
        SHAPES_OF_A_CORE,
        "Matrix products in f32, of squares and of the projections of 0.5B, 8B and 70B models for 1 to 4096 tokens. What prefill reaches; the \
         profile holds a formula through the points, with its error.",
    ),
    gemm(
        DType::F64,
        DType::F64,
        PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        PerEffort::new(Grid::Nothing, Grid::Nothing, Grid::Far),
        "Matrix products in f64: what HPC codes reach.",
    ),
    gemm(
        DType::Bf16,
        DType::F32,
        SHAPES,
        SHAPES_OF_A_CORE,
        "Matrix products of bf16 summed in f32, by dot products or widened to f32, whichever is faster. What prefill of an unquantised model \
         reaches.",
    ),
    gemm(
        DType::F16,
        DType::F32,
        SHAPES,
        PerEffort::NOTHING,
        "Matrix products of f16 summed in f32: what prefill of an unquantised model reaches where there is no bf16.",
    ),
    gemm(
        DType::Fp8E4m3,
        DType::F32,
        SHAPES,
        PerEffort::NOTHING,
        "Matrix products of fp8 (e4m3) summed in f32, without scales: what prefill of an fp8 model can reach.",
    ),
    gemm(
        DType::Int8,
        DType::Int32,
        SHAPES,
        SHAPES_OF_A_CORE,
        "Matrix products of 8-bit integers summed in 32 bits: what prefill of a W8A8 model reaches.",
    ),
    gemv(
        DType::F32,
        DType::F32,
        "Matrix–vector products with f32 weights: what decode of an f32 model reaches at batch 1.",
    ),
    gemv(DType::F16, DType::F16, "Matrix–vector products with f16 weights, summed in f32."),
    gemv(DType::Bf16, DType::Bf16, "Matrix–vector products with bf16 weights, summed in f32: decode at batch 1."),
    gemv(
        DType::Fp8E4m3,
        DType::Bf16,
        "Matrix–vector products with fp8 (e4m3) weights and 16-bit activations: decode of an fp8 model at batch 1.",
    ),
    gemv(
        DType::Int8,
        DType::Bf16,
        "Matrix–vector products with 8-bit weights and 16-bit activations (W8A16), with a scale per row.",
    ),
    gemv(
        DType::Int4G128,
        DType::Bf16,
        "Matrix–vector products with 4-bit weights in groups of 128 and 16-bit activations (W4A16). One core is often bound by unpacking \
         rather than by memory.",
    ),
    attention(
        Phase::Decode,
        DType::Bf16,
        "Decode attention over a bf16 cache, four query heads to a head of keys and values: bytes of cache read per second.",
    ),
    attention(Phase::Decode, DType::F16, "Decode attention over an f16 cache, as llama.cpp keeps it."),
    attention(
        Phase::Decode,
        DType::Fp8E4m3,
        "Decode attention over an fp8 (e4m3) cache, as serving engines keep it on recent GPUs.",
    ),
    attention(
        Phase::Decode,
        DType::Int8,
        "Decode attention over an 8-bit cache with a scale per token and head. Half of the bytes, but rarely half of the time.",
    ),
    attention(
        Phase::Prefill,
        DType::Bf16,
        "Causal attention of all tokens of a prompt, in bf16, without ever storing the scores.",
    ),
    rowwise(
        RowwiseOp::Softmax,
        DType::F32,
        ROWWISE,
        "Softmax over rows of 4096, in place: sampling, and attention that stores its scores.",
    ),
    rowwise(RowwiseOp::RmsNorm, DType::F32, ROWWISE, "RMSNorm over rows of 4096, twice per transformer block."),
    rowwise(RowwiseOp::RmsNorm, DType::Bf16, ROWWISE_HALF, "RMSNorm over rows of 4096 bf16."),
    rowwise(
        RowwiseOp::SiluMul,
        DType::F32,
        ROWWISE,
        "silu(gate) · up, between the two halves of a gated feed-forward network.",
    ),
    rowwise(RowwiseOp::SiluMul, DType::Bf16, ROWWISE_HALF, "silu(gate) · up in bf16, as engines for GPUs keep it."),
    rowwise(RowwiseOp::Rope, DType::F32, ROWWISE, "Rotary position embedding of heads of 128, in place."),
    rowwise(
        RowwiseOp::Rope,
        DType::Bf16,
        ROWWISE_HALF,
        "Rotary position embedding in bf16, whose arithmetic is that of f32 for half of the bytes.",
    ),
    rowwise(RowwiseOp::Add, DType::F32, ROWWISE, "The residual connection x += y."),
    rowwise(RowwiseOp::Add, DType::Bf16, ROWWISE_HALF, "The residual connection x += y in bf16."),
    rowwise(
        RowwiseOp::Gather,
        DType::Bf16,
        ROWWISE,
        "Rows of 4096 bf16 at random places of a table: the embedding of tokens.",
    ),
    Probe {
        family: Family::Chase,
        device: PerEffort::new(Grid::Coarse, Grid::Octaves, Grid::Octaves),
        core: PerEffort::NOTHING,
        explain: "Time of a load whose address depends on the load before it, by one lane over a random cycle of cache lines.",
    },
    atomic(
        Sharing::Own,
        "Atomic additions of 32-bit integers by all threads, each to a word of its own: what scattering without conflicts can reach.",
    ),
    atomic(
        Sharing::Warp,
        "The same to a word that 32 threads share, which run in step: what a histogram of few bins can reach.",
    ),
    atomic(Sharing::All, "The same to one word that all threads share: what a counter of a whole kernel can reach."),
    Probe {
        family: Family::HostCopy(Direction::Memcpy),
        device: PerEffort::new(Grid::Far, Grid::Coarse, Grid::Coarse),
        core: PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        explain: "Bytes per second that the platform's own memcpy moves: the host link of a device that is the host.",
    },
    Probe {
        family: Family::HostCopy(Direction::H2d),
        device: PerEffort::new(Grid::Far, Grid::Coarse, Grid::Coarse),
        core: PerEffort::NOTHING,
        explain: "Bytes per second from the host's memory into the device's: what loading weights, and fetching what was offloaded, can reach.",
    },
    Probe {
        family: Family::HostCopy(Direction::D2h),
        device: PerEffort::new(Grid::Far, Grid::Coarse, Grid::Coarse),
        core: PerEffort::NOTHING,
        explain: "Bytes per second from the device's memory into the host's: what offloading a cache can reach.",
    },
    Probe {
        family: Family::HostCopy(Direction::Both),
        device: PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        core: PerEffort::NOTHING,
        explain: "Bytes per second both ways at once, added up: what exchanging caches with the host can reach.",
    },
    Probe {
        family: Family::HostCopy(Direction::H2dPageable),
        device: PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        core: PerEffort::NOTHING,
        explain: "Bytes per second into the device's memory from memory of the host that is not pinned: what programs get that do not ask for better.",
    },
    Probe {
        family: Family::HostCopy(Direction::D2hPageable),
        device: PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        core: PerEffort::NOTHING,
        explain: "Bytes per second from the device's memory into memory of the host that is not pinned.",
    },
    peer_copy(
        Exchange::Send,
        PerEffort::new(Grid::Far, Grid::Coarse, Grid::Octaves),
        "Bytes per second from the device's memory into another device's: what handing a model's activations or a cache on can reach.",
    ),
    peer_copy(
        Exchange::SendBoth,
        PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        "Bytes per second between two devices that send to each other at once, added up: the link under the load of a sum over devices.",
    ),
    Probe {
        family: Family::Empty(Overhead::PeerSend),
        device: PerEffort::ALWAYS,
        core: PerEffort::NOTHING,
        explain: "Time of a copy of a few bytes to another device and from there back, in turns, each after the one before: the latency that no \
                  exchange between devices by copies gets below.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_are_unique_and_every_probe_is_explained() {
        let mut keys = BTreeSet::new();
        for probe in PROBES {
            assert!(probe.explain.ends_with('.') && probe.explain.len() > 30, "{}", probe.resource());
            assert!(!probe.explain.contains("  "), "{}: {}", probe.resource(), probe.explain);
            assert!(probe.scopes().count() > 0);
            for key in probe.scopes().flat_map(|scope| probe.keys(scope)) {
                assert!(keys.insert(key), "{key} is filled twice");
            }
        }
    }

    #[test]
    fn more_effort_never_measures_less() {
        for probe in PROBES {
            for scope in probe.scopes() {
                let grids = probe.grids(scope);
                assert!(grids.quick <= grids.normal && grids.normal <= grids.thorough, "{}", probe.resource());
                assert!(grids.thorough > Grid::Nothing);
            }
        }
    }
}
