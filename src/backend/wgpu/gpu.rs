//! The open device: buffers, pipelines, and errors that end in a [`BackendError`] and never in a panic.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use super::adapters::{Adapter, FEATURES};
use super::matrices::{self, Cube};
use super::shaders::Shader;
use crate::backend::BackendError;

/// How long a submission may take before the device counts as lost: far beyond what watchdogs of drivers allow.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes that are written or read back at a time, and between two waits, so that copies on their way do not fill the memory.
const CHUNK: usize = 8 << 20;
const ON_THE_WAY: usize = 8 * CHUNK;

/// Bytes that are allocated, now and at most so far.
#[derive(Default)]
pub(super) struct Account {
    now: Cell<u64>,
    pub(super) most: Cell<u64>,
}

/// A buffer in device memory, counted as long as it lives.
pub(super) struct Buffer {
    pub(super) raw: wgpu::Buffer,
    pub(super) bytes: u64,
    account: Rc<Account>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.account.now.set(self.account.now.get().saturating_sub(self.bytes));
    }
}

/// What went wrong outside of any call, as callbacks report it.
#[derive(Clone, Default)]
struct Report(Arc<Mutex<Option<String>>>);

impl Report {
    fn set(&self, text: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
    }

    fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A compute pipeline ready to run. Copies are the same pipeline.
#[derive(Clone)]
pub(super) struct Pipeline {
    pub(super) raw: wgpu::ComputePipeline,
}

/// The open device.
pub(super) struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) features: wgpu::Features,
    pub(super) limits: wgpu::Limits,
    /// Invocations of the narrowest subgroup and of the widest.
    pub(super) subgroups: (u32, u32),
    /// Cooperative matrices that kernels can use.
    pub(super) cubes: Vec<Cube>,
    pub(super) account: Rc<Account>,
    /// What was compiled so far: equal operators of a model's layers run the same pipeline.
    pub(super) compiled: RefCell<HashMap<Shader, Pipeline>>,
    checks: bool,
    lost: Report,
    stray: Report,
}

/// Asks a driver for its device, with cooperative matrices where there are some to be used.
fn request(
    adapter: &wgpu::Adapter,
    mut features: wgpu::Features,
    cubes: &[Cube],
) -> Result<(wgpu::Device, wgpu::Queue), BackendError> {
    let experimental_features = if cubes.is_empty() {
        features.remove(matrices::FEATURE.0);
        wgpu::ExperimentalFeatures::disabled()
    } else {
        // SAFETY: this is the one experimental feature asked for. Its kernels are rooflab's own: every matrix lies within its buffer, every invocation of a
        // subgroup takes part in all that is done with one, and only sizes and formats that the device has offered are used.
        unsafe { wgpu::ExperimentalFeatures::enabled() }
    };
    let request = adapter.request_device(&wgpu::DeviceDescriptor {
        label: Some("rooflab"),
        required_features: features,
        required_limits: adapter.limits(),
        experimental_features,
        memory_hints: wgpu::MemoryHints::Performance,
        ..wgpu::DeviceDescriptor::default()
    });
    pollster::block_on(request).map_err(|error| BackendError::Driver {
        what: format!("the driver does not open the device: {}", one_line(&error.to_string())),
        hint: "update the driver, or choose another device with `--device`".to_owned(),
    })
}

impl Gpu {
    /// Opens the device of an adapter, with shaders that check every index and loop, or none.
    pub(super) fn open(adapter: &Adapter, checks: bool) -> Result<Self, BackendError> {
        let found = adapter.reopen()?;
        let features = FEATURES.iter().fold(wgpu::Features::empty(), |all, (flag, _)| all | *flag) & found.features();
        if !features.contains(wgpu::Features::IMMEDIATES) {
            return Err(BackendError::unsupported("the driver lacks IMMEDIATES (push constants)"));
        }
        let mut cubes = matrices::of(&found);
        let opened = match request(&found, features, &cubes) {
            // What is on trial must not keep the rest from being measured.
            Err(_) if !cubes.is_empty() => {
                cubes.clear();
                request(&found, features, &cubes)
            }
            opened => opened,
        };
        let (device, queue) = opened?;
        let info = found.get_info();
        let subgroups = (info.subgroup_min_size.max(1), info.subgroup_max_size.max(1));
        Ok(Self::of((device, queue), subgroups, cubes, checks))
    }

