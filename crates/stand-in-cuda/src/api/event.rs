//! Events: moments of the device's clock.

use std::ffi::c_uint;

use crate::code::Code;
use crate::driver::{Driver, ready};
use crate::objects::{Handle, Object};
use crate::pointer::Out;

entries! {
    fn cuEventCreate(event: Out<Handle>, _flags: c_uint) {
        let driver = ready()?;
        driver.current()?;
        let handle = driver.objects().insert(Object::Event(None));
        event.put(handle)
    }

    fn cuEventDestroy_v2(event: Handle) {
        match ready()?.objects().remove(event)? {
            Object::Event(_) => Ok(()),
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
        Ok(())
    }

    fn cuEventSynchronize(event: Handle) {
        let driver = ready()?;
        driver.current()?.0.wait();
        moment(driver, event).map(|_| ())
    }

    fn cuEventQuery(event: Handle) {
        let driver = ready()?;
        if driver.current()?.0.is_stalled() {
            return Err(Code::NOT_READY);
        }
        moment(driver, event).map(|_| ())
    }

    /// Milliseconds between two moments.
    fn cuEventElapsedTime(milliseconds: Out<f32>, start: Handle, end: Handle) {
        let driver = ready()?;
        let moments = moment(driver, start)?.zip(moment(driver, end)?);
        let (start, end) = moments.ok_or(Code::INVALID_HANDLE)?;
        milliseconds.put((end as f64 - start as f64) as f32 * 1e-6)
    }
}

/// The moment of an event, if it was recorded.
fn moment(driver: &Driver, event: Handle) -> Result<Option<u64>, Code> {
    driver.current()?;
    match driver.objects().get(event)? {
        Object::Event(moment) => Ok(*moment),
        _ => Err(Code::INVALID_HANDLE),
    }
}
