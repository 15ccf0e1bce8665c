//! What can be measured: one block each, in files by what they are of. Help pages, plans and patterns all come from these tables.

mod arithmetic;
mod links;
mod operators;
mod overheads;
mod scattered;
mod streams;

use crate::dtype::DType;
use crate::facts::{DeviceKind, LibraryName};
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
    /// Copies of growing size between two devices, or operations of all devices of a kind.
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

impl Family {
    /// The library of a device's maker that may have its workloads too.
    #[must_use]
    pub const fn vendor_library(self) -> Option<LibraryName> {
        match self {
            Self::Gemm { .. } => Some(LibraryName::CublasLt),
            Self::PeerCopy(exchange) if exchange.ways().is_none() => Some(LibraryName::Nccl),
            _ => None,
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
            | Family::MultiplyAdd { unit: ComputeUnit::MatrixSparse, .. }
            | Family::MultiplyAdd {
                unit: ComputeUnit::Matrix,
                input: DType::F64 | DType::Tf32 | DType::F16 | DType::Fp8E4m3 | DType::Int4,
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

/// Every probe, in the order they are run and shown.
pub fn probes() -> impl Iterator<Item = &'static Probe> {
    let tables = [overheads::ROWS, arithmetic::ROWS, streams::ROWS, operators::ROWS, scattered::ROWS, links::ROWS];
    tables.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_are_unique_and_every_probe_is_explained() {
        let mut keys = BTreeSet::new();
        for probe in probes() {
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
        for probe in probes() {
            for scope in probe.scopes() {
                let grids = probe.grids(scope);
                assert!(grids.quick <= grids.normal && grids.normal <= grids.thorough, "{}", probe.resource());
                assert!(grids.thorough > Grid::Nothing);
            }
        }
    }
}
