//! Streams: everything happens at once, so that there is nothing to wait for.

use std::ffi::{c_int, c_uint};

use crate::beside::Beside;
use crate::code::Code;
use crate::driver::ready;
use crate::objects::{Handle, Object, Stream, is_default};
use crate::pointer::Out;

entries! {
    fn cuStreamCreate(stream: Out<Handle>, flags: c_uint) {
        create(stream, flags, 0)
    }

    fn cuStreamCreateWithPriority(stream: Out<Handle>, flags: c_uint, priority: c_int) {
        create(stream, flags, priority)
    }

    fn cuStreamDestroy_v2(stream: Handle) {
        let driver = ready()?;
        match driver.objects().remove(stream)? {
            Object::Stream(_) => driver.too(|other| other.cuStreamDestroy_v2(stream)),
            _ => Err(Code::INVALID_HANDLE),
        }
    }

    fn cuStreamSynchronize(stream: Handle) {
        done(stream)
    }

    /// What has happened here already is waited for on the other driver.
    fn cuStreamQuery(stream: Handle) {
        done(stream)
    }

    fn cuStreamWaitEvent(stream: Handle, event: Handle, flags: c_uint) {
        done(stream)?;
        let driver = ready()?;
        match driver.objects().get(event)? {
            Object::Event(_) => driver.too(|other| other.cuStreamWaitEvent(stream, event, flags)),
            _ => Err(Code::INVALID_HANDLE),
        }
    }
}

fn create(stream: Out<Handle>, flags: c_uint, priority: c_int) -> Result<(), Code> {
    let driver = ready()?;
    driver.current()?;
    let make = |other: &Beside, stream| other.cuStreamCreateWithPriority(stream, flags, priority);
    stream.put(driver.add(Object::Stream(Stream::default()), make)?)
}

fn done(stream: Handle) -> Result<(), Code> {
    let driver = ready()?;
    driver.current()?.0.wait();
    match driver.objects().captured(stream)? {
        Some(_) if !is_default(stream) => Err(Code::STREAM_CAPTURE_UNSUPPORTED),
        _ => driver.too(|other| other.cuStreamSynchronize(stream)),
    }
}
