//! The empty dispatch: `shaders/empty.wgsl`. Among others of a pass it costs what an operator pays at least; by itself, what it costs to learn that it is done.

use super::{Dispatch, Immediates};
use crate::backend::time::Instant;
use crate::backend::wgpu::gpu::{Buffer, Gpu, Pipeline};
use crate::backend::wgpu::shaders::{Shader, source};
use crate::backend::wgpu::timing::{Bench, Program};
use crate::backend::{BackendError, CycleLimit, Kernel, Sample};

fn shader() -> Shader {
    Shader::new(source!("empty"), "k_empty")
}

/// The shaders of every specialisation.
#[cfg(test)]
pub(super) fn shaders() -> Vec<Shader> {
    vec![shader()]
}

/// Dispatches that count themselves.
pub(in crate::backend::wgpu) struct Empty {
    pipeline: Pipeline,
    bindings: wgpu::BindGroup,
    count: Buffer,
    names: [String; 1],
}

impl Empty {
    pub(in crate::backend::wgpu) fn new(gpu: &Gpu) -> Result<Self, BackendError> {
        let (pipeline, count) = (gpu.pipeline(&shader())?, gpu.buffer(4)?);
        let bindings = gpu.bind(&pipeline, &[(0, &count)])?;
        Ok(Self { pipeline, bindings, count, names: ["in one pass".to_owned()] })
    }

    fn put(&self, pass: &mut wgpu::ComputePass<'_>) {
        let immediates = Immediates::of(&[]);
        Dispatch { pipeline: &self.pipeline, bindings: &self.bindings, immediates, groups: 1 }.put(pass);
    }
}

impl Program for Empty {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn dispatch(&mut self, _: usize, _: u64, pass: &mut wgpu::ComputePass<'_>) {
        self.put(pass);
    }

    fn verify(&mut self, _: usize, bench: &Bench<'_>) -> Result<(), BackendError> {
        const TIMES: u32 = 100;
        bench.gpu.write(&self.count, |_, piece| piece.fill(0))?;
        bench.run(|pass| (0..TIMES).for_each(|_| self.put(pass)))?;
        let count = bytemuck::pod_read_unaligned::<u32>(&bench.gpu.contents(&self.count)?[..4]);
        if count == TIMES {
            return Ok(());
        }
        Err(BackendError::WrongResult(format!("{count} of {TIMES} dispatches ran, one after the other")))
    }
}

/// Submissions of one dispatch, each waited for.
pub(in crate::backend::wgpu) struct Alone<'device> {
    bench: Bench<'device>,
    empty: Empty,
    names: [String; 1],
}

impl<'device> Alone<'device> {
    pub(in crate::backend::wgpu) fn new(bench: Bench<'device>) -> Result<Self, BackendError> {
        Ok(Self { bench, empty: Empty::new(bench.gpu)?, names: ["submitted and waited for".to_owned()] })
    }
}

impl Kernel for Alone<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn verify(&mut self, _: usize) -> Result<(), BackendError> {
        self.empty.verify(0, &self.bench)
    }

    fn run(&mut self, _: usize, iterations: u64) -> Result<Sample, BackendError> {
        let gpu = self.bench.gpu;
        let start = Instant::now();
        for _ in 0..iterations {
            let submission = gpu.scoped(|| {
                let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                self.empty.put(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
                gpu.queue.submit([encoder.finish()])
            })?;
            gpu.wait(Some(submission))?;
        }
        Ok(Sample { elapsed: start.elapsed(), clock: None, disturbance: None, glance: None })
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        None
    }
}
