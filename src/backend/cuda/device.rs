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
use crate::backend::{BackendError, Device, Kernel, LibraryFolders, Stopwatch};
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

    /// Makes a program ready to be timed.
    fn timed<'device, P: Program + 'device>(
        &'device self,
        program: impl FnOnce(&'device Gpu) -> Result<P, BackendError>,
    ) -> Result<Box<dyn Kernel + 'device>, BackendError> {
        Ok(Box::new(Timed { gpu: &self.gpu, clock: &self.clock, program: program(&self.gpu)? }))
    }
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
        let bytes = workload.bytes_per_lane().saturating_mul(u64::from(workload.lanes));
        if bytes > MOST_BYTES {
            return Err(BackendError::OutOfMemory { bytes, cause: "no device has as much".to_owned() });
        }
        let lanes = workload.lanes;
        match workload.kind {
            Kind::Stream { access, elements, .. } => {
                self.timed(|gpu| Stream::new(gpu, access, elements.saturating_mul(lanes.into()), lanes))
            }
            Kind::MultiplyAdd { unit: ComputeUnit::Vector, input, accumulate } => {
                self.timed(|gpu| MultiplyAdd::new(gpu, (input, accumulate), lanes))
            }
            Kind::MultiplyAdd { unit: ComputeUnit::Matrix, input, accumulate }
                if warpgroup::suits(self.gpu.found.capability, (input, accumulate)) =>
            {
                self.timed(|gpu| Warpgroup::new(gpu, (input, accumulate), lanes))
            }
            Kind::MultiplyAdd { unit: ComputeUnit::Matrix, input, accumulate } => {
                self.timed(|gpu| Matrix::new(gpu, (input, accumulate), lanes))
            }
            Kind::Gemm { input, accumulate, shape, copies } => {
                self.timed(|gpu| Product::new(gpu, self.products().as_ref(), (input, accumulate), (shape, copies)))
            }
            Kind::Chase { bytes, hops } => self.timed(|gpu| Chase::new(gpu, bytes, hops)),
            Kind::HostCopy { direction, bytes, buffers } => {
                Ok(Box::new(Copy::new(&self.gpu, direction, bytes.saturating_mul(lanes.into()), buffers)?))
            }
            Kind::Atomic { sharing } => self.timed(|gpu| Atomic::new(gpu, sharing, lanes)),
            Kind::Empty { overhead: Overhead::Launch } => self.timed(|gpu| Empty::new(gpu, Handing::Singly)),
            Kind::Empty { overhead: Overhead::GraphLaunch } => self.timed(|gpu| Empty::new(gpu, Handing::Graph)),
            Kind::PeerCopy { exchange, bytes, .. } if exchange.ways().is_none() => {
                Ok(Box::new(Collective::new(&self.gpu, self.group()?, exchange, bytes)?))
            }
            Kind::PeerCopy { exchange, bytes, buffers } => {
                let sizes = (bytes.saturating_mul(lanes.into()), buffers);
                Ok(Box::new(Peer::new(&self.gpu, self.partner()?, exchange, sizes)?))
            }
            Kind::Empty { overhead: Overhead::PeerSend } => Ok(Box::new(Ping::new(&self.gpu, self.partner()?)?)),
            Kind::Empty { overhead: Overhead::Wake } => Ok(Box::new(Alone::new(&self.gpu)?)),
            Kind::Gemv { parts: 2.., .. } => {
                Err(BackendError::unsupported("CUDA's matrix–vector products take a matrix as a whole, not in parts"))
            }
            Kind::Gemv { weights, activations, rows, columns, .. } => {
                self.timed(|gpu| Gemv::new(gpu, (weights, activations), (rows.saturating_mul(lanes.into()), columns)))
            }
            Kind::Attention { phase: Phase::Decode, kv, context, .. } => {
                self.timed(|gpu| Decode::new(gpu, kv, context, lanes.into()))
            }
            Kind::Rowwise { op, dtype, rows, .. } => {
                self.timed(|gpu| Rowwise::new(gpu, (op, dtype), rows.saturating_mul(lanes.into())))
            }
            Kind::Attention { phase: Phase::Prefill, kv, context, .. } => {
                self.timed(|gpu| Prefill::new(gpu, kv, context, lanes.into()))
            }
        }
    }
}
