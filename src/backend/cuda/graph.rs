//! Launches that are handed over together: captured from the main queue, made ready by the driver, and launched as one.

use std::rc::Rc;

use cudarc::driver::sys;

use super::context::Context;
use super::driver;
use super::gpu::Gpu;
use crate::backend::BackendError;

/// A graph of launches, one after the other, ready to be launched.
pub(super) struct Graph {
    raw: sys::CUgraphExec,
    context: Rc<Context>,
}

/// What was captured.
struct Captured {
    raw: sys::CUgraph,
    context: Rc<Context>,
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: the driver gave it, and it is given back once.
        self.context.give_back(|| unsafe { driver::cuGraphExecDestroy(self.raw) });
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        if !self.raw.is_null() {
            // SAFETY: the driver gave it, and what was made of it does not need it any more.
            self.context.give_back(|| unsafe { driver::cuGraphDestroy(self.raw) });
        }
    }
}

impl Captured {
    /// Captures whatever is enqueued. A capture that was begun is ended, also where something in it was refused.
    fn of(gpu: &Gpu, enqueue: impl FnOnce() -> Result<(), BackendError>) -> Result<Self, BackendError> {
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is alive and nothing is being captured on it.
        gpu.checked(unsafe { driver::cuStreamBeginCapture_v2(gpu.main().raw, mode) })?;
        let enqueued = enqueue();
        let mut captured = Self { raw: std::ptr::null_mut(), context: Rc::clone(&gpu.context) };
        // SAFETY: the pointer is to a field that outlives the call.
        let ended = gpu.checked(unsafe { driver::cuStreamEndCapture(gpu.main().raw, &raw mut captured.raw) });
        enqueued.and(ended).map(|()| captured)
    }

    /// Launches and whatever else it holds.
    fn nodes(&self, gpu: &Gpu) -> Result<u64, BackendError> {
        let mut nodes = 0;
        // SAFETY: the graph is alive, the pointer to the number is to a local that outlives the call, and none to a list asks for the number alone.
        gpu.checked(unsafe { driver::cuGraphGetNodes(self.raw, std::ptr::null_mut(), &raw mut nodes) })?;
        Ok(nodes as u64)
    }
}

impl Graph {
    /// Whatever is enqueued, as a graph. Nothing of it runs.
    ///
    /// # Errors
    /// The driver refuses, or has captured fewer launches than there were.
    pub(super) fn of(gpu: &Gpu, enqueue: impl FnOnce() -> Result<(), BackendError>) -> Result<Self, BackendError> {
        let before = gpu.launches();
        let captured = Captured::of(gpu, enqueue)?;
        // Calls of libraries launch what is not counted here.
        let (launches, nodes) = (gpu.launches() - before, captured.nodes(gpu)?);
        if nodes < launches {
            return Err(BackendError::WrongResult(format!("a graph of {launches} launches has {nodes} of them")));
        }
        let mut raw = std::ptr::null_mut();
        // SAFETY: the pointer is to a local that outlives the call, and the graph was just given.
        gpu.checked(unsafe { driver::cuGraphInstantiateWithFlags(&raw mut raw, captured.raw, 0) })?;
        Ok(Self { raw, context: Rc::clone(&gpu.context) })
    }

    /// Enqueues it.
    pub(super) fn launch(&self, gpu: &Gpu) -> Result<(), BackendError> {
        // SAFETY: both were given by the driver and are alive.
        gpu.checked(unsafe { driver::cuGraphLaunch(self.raw, gpu.main().raw) })
    }

    /// Has it run once, because a graph is brought to the device when it is first launched.
    pub(super) fn bring(&self, gpu: &Gpu) -> Result<(), BackendError> {
        self.launch(gpu)?;
        gpu.wait()
    }
}
