//! Contexts: every device has one, its primary one.

use std::ffi::{c_int, c_uint};

use crate::beside::Beside;
use crate::code::Code;
use crate::driver::{context, ready, set_context};
use crate::objects::Handle;
use crate::pointer::Out;

entries! {
    fn cuDevicePrimaryCtxRetain(context: Out<Handle>, device: c_int) {
        let driver = ready()?;
        driver.device(device)?.alive()?;
        driver.too(Beside::retain)?;
        context.put(Handle(device as usize + 1))
    }

    fn cuDevicePrimaryCtxRelease_v2(device: c_int) {
        let driver = ready()?;
        driver.device(device)?.wait();
        driver.too(Beside::release)
    }

    fn cuDevicePrimaryCtxGetState(device: c_int, flags: Out<c_uint>, active: Out<c_int>) {
        ready()?.device(device)?;
        flags.put(0)?;
        active.put(1)
    }

    fn cuCtxSetCurrent(handle: Handle) {
        let driver = ready()?;
        if handle.0 > driver.devices.len() {
            return Err(Code::INVALID_CONTEXT);
        }
        set_context(handle.0);
        driver.too(|other| other.set_current(handle.0 > 0))
    }

    fn cuCtxGetCurrent(handle: Out<Handle>) {
        ready()?;
        handle.put(Handle(context()))
    }

    fn cuCtxGetDevice(device: Out<c_int>) {
        device.put(ready()?.current()?.1 as c_int)
    }

    /// Everything has happened already.
    fn cuCtxSynchronize() {
        let driver = ready()?;
        driver.current()?.0.wait();
        driver.too(|other| other.cuCtxSynchronize())
    }

    fn cuCtxEnablePeerAccess(peer: Handle, _flags: c_uint) {
        let driver = ready()?;
        let ((_, from), (_, to)) = (driver.current()?, driver.of_context(peer.0)?);
        if !driver.knobs.peers || from == to {
            return Err(Code::PEER_ACCESS_UNSUPPORTED);
        }
        driver.open_peer(from, to)
    }

    fn cuCtxGetStreamPriorityRange(least: Out<c_int>, greatest: Out<c_int>) {
        ready()?.current()?;
        least.put_if_wanted(0);
        greatest.put_if_wanted(0);
        Ok(())
    }
}
