//! The open GPU: ready to run any workload.

use std::mem::ManuallyDrop;

use super::adapters::Adapter;
use super::gpu::Gpu;
use super::kernels::atomic::Atomic;
use super::kernels::chase::Chase;
use super::kernels::copy::Copy;
use super::kernels::decode::Decode;
use super::kernels::empty::{Alone, Empty};
use super::kernels::gemm::Gemm;
use super::kernels::gemv::Gemv;
use super::kernels::in_turn::InTurn;
use super::kernels::matrix_multiply_add::MatrixMultiplyAdd;
use super::kernels::multiply_add::MultiplyAdd;
use super::kernels::prefill::Prefill;
use super::kernels::rowwise::Rowwise;
use super::kernels::stream::Stream;
use super::timing::{Bench, Clock, Program, Timed};
use crate::backend::time::Instant;
use crate::backend::{BackendError, Device, Kernel, Sequence, Stage, Stopwatch};
use crate::facts::{ClockReading, Conditions, Identity, Observed, Timer};
use crate::resource::{Access, ComputeUnit, Overhead, Phase, Scope, StreamOp};
use crate::workload::{GPU_STREAM_GRANULE, Kind, Workload};

/// More than any device has; below it, sizes can be computed with without a thought of overflow.
const MOST_BYTES: u64 = 1 << 48;

pub(super) struct WgpuDevice {
    identity: Identity,
    gpu: ManuallyDrop<Gpu>,
    clock: ManuallyDrop<Clock>,
}

impl WgpuDevice {
    pub(super) fn open(adapter: &Adapter, index: usize, checks: bool) -> Result<Self, BackendError> {
        Self::of(adapter.identity(index), Gpu::open(adapter, checks)?)
    }

    fn of(identity: Identity, gpu: Gpu) -> Result<Self, BackendError> {
        let clock = Clock::new(&gpu)?;
        let device = Self { identity, gpu: ManuallyDrop::new(gpu), clock: ManuallyDrop::new(clock) };
        let trial = Stream::new(&device.gpu, Access::plain(StreamOp::Copy), 16 * GPU_STREAM_GRANULE, 1)?;
        device.clock.learn(&device.gpu, |pass| trial.pass_over(0, 0, 1, pass))?;
        drop(trial);
        Ok(device)
    }

    fn bench(&self) -> Bench<'_> {
        Bench { gpu: &self.gpu, clock: &self.clock }
    }
}

impl Drop for WgpuDevice {
    /// A device that does not answer is left as it is: wgpu would wait for it.
    fn drop(&mut self) {
        if self.gpu.is_lost() {
            return;
        }
        // SAFETY: both are dropped here and nowhere else, and not used afterwards.
        unsafe {
            ManuallyDrop::drop(&mut self.clock);
            ManuallyDrop::drop(&mut self.gpu);
        }
    }
}

impl Device for WgpuDevice {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn conditions(&mut self) -> Conditions {
        Conditions::default()
    }

    fn observed(&self) -> Observed {
        Observed { memory_allocated: self.gpu.account.most.get(), ..Observed::default() }
    }

    fn timer(&mut self) -> Timer {
        self.clock.timer()
    }

    /// No portable interface tells a GPU's clock.
    fn clock(&mut self) -> Option<ClockReading> {
        None
    }

    fn stopwatch(&self) -> Stopwatch {
        let opened = Instant::now();
        Box::new(move || opened.elapsed())
    }

    /// A GPU is one lane: WGSL cannot bind work to a multiprocessor.
    fn lanes(&self, scope: Scope) -> u32 {
        match scope {
            Scope::Device => 1,
            Scope::Core => 0,
        }
    }

    fn stream_granule(&self) -> u64 {
        GPU_STREAM_GRANULE
    }

    fn largest_array(&self) -> Option<u64> {
        Some(self.gpu.most_bytes().min(u64::from(u32::MAX)))
    }

    fn takes_caches_in_turn(&self) -> bool {
        false
    }

    fn prepare<'device>(&'device mut self, workload: &Workload) -> Result<Box<dyn Kernel + 'device>, BackendError> {
        // What the host takes part in is timed by the host.
        match workload.kind {
            Kind::HostCopy { direction, bytes, buffers } => {
                sizes_of(workload)?;
                Ok(Box::new(Copy::new(&self.gpu, direction, bytes, buffers)?))
            }
            Kind::Empty { overhead: Overhead::Wake } => Ok(Box::new(Alone::new(self.bench())?)),
            _ => Ok(Box::new(Timed::new(self.bench(), program(&self.gpu, workload)?))),
        }
    }

    fn prepare_sequence<'device>(
        &'device mut self,
        sequence: &Sequence,
    ) -> Result<Box<dyn Kernel + 'device>, BackendError> {
        let Sequence { stages, turns } = sequence.checked()?;
        let member = |stage: &Stage| Ok((program(&self.gpu, &stage.workload)?, stage.variant));
        let members = stages.iter().map(member).collect::<Result<Vec<_>, BackendError>>()?;
        let program = InTurn::new(&self.gpu, members, turns.clone())?;
        Ok(Box::new(Timed::new(self.bench(), Box::new(program))))
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

