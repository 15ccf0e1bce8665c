//! Events: moments of the device's clock.

use std::ffi::c_uint;

use crate::code::Code;
use crate::driver::{Driver, ready};
use crate::objects::{Handle, Object};
use crate::pointer::Out;

entries! {
    fn cuEventCreate(event: Out<Handle>, flags: c_uint) {
        let driver = ready()?;
        driver.current()?;
        event.put(driver.add(Object::Event(None), |other, event| other.cuEventCreate(event, flags))?)
    }

    fn cuEventDestroy_v2(event: Handle) {
        let driver = ready()?;
        match driver.objects().remove(event)? {
            Object::Event(_) => driver.too(|other| other.cuEventDestroy_v2(event)),
            _ => Err(Code::INVALID_HANDLE),
        }
    }

    fn cuEventRecord(event: Handle, stream: Handle) {
        let driver = ready()?;
        let (device, _) = driver.current()?;
        let mut objects = driver.objects();
        objects.captured(stream)?;
        match objects.get_mut(event)? {
            Object::Event(moment) => *moment = Some(device.pass_event()),
            _ => return Err(Code::INVALID_HANDLE),
        }
        driver.too(|other| other.cuEventRecord(event, stream))
    }

    fn cuEventSynchronize(event: Handle) {
        ready()?.current()?.0.wait();
        done(event)
    }

    /// What has happened here already is waited for on the other driver.
    fn cuEventQuery(event: Handle) {
        if ready()?.current()?.0.is_stalled() {
            return Err(Code::NOT_READY);
        }
        done(event)
    }

    /// Milliseconds between two moments.
    fn cuEventElapsedTime(milliseconds: Out<f32>, start: Handle, end: Handle) {
        let driver = ready()?;
        let moments = moment(driver, start)?.zip(moment(driver, end)?);
        let (began, ended) = moments.ok_or(Code::INVALID_HANDLE)?;
        let mut theirs = 0.0;
        driver.too(|other| other.cuEventElapsedTime(Out(&raw mut theirs), start, end))?;
        milliseconds.put((ended as f64 - began as f64) as f32 * 1e-6)
    }
}

fn done(event: Handle) -> Result<(), Code> {
    let driver = ready()?;
    moment(driver, event)?;
    driver.too(|other| other.cuEventSynchronize(event))
}

/// The moment of an event, if it was recorded.
fn moment(driver: &Driver, event: Handle) -> Result<Option<u64>, Code> {
    driver.current()?;
    match driver.objects().get(event)? {
        Object::Event(moment) => Ok(*moment),
        _ => Err(Code::INVALID_HANDLE),
    }
}