    /// A device that is open already.
    fn of((device, queue): (wgpu::Device, wgpu::Queue), subgroups: (u32, u32), cubes: Vec<Cube>, checks: bool) -> Self {
        let (lost, stray) = (Report::default(), Report::default());
        let (to_lost, to_stray) = (lost.clone(), stray.clone());
        device.set_device_lost_callback(move |reason, message| to_lost.set(format!("{reason:?} {message}")));
        // Without a handler, errors outside of scopes end in a panic.
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| to_stray.set(one_line(&error.to_string()))));
        let (features, limits) = (device.features(), device.limits());
        let (compiled, account) = (RefCell::default(), Rc::default());
        Self { device, queue, features, limits, subgroups, cubes, account, compiled, checks, lost, stray }
    }

    /// Does something with the device; whatever the driver says against it is the error.
    pub(super) fn scoped<T>(&self, action: impl FnOnce() -> T) -> Result<T, BackendError> {
        self.for_memory(0, action)
    }

    /// The same for something that takes memory.
    fn for_memory<T>(&self, bytes: u64, action: impl FnOnce() -> T) -> Result<T, BackendError> {
        self.still_there()?;
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let result = action();
        // The last one opened is closed first.
        let validation = pollster::block_on(validation.pop());
        let internal = pollster::block_on(internal.pop());
        let memory = pollster::block_on(memory.pop());
        if validation.is_some() || internal.is_some() || memory.is_some() {
            // That the device is lost is reported when it is asked, and explains all else.
            let _ = self.device.poll(wgpu::PollType::Poll);
        }
        self.still_there()?;
        if let Some(error) = memory {
            return Err(BackendError::OutOfMemory { bytes, cause: one_line(&error.to_string()) });
        }
        let refused = validation.or(internal).map(|error| one_line(&error.to_string())).or_else(|| self.stray.take());
        refused.map_or(Ok(result), |said| Err(BackendError::System(format!("the driver refuses it: {said}"))))
    }

    fn still_there(&self) -> Result<(), BackendError> {
        self.lost.get().map_or(Ok(()), |why| Err(BackendError::Lost(one_line(&why))))
    }

    /// Whether the device still answers.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.get().is_some()
    }

    /// Waits until a submission, or everything, is done.
    pub(super) fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<(), BackendError> {
        let poll = wgpu::PollType::Wait { submission_index: submission, timeout: Some(PATIENCE) };
        let result = self.scoped(|| self.device.poll(poll))?;
        match result {
            Ok(_) => Ok(()),
            Err(wgpu::PollError::Timeout) => {
                self.lost.set(format!("no answer within {} s", PATIENCE.as_secs()));
                self.still_there()
            }
            Err(error) => Err(BackendError::System(format!("the device cannot be waited for: {error}"))),
        }
    }

    /// Refuses what the device lacks.
    pub(super) fn needs(&self, feature: wgpu::Features, name: &str) -> Result<(), BackendError> {
        if self.features.contains(feature) {
            return Ok(());
        }
        Err(BackendError::unsupported(format!("the device lacks {name}")))
    }

    /// A buffer that kernels read and write.
    pub(super) fn buffer(&self, bytes: u64) -> Result<Buffer, BackendError> {
        use wgpu::BufferUsages as Usage;
        self.buffer_for(bytes, Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC)
    }

    /// A buffer for some uses.
    pub(super) fn buffer_for(&self, bytes: u64, usage: wgpu::BufferUsages) -> Result<Buffer, BackendError> {
        let bytes = bytes.max(16).next_multiple_of(16);
        let bound = usage.contains(wgpu::BufferUsages::STORAGE);
        let most = if bound { self.most_bytes() } else { self.limits.max_buffer_size };
        if bytes > most {
            return Err(BackendError::OutOfMemory { bytes, cause: format!("the driver allows {most} in one buffer") });
        }
        let describe = wgpu::BufferDescriptor { label: None, size: bytes, usage, mapped_at_creation: false };
        let raw = self.for_memory(bytes, || self.device.create_buffer(&describe))?;
        let now = self.account.now.get() + bytes;
        self.account.now.set(now);
        self.account.most.set(self.account.most.get().max(now));
        Ok(Buffer { raw, bytes, account: Rc::clone(&self.account) })
    }

    /// Bytes of the largest buffer that a kernel can be given.
    pub(super) fn most_bytes(&self) -> u64 {
        self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size) & !15
    }

    /// Writes a buffer from its start, in pieces that a function fills: it is given a place in bytes and what to fill from there.
    pub(super) fn write(&self, buffer: &Buffer, mut fill: impl FnMut(u64, &mut [u8])) -> Result<(), BackendError> {
        let mut piece = vec![0; CHUNK.min(buffer.bytes as usize)];
        let mut written = 0;
        for start in (0..buffer.bytes).step_by(CHUNK) {
            let piece = &mut piece[..CHUNK.min((buffer.bytes - start) as usize)];
            fill(start, piece);
            self.scoped(|| self.queue.write_buffer(&buffer.raw, start, piece))?;
            written += piece.len();
            if written >= ON_THE_WAY {
                self.flush()?;
                written = 0;
            }
        }
        self.flush()
    }

    /// Fills a buffer with bytes that no kernel writes: in floating-point formats no number.
    pub(super) fn poison(&self, buffer: &Buffer) -> Result<(), BackendError> {
        self.write(buffer, |_, piece| piece.fill(0xFF))
    }

    /// Sees that everything written is there.
    pub(super) fn flush(&self) -> Result<(), BackendError> {
        let submission = self.scoped(|| self.queue.submit([]))?;
        self.wait(Some(submission))
    }

    /// Reads a buffer from its start, in pieces that a function looks at until it fails: it is given a place in bytes and what lies there.
    pub(super) fn read(
        &self,
        buffer: &Buffer,
        mut look: impl FnMut(u64, &[u8]) -> Result<(), String>,
    ) -> Result<(), BackendError> {
        let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ;
        let staging = self.buffer_for(buffer.bytes.min(CHUNK as u64), usage)?;
        for start in (0..buffer.bytes).step_by(CHUNK) {
            let bytes = (buffer.bytes - start).min(CHUNK as u64);
            self.scoped(|| {
                let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                encoder.copy_buffer_to_buffer(&buffer.raw, start, &staging.raw, 0, bytes);
                self.queue.submit([encoder.finish()])
            })?;
            self.mapped(&staging, bytes, |piece| look(start, piece))?.map_err(BackendError::WrongResult)?;
        }
        Ok(())
    }

    /// All of a small buffer.
    pub(super) fn contents(&self, buffer: &Buffer) -> Result<Vec<u8>, BackendError> {
        let mut all = Vec::with_capacity(buffer.bytes as usize);
        self.read(buffer, |_, piece| {
            all.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(all)
    }

    /// Maps the first bytes of a buffer once everything submitted is done, and looks at them.
    pub(super) fn mapped<T>(
        &self,
        staging: &Buffer,
        bytes: u64,
        look: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, BackendError> {
        self.map(staging, wgpu::MapMode::Read)?;
        let view = staging.raw.get_mapped_range(..bytes);
        let view = view.map_err(|error| BackendError::System(format!("a buffer cannot be read back: {error}")))?;
        let result = look(&view);
        drop(view);
        staging.raw.unmap();
        Ok(result)
    }

    /// Maps a buffer once everything submitted is done.
    pub(super) fn map(&self, staging: &Buffer, mode: wgpu::MapMode) -> Result<(), BackendError> {
        let (sender, receiver) = mpsc::channel();
        self.scoped(|| {
            staging.raw.map_async(mode, .., move |result| {
                // Nobody listens any more when waiting has failed.
                let _ = sender.send(result.map_err(|error| error.to_string()));
            });
        })?;
        self.wait(None)?;
        let said = receiver.try_recv().unwrap_or_else(|_| Err("the driver does not say that it is".to_owned()));
        said.map_err(|why| BackendError::System(format!("a buffer cannot be mapped: {}", one_line(&why))))
    }

    /// The pipeline of a shader, compiled when it is first asked for.
    pub(super) fn pipeline(&self, shader: &Shader) -> Result<Pipeline, BackendError> {
        self.still_there()?;
        if let Some(known) = self.compiled.borrow().get(shader) {
            return Ok(known.clone());
        }
        let pipeline = self.compile(shader)?;
        self.compiled.borrow_mut().insert(shader.clone(), pipeline.clone());
        Ok(pipeline)
    }

    fn compile(&self, shader: &Shader) -> Result<Pipeline, BackendError> {
        let room = u64::from(self.limits.max_compute_workgroup_storage_size);
        if shader.staged > room {
            return Err(BackendError::unsupported(format!(
                "a workgroup has {room} bytes of memory, and `{}` takes {}",
                shader.file, shader.staged
            )));
        }
        let source = wgpu::ShaderSource::Wgsl(shader.text().into());
        let describe = wgpu::ShaderModuleDescriptor { label: Some(shader.file), source };
        let module = self.scoped(|| {
            if self.checks {
                return self.device.create_shader_module(describe);
            }
            // SAFETY: the shaders are rooflab's own. Every index stays below a size that the host has checked before it dispatches, every loop
            // ends after a number of turns that the host gives, and nothing is divided by but constants and sizes above 0.
            unsafe { self.device.create_shader_module_trusted(describe, wgpu::ShaderRuntimeChecks::unchecked()) }
        })?;
        let constants: Vec<_> = shader.constants.iter().map(|&(name, value)| (name, f64::from(value))).collect();
        let describe = wgpu::ComputePipelineDescriptor {
            label: Some(shader.file),
            layout: None,
            module: &module,
            entry_point: Some(shader.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        };
        Ok(Pipeline { raw: self.scoped(|| self.device.create_compute_pipeline(&describe))? })
    }

    /// Gives a pipeline its buffers, by the numbers of their bindings.
    pub(super) fn bind(
        &self,
        pipeline: &Pipeline,
        buffers: &[(u32, &Buffer)],
    ) -> Result<wgpu::BindGroup, BackendError> {
        let numbered = buffers.iter().map(|(binding, buffer)| (*binding, buffer.raw.as_entire_binding()));
        let entries: Vec<_> = numbered.map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
        self.scoped(|| {
            let layout = &pipeline.raw.get_bind_group_layout(0);
            self.device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
        })
    }
}

/// Text of several lines as one.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
