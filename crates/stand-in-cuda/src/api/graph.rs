//! Graphs: launches that were captured, and are launched together.

use std::ffi::{c_int, c_ulonglong};
use std::sync::Arc;

use crate::code::Code;
use crate::driver::ready;
use crate::objects::{Handle, Object};
use crate::pointer::Out;

entries! {
    fn cuStreamBeginCapture_v2(stream: Handle, _mode: c_int) {
        let driver = ready()?;
        driver.current()?;
        match driver.objects().get_mut(stream)? {
            Object::Stream(stream) if stream.captured.is_none() => {
                stream.captured = Some(Vec::new());
                Ok(())
            }
            _ => Err(Code::INVALID_VALUE),
        }
    }

    fn cuStreamEndCapture(stream: Handle, graph: Out<Handle>) {
        let driver = ready()?;
        driver.current()?;
        let mut objects = driver.objects();
        let Object::Stream(stream) = objects.get_mut(stream)? else { return Err(Code::INVALID_HANDLE) };
        let captured = stream.captured.take().ok_or(Code::INVALID_VALUE)?;
        graph.put(objects.insert(Object::Graph(Arc::new(captured))))
    }

    fn cuStreamIsCapturing(stream: Handle, status: Out<c_int>) {
        let is_captured = ready()?.objects().captured(stream)?.is_some();
        status.put(c_int::from(is_captured))
    }

    fn cuGraphInstantiateWithFlags(executable: Out<Handle>, graph: Handle, _flags: c_ulonglong) {
        let driver = ready()?;
        driver.current()?;
        let mut objects = driver.objects();
        let Object::Graph(work) = objects.get(graph)? else { return Err(Code::INVALID_HANDLE) };
        let work = Arc::clone(work);
        executable.put(objects.insert(Object::Executable(work)))
    }

    fn cuGraphUpload(executable: Handle, _stream: Handle) {
        match ready()?.objects().get(executable)? {
            Object::Executable(_) => Ok(()),
            _ => Err(Code::INVALID_HANDLE),
        }
    }

    fn cuGraphLaunch(executable: Handle, _stream: Handle) {
        let driver = ready()?;
        driver.current()?;
        let work = match driver.objects().get(executable)? {
            Object::Executable(work) => Arc::clone(work),
            _ => return Err(Code::INVALID_HANDLE),
        };
        // A launch that fails says so to whoever calls next, as it does alone.
        for work in work.iter() {
            if driver.run(work).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn cuGraphDestroy(graph: Handle) {
        match ready()?.objects().remove(graph)? {
            Object::Graph(_) => Ok(()),
            _ => Err(Code::INVALID_HANDLE),
        }
    }

    fn cuGraphExecDestroy(executable: Handle) {
        match ready()?.objects().remove(executable)? {
            Object::Executable(_) => Ok(()),
            _ => Err(Code::INVALID_HANDLE),
        }
    }
}