/// A workload on memory of its own, to run in passes.
fn program(gpu: &Gpu, workload: &Workload) -> Result<Box<dyn Program>, BackendError> {
    sizes_of(workload)?;
    Ok(match workload.kind {
        Kind::Stream { access, elements, parts } => Box::new(Stream::new(gpu, access, elements, parts)?),
        Kind::MultiplyAdd { unit: ComputeUnit::Matrix, input, accumulate } => {
            Box::new(MatrixMultiplyAdd::new(gpu, input, accumulate)?)
        }
        Kind::MultiplyAdd { unit: ComputeUnit::MatrixSparse, .. } => {
            return Err(BackendError::no_kernel("WGSL has no products of sparse matrices"));
        }
        Kind::MultiplyAdd { unit: ComputeUnit::Vector, input, accumulate } => {
            Box::new(MultiplyAdd::new(gpu, input, accumulate)?)
        }
        Kind::Gemv { weights, activations, rows, columns, parts } => {
            Box::new(Gemv::new(gpu, (weights, activations), (rows, columns, parts))?)
        }
        Kind::Gemm { input, accumulate, shape, copies } => {
            Box::new(Gemm::new(gpu, (input, accumulate), shape, copies)?)
        }
        Kind::Attention { phase: Phase::Decode, caches, .. } if caches != 1 => {
            return Err(BackendError::unsupported("a GPU attends with many heads at once, not to caches in turn"));
        }
        Kind::Attention { phase: Phase::Decode, kv, context, .. } => {
            Box::new(Decode::new(gpu, kv, context, workload.lanes.into())?)
        }
        Kind::Attention { phase: Phase::Prefill, kv, context, .. } => {
            Box::new(Prefill::new(gpu, kv, context, workload.lanes.into())?)
        }
        Kind::Rowwise { op, dtype, rows, parts } => Box::new(Rowwise::new(gpu, (op, dtype), (rows, parts))?),
        Kind::Chase { bytes, hops } => Box::new(Chase::new(gpu, bytes, hops)?),
        Kind::Atomic { sharing } => Box::new(Atomic::new(gpu, sharing)?),
        Kind::Empty { overhead: Overhead::Launch } => Box::new(Empty::new(gpu)?),
        Kind::Empty { overhead: Overhead::GraphLaunch } => {
            return Err(BackendError::unsupported("portable interfaces hand no graphs of kernels over"));
        }
        Kind::PeerCopy { .. } | Kind::Empty { overhead: Overhead::PeerSend } => {
            return Err(BackendError::unsupported("portable interfaces reach no other device's memory"));
        }
        Kind::HostCopy { .. } | Kind::Empty { overhead: Overhead::Wake } => {
            return Err(BackendError::unsupported("what the host waits for is no part of a step on the device"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Turn;
    use crate::backend::wgpu::adapters::Survey;
    use crate::backend::wgpu::shaders::Shader;
    use crate::dtype::DType;
    use crate::resource::RowwiseOp;
    use crate::workload::Shape;

    /// The last device there is, which is a software one where one is installed.
    fn device() -> WgpuDevice {
        let adapters = Survey::take().adapters().unwrap();
        WgpuDevice::open(adapters.last().unwrap(), 0, false).unwrap()
    }

    #[test]
    #[ignore = "needs a driver; `scripts/test` installs lavapipe"]
    fn a_lost_device_is_an_error_from_then_on() {
        let mut device = device();
        let workload = Workload {
            kind: Kind::Stream { access: Access::plain(StreamOp::Copy), elements: GPU_STREAM_GRANULE, parts: 1 },
            lanes: 1,
        };
        {
            let mut kernel = device.prepare(&workload).unwrap();
            kernel.verify(0).unwrap();
            kernel.run(0, 3).unwrap();
        }
        device.gpu.device.destroy();
        for _ in 0..2 {
            let result = device.prepare(&workload).and_then(|mut kernel| kernel.run(0, 1));
            assert!(matches!(result, Err(BackendError::Lost(_))), "{result:?}");
        }
    }

    #[test]
    #[ignore = "needs a driver; `scripts/test` installs lavapipe"]
    fn what_the_driver_refuses_is_an_error() {
        let device = device();
        let wrong =
            device.gpu.pipeline(&Shader::new(("wrong", "@compute @workgroup_size(1) fn main() { no(); }"), "main"));
        assert!(matches!(wrong.map(|_| ()), Err(BackendError::System(text)) if text.contains("no definition")));
        let many = device.gpu.pipeline(&Shader::new(("many", "@compute @workgroup_size(65536) fn main() {}"), "main"));
        assert!(matches!(many.map(|_| ()), Err(BackendError::System(_))));
        let large = device.gpu.buffer(u64::MAX / 2);
        assert!(matches!(large.map(|_| ()), Err(BackendError::OutOfMemory { .. })));
    }

    #[test]
    #[ignore = "needs a driver; `scripts/test` installs lavapipe"]
    fn memory_is_counted_and_given_back() {
        let device = device();
        let before = device.gpu.account.most.get();
        let first = device.gpu.buffer(before + 1024).unwrap();
        assert_eq!(device.gpu.account.most.get(), before + 1024 + device.standing());
        drop(first);
        drop(device.gpu.buffer(before + 1024).unwrap());
        assert_eq!(device.gpu.account.most.get(), before + 1024 + device.standing());
    }

    /// wgpu itself takes any size, and some drivers then fail or crash.
    #[test]
    #[ignore = "needs a driver; `scripts/test` installs lavapipe"]
    fn more_of_a_workgroups_memory_than_there_is_is_refused_before_the_driver_sees_it() {
        let device = device();
        let room = u64::from(device.gpu.limits.max_compute_workgroup_storage_size);
        let shader = |staged| Shader::new(("room", "@compute @workgroup_size(1) fn main() {}"), "main").staging(staged);
        assert!(device.gpu.pipeline(&shader(room)).is_ok());
        let refused = device.gpu.pipeline(&shader(room + 1)).map(|_| ());
        assert!(matches!(&refused, Err(BackendError::Unsupported { reason }) if reason.contains(&room.to_string())));
    }

    /// The layers of a model differ in their data alone, and a step by layers asks for what each operator alone has asked for before.
    #[test]
    #[ignore = "needs a driver; `scripts/test` installs lavapipe"]
    fn equal_operators_of_all_layers_are_compiled_once() {
        const LAYERS: usize = 28;
        let bf16 = DType::Bf16;
        let product = |m, n, k| Kind::Gemm { input: bf16, accumulate: DType::F32, shape: Shape { m, n, k }, copies: 1 };
        let rows = |op| Kind::Rowwise { op, dtype: bf16, rows: 4, parts: 1 };
        let vector = |rows| Kind::Gemv { weights: bf16, activations: bf16, rows, columns: 256, parts: 1 };
        let layer = [
            rows(RowwiseOp::RmsNorm),
            vector(64),
            rows(RowwiseOp::Rope),
            Kind::Attention { phase: Phase::Decode, kv: bf16, context: 64, caches: 1 },
            vector(128),
            rows(RowwiseOp::Add),
            rows(RowwiseOp::RmsNorm),
            product(4, 64, 128),
            rows(RowwiseOp::SiluMul),
            product(4, 128, 64),
        ];
        let mut device = device();
        let (before, mut alone) = (device.gpu.compiled.borrow().len(), 0);
        for kind in layer {
            let known = device.gpu.compiled.take();
            drop(device.prepare(&Workload { kind, lanes: 1 }).unwrap());
            let asked = std::mem::replace(&mut *device.gpu.compiled.borrow_mut(), known);
            alone += asked.len();
            device.gpu.compiled.borrow_mut().extend(asked);
        }
        let once = device.gpu.compiled.borrow().len() - before;
        let stages: Vec<Stage> = std::iter::repeat_n(layer, LAYERS)
            .flatten()
            .map(|kind| Stage { workload: Workload { kind, lanes: 1 }, variant: 0 })
            .collect();
        let turns = (0..stages.len()).map(|stage| Turn { stage, iterations: 1 }).collect();
        device.prepare_sequence(&Sequence { stages, turns }).unwrap().run(0, 1).unwrap();
        let compiled = device.gpu.compiled.borrow().len() - before;
        assert_eq!(compiled, once, "a step of {LAYERS} layers compiles nothing that an operator alone did not");
        let asked = LAYERS * alone;
        assert!(once < alone && asked > 1000, "{asked} pipelines are asked for, and {compiled} are compiled");
    }

    #[test]
    #[ignore = "needs a driver; `scripts/test` installs lavapipe"]
    fn what_timing_costs_is_seen_and_not_assumed() {
        let timer = device().timer();
        assert!(timer.resolution.get() > 0.0 && timer.cost.get() > 0.0, "{timer:?}");
    }

    impl WgpuDevice {
        /// Bytes of the clock's own buffers.
        fn standing(&self) -> u64 {
            if self.gpu.features.contains(wgpu::Features::TIMESTAMP_QUERY) { 256 + 16 } else { 0 }
        }
    }
}
