//! Copies between the host's memory and the device's.
//!
//! Work: `bytes` arrive, counted once. Bound: the link; on devices that share the host's memory, that memory. Timed by the host, until it has the data, or knows that
//! the device has.

use crate::backend::time::Instant;
use crate::backend::wgpu::gpu::{Buffer, Gpu};
use crate::backend::{BackendError, CycleLimit, Kernel, Sample};
use crate::data::{Seed, bits};
use crate::resource::Direction;

/// Bytes on their way before the host waits for them.
const ON_THE_WAY: u64 = 64 << 20;

/// Ways to copy, by direction.
const TO_DEVICE: [&str; 2] = ["write_buffer", "mapped buffer, then a copy"];
const TO_HOST: [&str; 1] = ["copy, then a mapped buffer"];

/// Copies between pairs of buffers, in turn.
pub(in crate::backend::wgpu) struct Copy<'device> {
    gpu: &'device Gpu,
    direction: Direction,
    host: Vec<Vec<u8>>,
    device: Vec<Buffer>,
    /// A buffer that the host can map for the direction.
    staging: Buffer,
    names: Vec<String>,
    next: usize,
}

impl<'device> Copy<'device> {
    pub(in crate::backend::wgpu) fn new(
        gpu: &'device Gpu,
        direction: Direction,
        bytes: u64,
        buffers: u64,
    ) -> Result<Self, BackendError> {
        use wgpu::BufferUsages as Usage;
        let (names, usage) = match direction {
            Direction::H2d => (&TO_DEVICE[..], Usage::MAP_WRITE | Usage::COPY_SRC),
            Direction::D2h => (&TO_HOST[..], Usage::MAP_READ | Usage::COPY_DST),
            Direction::Memcpy => {
                return Err(BackendError::unsupported("the device is not the host: it has a link, and no memcpy"));
            }
            Direction::Both | Direction::H2dPageable | Direction::D2hPageable => {
                return Err(BackendError::unsupported(
                    "portable interfaces leave it to the driver which memory of the host a copy goes through, and when",
                ));
            }
        };
        let bytes = bytes / 16 * 16;
        if bytes == 0 || buffers == 0 {
            return Err(BackendError::unsupported("there is nothing to copy"));
        }
        let content = |buffer: u64| {
            let seed = Seed(buffer as u32 + 41);
            (0..bytes as u32 / 4).flat_map(|index| bits(seed, index).to_ne_bytes()).collect::<Vec<u8>>()
        };
        let host: Vec<Vec<u8>> = (0..buffers).map(content).collect();
        let device = host.iter().map(|_| gpu.buffer(bytes)).collect::<Result<Vec<_>, _>>()?;
        if direction == Direction::D2h {
            for (buffer, content) in device.iter().zip(&host) {
                gpu.write(buffer, |start, piece| piece.copy_from_slice(&content[start as usize..][..piece.len()]))?;
            }
        }
        let staging = gpu.buffer_for(bytes, usage)?;
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Ok(Self { gpu, direction, host, device, staging, names, next: 0 })
    }

    fn bytes(&self) -> u64 {
        self.staging.bytes
    }

    /// One copy to the device; it may still be on its way.
    fn send(&mut self, variant: usize, pair: usize) -> Result<(), BackendError> {
        let (gpu, content, buffer) = (self.gpu, &self.host[pair], &self.device[pair]);
        if variant == 0 {
            return gpu.scoped(|| gpu.queue.write_buffer(&buffer.raw, 0, content));
        }
        gpu.map(&self.staging, wgpu::MapMode::Write)?;
        let view = self.staging.raw.get_mapped_range_mut(..);
        let mut view = view.map_err(|error| BackendError::System(format!("a buffer cannot be mapped: {error}")))?;
        view.copy_from_slice(content);
        drop(view);
        self.staging.raw.unmap();
        self.transfer(&self.staging, buffer).map(|_| ())
    }

    fn fetch(&mut self, pair: usize) -> Result<(), BackendError> {
        self.transfer(&self.device[pair], &self.staging)?;
        let to = &mut self.host[pair];
        self.gpu.mapped(&self.staging, to.len() as u64, |from| to.copy_from_slice(from))
    }

    fn transfer(&self, from: &Buffer, to: &Buffer) -> Result<wgpu::SubmissionIndex, BackendError> {
        let gpu = self.gpu;
        gpu.scoped(|| {
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(&from.raw, 0, &to.raw, 0, self.bytes());
            gpu.queue.submit([encoder.finish()])
        })
    }
}

impl Kernel for Copy<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        for pair in 0..self.device.len() {
            let content = self.host[pair].clone();
            if self.direction == Direction::D2h {
                self.host[pair].fill(0xA5);
                self.fetch(pair)?;
            } else {
                self.gpu.poison(&self.device[pair])?;
                self.send(variant, pair)?;
                let arrived = self.gpu.contents(&self.device[pair])?;
                self.host[pair].copy_from_slice(&arrived);
            }
            let arrived = std::mem::replace(&mut self.host[pair], content);
            let original = &self.host[pair];
            if let Some(index) = (0..original.len()).find(|&index| original[index] != arrived[index]) {
                return Err(BackendError::WrongResult(format!(
                    "{}: byte {index} is {}, the original is {}",
                    self.names[variant], arrived[index], original[index]
                )));
            }
        }
        Ok(())
    }

    fn run(&mut self, variant: usize, iterations: u64) -> Result<Sample, BackendError> {
        let at_once = (ON_THE_WAY / self.bytes()).max(1);
        let start = Instant::now();
        for iteration in 1..=iterations {
            let pair = self.next;
            self.next = (self.next + 1) % self.device.len();
            if self.direction == Direction::D2h {
                self.fetch(pair)?;
            } else {
                self.send(variant, pair)?;
                if iteration.is_multiple_of(at_once) || iteration == iterations {
                    self.gpu.flush()?;
                }
            }
        }
        Ok(Sample { elapsed: start.elapsed(), clock: None, disturbance: None, glance: None })
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        None
    }
}
