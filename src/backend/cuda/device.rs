//! The open GPU: ready to run any workload.

use std::cell::OnceCell;

use super::gpu::Gpu;
use super::kernels::atomic::Atomic;
use super::kernels::chase::Chase;
use super::kernels::collective::{Collective, Group};
use super::kernels::copy::Copy;
use super::kernels::decode::Decode;
use super::kernels::empty::{Alone, Empty, Handing};
use super::kernels::gemv::Gemv;
use super::kernels::in_turn::{InTurn, Member};
use super::kernels::matrix::Matrix;
use super::kernels::multiply_add::MultiplyAdd;
use super::kernels::peer::{Partner, Peer, Ping};
use super::kernels::prefill::Prefill;
use super::kernels::product::Product;
use super::kernels::rowwise::Rowwise;
use super::kernels::stream::Stream;
use super::kernels::warpgroup::{self, Warpgroup};
use super::libraries::cublaslt::{self, Lt};
use super::libraries::{Loaded, Used, nccl, told};
use super::survey::Found;
use super::timing::{Clock, Program, Timed};
use crate::backend::time::Instant;
use crate::backend::{BackendError, Device, Kernel, LibraryFolders, Sequence, Stage, Stopwatch};
use crate::dtype::DType;
use crate::facts::{ClockReading, Conditions, Identity, Library, LibraryName, Observed, Timer};
use crate::resource::{ComputeUnit, Overhead, Phase, Scope};
use crate::units::Seconds;
use crate::workload::{Kind, Workload};

/// More than any device has; below it, sizes can be computed with without a thought of overflow.
const MOST_BYTES: u64 = 1 << 48;

pub(super) struct CudaDevice {
    identity: Identity,
    clock: Clock,
    gpu: Gpu,
    /// The driver's other devices.
    others: Vec<Found>,
    /// The one of them that data is exchanged with, once it was needed.
    partner: OnceCell<Partner>,
    /// Where NVIDIA's libraries are looked for.
    folders: LibraryFolders,
    /// cuBLASLt, or why it is not used, once it was needed.
    products: OnceCell<Used<Lt>>,
    /// NCCL, or why it is not used, once it was needed.
    exchanges: OnceCell<Result<Loaded<nccl::Functions>, String>>,
    /// All devices of this one's kind, once they were needed together.
    group: OnceCell<Result<Group, BackendError>>,
}

impl CudaDevice {
    pub(super) fn open(
        found: &Found,
        others: Vec<Found>,
        patience: Seconds,
        folders: LibraryFolders,
    ) -> Result<Self, BackendError> {
        let gpu = Gpu::open(found, patience)?;
        let clock = Clock::new(&gpu)?;
        let (partner, group) = (OnceCell::new(), OnceCell::new());
        let (products, exchanges) = (OnceCell::new(), OnceCell::new());
        Ok(Self { identity: found.identity(), clock, gpu, others, partner, folders, products, exchanges, group })
    }

    fn partner(&self) -> Result<&Partner, BackendError> {
        if let Some(partner) = self.partner.get() {
            return Ok(partner);
        }
        let partner = Partner::of(&self.gpu, &self.others)?;
        Ok(self.partner.get_or_init(|| partner))
    }

    /// cuBLASLt, or why it is not used.
    fn products(&self) -> &Used<Lt> {
        self.products.get_or_init(|| {
            let found = cublaslt::find(&self.folders, self.gpu.found.cuda());
            Used::of(LibraryName::CublasLt, found, |loaded| Lt::new(loaded, &self.gpu.context))
        })
    }

    /// NCCL, or why it is not used.
    fn exchanges(&self) -> &Result<Loaded<nccl::Functions>, String> {
        self.exchanges.get_or_init(|| nccl::find(&self.folders))
    }

    /// All devices of this one's kind.
    fn group(&self) -> Result<&Group, BackendError> {
        // What failed once is not tried for every size again: it may take seconds each time.
        let group = self.group.get_or_init(|| Group::of(&self.gpu, &self.others, self.exchanges()));
        group.as_ref().map_err(Clone::clone)
    }

    /// A program, ready to be timed.
    fn timed<'device>(&'device self, program: Box<dyn Program + 'device>) -> Box<dyn Kernel + 'device> {
        Box::new(Timed { gpu: &self.gpu, clock: &self.clock, program })
    }

