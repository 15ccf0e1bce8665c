//! The driver of this process: its settings, devices and objects.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::api::Map;
use crate::beside::{After, Beside, Log};
use crate::code::Code;
use crate::device::Device;
use crate::knobs::Knobs;
use crate::objects::{Handle, Object, Objects};
use crate::pointer::Out;

/// The driver.
pub(crate) struct Driver {
    pub(crate) knobs: Knobs,
    pub(crate) devices: Vec<Device>,
    /// The driver that gets the same calls.
    pub(crate) beside: Option<Beside>,
    objects: Mutex<Objects>,
    /// Devices, and whose memory they were let reach.
    peers: Mutex<BTreeSet<(usize, usize)>>,
    /// Maps of tensors by the bytes of the other driver's.
    maps: Mutex<HashMap<Map, Map>>,
    initialised: AtomicBool,
}

/// Whether this library was loaded by another one like it, as the driver beside it.
static IS_BESIDE: AtomicBool = AtomicBool::new(false);

/// Takes settings from variables of its own. A stand-in that loads this library calls it before everything else.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn standInIsBeside() {
    IS_BESIDE.store(true, Relaxed);
}

/// A setting from the environment.
fn setting(name: &str) -> Option<String> {
    let own = if IS_BESIDE.load(Relaxed) { name.replacen("STAND_IN_", "STAND_IN_BESIDE_", 1) } else { name.to_owned() };
    #[allow(clippy::disallowed_methods, reason = "a library that a program loads has no other settings")]
    std::env::var(own).ok()
}

thread_local! {
    /// The context of this thread: a device's number and one, or zero.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// The driver, made when it is asked for first.
pub(crate) fn driver() -> Result<&'static Driver, Code> {
    static DRIVER: OnceLock<Option<Driver>> = OnceLock::new();
    let make = || {
        let made = Knobs::read(&setting).and_then(Driver::new);
        made.inspect_err(|error| eprintln!("stand-in CUDA driver: {error}")).ok()
    };
    DRIVER.get_or_init(make).as_ref().ok_or(Code::UNKNOWN)
}

/// The driver after `cuInit`.
pub(crate) fn ready() -> Result<&'static Driver, Code> {
    let driver = driver()?;
    if driver.initialised.load(Relaxed) { Ok(driver) } else { Err(Code::NOT_INITIALIZED) }
}

impl Driver {
    fn new(mut knobs: Knobs) -> Result<Self, String> {
        let open = |path: &PathBuf| Beside::open(path, Log(knobs.comparisons.clone()));
        let beside = knobs.beside.as_ref().map(open).transpose()?;
        if let Some(other) = &beside {
            knobs.follow(other);
        }
        let devices = (0..knobs.devices).map(|_| Device::new(&knobs)).collect();
        let (objects, peers, maps) = (Mutex::default(), Mutex::default(), Mutex::default());
        Ok(Self { knobs, devices, beside, objects, peers, maps, initialised: AtomicBool::new(false) })
    }

    /// Does the same on the other driver, if there is one. What that refuses is refused.
    pub(crate) fn too(&self, same: impl FnOnce(&Beside) -> Result<(), Code>) -> Result<(), Code> {
        self.beside.as_ref().map_or(Ok(()), same)
    }

    /// Gives something a handle: that of the other driver, which makes the same, or one that nothing has.
    pub(crate) fn add<E>(
        &self,
        object: Object,
        same: impl FnOnce(&Beside, Out<Handle>) -> Result<(), E>,
    ) -> Result<Handle, E> {
        let Some(other) = &self.beside else { return Ok(self.objects().insert(object)) };
        let mut handle = Handle(0);
        same(other, Out(&raw mut handle))?;
        self.objects().insert_at(handle, object);
        Ok(handle)
    }

    /// Compares memory with the other driver's, if there is one. A device that it lost is lost here too.
    pub(crate) fn compare(&self, device: &Device, after: &After<'_>) {
        let Some(other) = &self.beside else { return };
        if let Err(code) = other.compare(&device.memory, after) {
            device.lose(code);
        }
    }

    /// Notes what a map of the other driver's stands for.
    pub(crate) fn note_map(&self, theirs: Map, own: Map) {
        if self.beside.is_some() {
            self.maps.lock().unwrap_or_else(PoisonError::into_inner).insert(theirs, own);
        }
    }

    /// A parameter as the interpreter takes it: of another driver's map of a tensor, what it stands for.
    pub(crate) fn own_parameter(&self, bytes: &[u8]) -> Vec<u8> {
        let maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        let own = Map::try_from(bytes).ok().and_then(|map| maps.get(&map).copied());
        own.map_or_else(|| bytes.to_vec(), Vec::from)
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

    /// Lets a device reach another's memory, unless it was let before or too many ways are open.
    pub(crate) fn open_peer(&self, from: usize, to: usize) -> Result<(), Code> {
        let mut open = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if open.contains(&(from, to)) {
            return Err(Code::PEER_ACCESS_ALREADY_ENABLED);
        }
        if open.len() >= self.knobs.peer_limit {
            return Err(Code::TOO_MANY_PEERS);
        }
        open.insert((from, to));
        Ok(())
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
