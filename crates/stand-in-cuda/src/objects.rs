//! What handles stand for. A handle is a number, never an address, so that a wrong one is an error and nothing worse.

use std::alloc::Layout;
use std::collections::HashMap;
use std::sync::Arc;

use ptx_interpreter::Loaded;

use crate::code::Code;
use crate::pointer::HostFunction;

/// A handle: a module, a stream, an event…
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub(crate) struct Handle(pub(crate) usize);

/// A module on a device.
pub(crate) struct Module {
    pub(crate) device: usize,
    pub(crate) loaded: Loaded,
}

/// A kernel of a module.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) module: Arc<Module>,
    pub(crate) name: String,
    /// Shared memory that it was allowed to have.
    pub(crate) dynamic_limit: u32,
}

/// A launch with its parameters.
#[derive(Clone)]
pub(crate) struct Work {
    /// The handle of the function.
    pub(crate) handle: Handle,
    pub(crate) function: Function,
    pub(crate) grid: [u32; 3],
    pub(crate) block: [u32; 3],
    pub(crate) dynamic_shared: u32,
    pub(crate) parameters: Vec<u8>,
}

/// Something that a stream does after what came before.
#[derive(Clone)]
pub(crate) enum Node {
    /// A launch.
    Launch(Work),
    /// A call of a function of the host.
    Call(HostFunction),
}

impl Node {
    /// The launch, where it is one.
    pub(crate) const fn launch(&self) -> Option<&Work> {
        match self {
            Self::Launch(work) => Some(work),
            Self::Call(_) => None,
        }
    }
}

/// A stream, and what it collects while it is captured.
#[derive(Clone, Default)]
pub(crate) struct Stream {
    pub(crate) captured: Option<Vec<Node>>,
}

/// What a handle stands for.
#[derive(Clone)]
pub(crate) enum Object {
    Module(Arc<Module>),
    Function(Function),
    Stream(Stream),
    /// The moment that was recorded, if one was.
    Event(Option<u64>),
    Graph(Arc<Vec<Node>>),
    Executable(Arc<Vec<Node>>),
    /// Pinned memory of the host, unless it is that of the other driver.
    Host(Option<Layout>),
}

/// Everything that has a handle.
#[derive(Default)]
pub(crate) struct Objects {
    all: HashMap<Handle, Object>,
    made: usize,
}

impl Objects {
    /// Gives something a handle.
    pub(crate) fn insert(&mut self, object: Object) -> Handle {
        self.made += 1;
        // Spaced as addresses are, and none of those that stand for default streams.
        let handle = Handle(0x1000 + 0x10 * self.made);
        self.all.insert(handle, object);
        handle
    }

    /// Gives something a handle of its own choice.
    pub(crate) fn insert_at(&mut self, handle: Handle, object: Object) {
        self.all.insert(handle, object);
    }

    pub(crate) fn get(&self, handle: Handle) -> Result<&Object, Code> {
        self.all.get(&handle).ok_or(Code::INVALID_HANDLE)
    }

    pub(crate) fn get_mut(&mut self, handle: Handle) -> Result<&mut Object, Code> {
        self.all.get_mut(&handle).ok_or(Code::INVALID_HANDLE)
    }

    pub(crate) fn remove(&mut self, handle: Handle) -> Result<Object, Code> {
        self.all.remove(&handle).ok_or(Code::INVALID_HANDLE)
    }

    pub(crate) fn function(&self, handle: Handle) -> Result<Function, Code> {
        match self.get(handle)? {
            Object::Function(function) => Ok(function.clone()),
            _ => Err(Code::INVALID_HANDLE),
        }
    }

    /// The collection of a stream that is captured. The default stream is never.
    pub(crate) fn captured(&mut self, stream: Handle) -> Result<Option<&mut Vec<Node>>, Code> {
        if is_default(stream) {
            return Ok(None);
        }
        match self.get_mut(stream)? {
            Object::Stream(stream) => Ok(stream.captured.as_mut()),
            _ => Err(Code::INVALID_HANDLE),
        }
    }
}

/// Whether a handle is that of a stream which need not be made: null, `CU_STREAM_LEGACY`, `CU_STREAM_PER_THREAD`.
pub(crate) fn is_default(stream: Handle) -> bool {
    stream.0 <= 2
}