    /// A workload on memory of its own, as launches on the device alone.
    fn program(&self, workload: &Workload) -> Result<Box<dyn Program + '_>, BackendError> {
        let (gpu, lanes) = (&self.gpu, workload.lanes);
        let of_all = |of_lane: u64| of_lane.saturating_mul(lanes.into());
        Ok(match workload.kind {
            Kind::Stream { access, elements, .. } => Box::new(Stream::new(gpu, access, of_all(elements), lanes)?),
            Kind::MultiplyAdd { unit: ComputeUnit::Vector, input, accumulate } => {
                Box::new(MultiplyAdd::new(gpu, (input, accumulate), lanes)?)
            }
            Kind::MultiplyAdd { unit: unit @ (ComputeUnit::Matrix | ComputeUnit::MatrixSparse), input, accumulate } => {
                let (sparse, formats) = (unit == ComputeUnit::MatrixSparse, (input, accumulate));
                if warpgroup::suits(gpu.found.capability, formats) {
                    Box::new(Warpgroup::new(gpu, sparse, formats, lanes)?)
                } else {
                    Box::new(Matrix::new(gpu, sparse, formats, lanes)?)
                }
            }
            Kind::Gemm { input, accumulate, shape, copies } => {
                Box::new(Product::new(gpu, self.products().as_ref(), (input, accumulate), (shape, copies))?)
            }
            Kind::Chase { bytes, hops } => Box::new(Chase::new(gpu, bytes, hops)?),
            Kind::Atomic { sharing } => Box::new(Atomic::new(gpu, sharing, lanes)?),
            Kind::Empty { overhead: Overhead::Launch } => Box::new(Empty::new(gpu, Handing::Singly)?),
            Kind::Empty { overhead: Overhead::GraphLaunch } => Box::new(Empty::new(gpu, Handing::Graph)?),
            Kind::Gemv { weights, activations, rows, columns, parts } => {
                Box::new(Gemv::new(gpu, (weights, activations), (of_all(rows), columns, parts))?)
            }
            Kind::Attention { phase: Phase::Decode, kv, context, caches } => {
                Box::new(Decode::new(gpu, kv, (context, lanes.into(), caches))?)
            }
            Kind::Attention { phase: Phase::Prefill, kv, context, .. } => {
                Box::new(Prefill::new(gpu, kv, context, lanes.into())?)
            }
            Kind::Rowwise { op, dtype, rows, .. } => Box::new(Rowwise::new(gpu, (op, dtype), of_all(rows))?),
            Kind::PeerCopy { .. } | Kind::Empty { overhead: Overhead::PeerSend } => {
                return Err(BackendError::unsupported("what other devices take part in is no part of a step on one"));
            }
            Kind::HostCopy { .. } | Kind::Empty { overhead: Overhead::Wake } => {
                return Err(BackendError::unsupported("what the host waits for is no part of a step on the device"));
            }
        })
    }
}

/// Refuses sizes that nothing could be computed with.
fn sizes_of(workload: &Workload) -> Result<(), BackendError> {
    let bytes = workload.bytes_per_lane().saturating_mul(u64::from(workload.lanes));
    if bytes > MOST_BYTES {
        return Err(BackendError::OutOfMemory { bytes, cause: "no device has as much".to_owned() });
    }
    Ok(())
}

impl Device for CudaDevice {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn conditions(&mut self) -> Conditions {
        let gpu = self.gpu.found.conditions.clone();
        let memory_available = self.gpu.enter().ok().and_then(|()| self.gpu.available());
        Conditions { memory_available, gpu, ..Conditions::default() }
    }

    fn observed(&self) -> Observed {
        let gpu = self.gpu.observed();
        Observed { memory_allocated: self.gpu.context.most_allocated(), gpu, ..Observed::default() }
    }

    fn timer(&mut self) -> Timer {
        // A device that does not answer shows when something is measured.
        let _ = self.gpu.enter();
        self.clock.timer(&self.gpu)
    }

    fn clock(&mut self) -> Option<ClockReading> {
        /// Iterations that take about half a millisecond.
        const ITERATIONS: u64 = 500;
        self.gpu.enter().ok()?;
        let lanes = self.lanes(Scope::Device);
        let mut load = MultiplyAdd::new(&self.gpu, (DType::F32, DType::F32), lanes).ok()?;
        self.clock.reading(&self.gpu, || load.launch(0, ITERATIONS))
    }

    fn stopwatch(&self) -> Stopwatch {
        let opened = Instant::now();
        Box::new(move || opened.elapsed())
    }

    /// A lane is a multiprocessor.
    fn lanes(&self, scope: Scope) -> u32 {
        match scope {
            Scope::Device => self.gpu.found.multiprocessors,
            Scope::Core => 1,
        }
    }

    fn vendor_library(&self, name: LibraryName) -> Option<Library> {
        match name {
            LibraryName::CublasLt => Some(self.products().told.clone()),
            LibraryName::Nccl => Some(told(name, self.exchanges())),
        }
    }

    fn prepare<'device>(&'device mut self, workload: &Workload) -> Result<Box<dyn Kernel + 'device>, BackendError> {
        self.gpu.enter()?;
        sizes_of(workload)?;
        let of_all = |of_lane: u64| of_lane.saturating_mul(workload.lanes.into());
        // What the host or another device takes part in is timed by the host.
        Ok(match workload.kind {
            Kind::HostCopy { direction, bytes, buffers } => {
                Box::new(Copy::new(&self.gpu, direction, of_all(bytes), buffers)?)
            }
            Kind::PeerCopy { exchange, bytes, .. } if exchange.ways().is_none() => {
                Box::new(Collective::new(&self.gpu, self.group()?, exchange, bytes)?)
            }
            Kind::PeerCopy { exchange, bytes, buffers } => {
                Box::new(Peer::new(&self.gpu, self.partner()?, exchange, (of_all(bytes), buffers))?)
            }
            Kind::Empty { overhead: Overhead::PeerSend } => Box::new(Ping::new(&self.gpu, self.partner()?)?),
            Kind::Empty { overhead: Overhead::Wake } => Box::new(Alone::new(&self.gpu)?),
            _ => self.timed(self.program(workload)?),
        })
    }

    fn prepare_sequence<'device>(
        &'device mut self,
        sequence: &Sequence,
    ) -> Result<Box<dyn Kernel + 'device>, BackendError> {
        let Sequence { stages, turns } = sequence.checked()?;
        self.gpu.enter()?;
        let mut members = Vec::with_capacity(stages.len());
        for Stage { workload, variant } in stages {
            sizes_of(workload)?;
            members.push(Member::new(self.program(workload)?, *variant)?);
        }
        Ok(self.timed(Box::new(InTurn::new(&self.gpu, members, turns.clone()))))
    }
}
