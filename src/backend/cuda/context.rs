//! A device's context: what everything on the device belongs to, whether the device still answers, and how things are given back.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use cudarc::driver::sys;

use super::driver::{self, Code, PEER_ACCESS_ALREADY_ENABLED, SUCCESS, TOO_MANY_PEERS, check};
use crate::backend::BackendError;

/// The context of a device, retained once. Whatever belongs to it keeps it alive.
pub(super) struct Context {
    raw: sys::CUcontext,
    device: sys::CUdevice,
    /// Bytes that are allocated, now and at most so far.
    allocated: Cell<u64>,
    most_allocated: Cell<u64>,
    /// Why the device does not answer any more.
    lost: RefCell<Option<String>>,
    /// Whether the device was left alone with work that it may still be at.
    given_up: Cell<bool>,
}

impl Context {
    /// Retains the context of a device by its index, and makes it this thread's.
    pub(super) fn retain(index: usize) -> Result<Rc<Self>, BackendError> {
        let mut device = 0;
        // SAFETY: the pointer is to a local that outlives the call.
        check(unsafe { driver::cuDeviceGet(&raw mut device, index as i32) })?;
        let mut raw = std::ptr::null_mut();
        // SAFETY: the pointer is to a local that outlives the call.
        check(unsafe { driver::cuDevicePrimaryCtxRetain(&raw mut raw, device) })?;
        let (allocated, most_allocated) = (Cell::new(0), Cell::new(0));
        let (lost, given_up) = (RefCell::new(None), Cell::new(false));
        let context = Rc::new(Self { raw, device, allocated, most_allocated, lost, given_up });
        context.enter()?;
        Ok(context)
    }

    /// What the driver knows it by.
    pub(super) const fn raw(&self) -> sys::CUcontext {
        self.raw
    }

    /// Whether its device and another, by its index, can reach each other's memory.
    pub(super) fn reaches(&self, index: usize) -> Result<bool, BackendError> {
        let mut other = 0;
        // SAFETY: the pointer is to a local that outlives the call.
        check(unsafe { driver::cuDeviceGet(&raw mut other, index as i32) })?;
        let one_way = |from, to| {
            let mut can = 0;
            // SAFETY: the pointer is to a local that outlives the call.
            check(unsafe { driver::cuDeviceCanAccessPeer(&raw mut can, from, to) })?;
            Ok::<_, BackendError>(can != 0)
        };
        Ok(one_way(self.device, other)? && one_way(other, self.device)?)
    }

    /// Lets its device reach another's memory. False where the driver has no room for one more such pair.
    pub(super) fn open_to(&self, other: &Self) -> Result<bool, BackendError> {
        self.enter()?;
        // SAFETY: both contexts are retained.
        match unsafe { driver::cuCtxEnablePeerAccess(other.raw, 0) } {
            PEER_ACCESS_ALREADY_ENABLED => Ok(true),
            TOO_MANY_PEERS => Ok(false),
            code => self.checked(code).map(|()| true),
        }
    }

    /// Makes it this thread's, in which another device may have been used since.
    pub(super) fn enter(&self) -> Result<(), BackendError> {
        // A device that was given up is not asked any more: some calls would wait for it.
        self.checked(SUCCESS)?;
        // SAFETY: the context is retained.
        self.checked(unsafe { driver::cuCtxSetCurrent(self.raw) })
    }

    /// Notes a device that does not answer any more, and gives that reason from then on.
    pub(super) fn checked(&self, code: Code) -> Result<(), BackendError> {
        if let Some(why) = &*self.lost.borrow() {
            return Err(BackendError::Lost(why.clone()));
        }
        check(code).inspect_err(|error| {
            if let BackendError::Lost(why) = error {
                self.lost.borrow_mut().get_or_insert_with(|| why.clone());
            }
        })
    }

    /// Leaves the device alone, which may still be at work.
    pub(super) fn give_up(&self, why: String) -> Result<(), BackendError> {
        self.given_up.set(true);
        self.lost.borrow_mut().get_or_insert_with(|| why.clone());
        Err(BackendError::Lost(why))
    }

    /// Gives something of the device's back. What was enqueued has been waited for, or the driver waits for it before it frees anything. After a device was given up nothing is
    /// given back: the driver would wait for ever, and the device may still be at the memory. It is the process's to its end, which is near.
    pub(super) fn give_back(&self, free: impl FnOnce() -> Code) {
        // SAFETY: the context is retained.
        if !self.given_up.get() && unsafe { driver::cuCtxSetCurrent(self.raw) } == SUCCESS {
            // Where the device was lost, so was what is given back.
            let _ = free();
        }
    }

    /// Counts memory that was allocated.
    pub(super) fn count(&self, bytes: u64) {
        let now = self.allocated.get() + bytes;
        self.allocated.set(now);
        self.most_allocated.set(self.most_allocated.get().max(now));
    }

    /// Counts memory that was given back.
    pub(super) fn discount(&self, bytes: u64) {
        self.allocated.set(self.allocated.get().saturating_sub(bytes));
    }

    /// Most bytes that were allocated at one time.
    pub(super) fn most_allocated(&self) -> u64 {
        self.most_allocated.get()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context was retained once, when this was made, and nothing that belongs to it is left.
        self.give_back(|| unsafe { driver::cuDevicePrimaryCtxRelease_v2(self.device) });
    }
}
