//! The driver of this process: its settings, devices and objects.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::code::Code;
use crate::device::Device;
use crate::knobs::Knobs;
use crate::objects::Objects;

/// The driver.
pub(crate) struct Driver {
    pub(crate) knobs: Knobs,
    pub(crate) devices: Vec<Device>,
    objects: Mutex<Objects>,
    /// Devices, and whose memory they were let reach.
    peers: Mutex<BTreeSet<(usize, usize)>>,
    initialised: AtomicBool,
}

thread_local! {
    /// The context of this thread: a device's number and one, or zero.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// The driver, made when it is asked for first.
pub(crate) fn driver() -> Result<&'static Driver, Code> {
    static DRIVER: OnceLock<Option<Driver>> = OnceLock::new();
    let make = || {
        #[allow(clippy::disallowed_methods, reason = "a library that a program loads has no other settings")]
        let knobs = Knobs::read(&|name| std::env::var(name).ok());
        knobs.inspect_err(|error| eprintln!("stand-in CUDA driver: {error}")).ok().map(Driver::new)
    };
    DRIVER.get_or_init(make).as_ref().ok_or(Code::UNKNOWN)
}

/// The driver after `cuInit`.
pub(crate) fn ready() -> Result<&'static Driver, Code> {
    let driver = driver()?;
    if driver.initialised.load(Relaxed) { Ok(driver) } else { Err(Code::NOT_INITIALIZED) }
}

impl Driver {
    fn new(knobs: Knobs) -> Self {
        let devices = (0..knobs.devices).map(|_| Device::new(&knobs)).collect();
        let (objects, peers) = (Mutex::default(), Mutex::default());
        Self { knobs, devices, objects, peers, initialised: AtomicBool::new(false) }
    }

    pub(crate) fn initialise(&self) {
        self.initialised.store(true, Relaxed);
    }

    /// A device by its number.
    pub(crate) fn device(&self, number: i32) -> Result<&Device, Code> {
        let index = usize::try_from(number).map_err(|_| Code::INVALID_DEVICE)?;
        self.devices.get(index).ok_or(Code::INVALID_DEVICE)
    }

    /// A device by its context, unless it is lost.
    pub(crate) fn of_context(&self, context: usize) -> Result<(&Device, usize), Code> {
        let index = context.checked_sub(1).ok_or(Code::INVALID_CONTEXT)?;
        let device = self.devices.get(index).ok_or(Code::INVALID_CONTEXT)?;
        device.alive()?;
        Ok((device, index))
    }

    /// Lets a device reach another's memory. False where it was let before.
    pub(crate) fn open_peer(&self, from: usize, to: usize) -> bool {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).insert((from, to))
    }

    /// The device of this thread's context, unless it is lost, and its number.
    pub(crate) fn current(&self) -> Result<(&Device, usize), Code> {
        self.of_context(context())
    }

    pub(crate) fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The context of this thread.
pub(crate) fn context() -> usize {
    CURRENT.get()
}

/// Makes a context this thread's.
pub(crate) fn set_context(context: usize) {
    CURRENT.set(context);
}
