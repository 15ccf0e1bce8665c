//! Streams: everything happens at once, so that there is nothing to wait for.

use std::ffi::{c_int, c_uint};

use crate::code::Code;
use crate::driver::ready;
use crate::objects::{Handle, Object, Stream, is_default};
use crate::pointer::Out;

entries! {
    fn cuStreamCreate(stream: Out<Handle>, _flags: c_uint) {
        create(stream)
    }

    fn cuStreamCreateWithPriority(stream: Out<Handle>, _flags: c_uint, _priority: c_int) {
        create(stream)
    }

    fn cuStreamDestroy_v2(stream: Handle) {
        match ready()?.objects().remove(stream)? {
            Object::Stream(_) => Ok(()),
            _ => Err(Code::INVALID_HANDLE),
        }
    }

    fn cuStreamSynchronize(stream: Handle) {
        done(stream)
    }

    fn cuStreamQuery(stream: Handle) {
        done(stream)
    }

    fn cuStreamWaitEvent(stream: Handle, event: Handle, _flags: c_uint) {
        done(stream)?;
        match ready()?.objects().get(event)? {
            Object::Event(_) => Ok(()),
            _ => Err(Code::INVALID_HANDLE),
        }
    }
}

fn create(stream: Out<Handle>) -> Result<(), Code> {
    let driver = ready()?;
    driver.current()?;
    let handle = driver.objects().insert(Object::Stream(Stream::default()));
    stream.put(handle)
}

fn done(stream: Handle) -> Result<(), Code> {
    let driver = ready()?;
    driver.current()?.0.wait();
    match driver.objects().captured(stream)? {
        Some(_) if !is_default(stream) => Err(Code::STREAM_CAPTURE_UNSUPPORTED),
        _ => Ok(()),
    }
}
