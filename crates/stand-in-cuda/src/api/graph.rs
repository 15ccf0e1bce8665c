//! Graphs: launches that were captured, and are launched together.

use std::ffi::{c_int, c_ulonglong};
use std::sync::Arc;

use crate::beside::{After, Beside};
use crate::code::Code;
use crate::driver::ready;
use crate::objects::{Handle, Object};
use crate::pointer::Out;

entries! {
    fn cuStreamBeginCapture_v2(stream: Handle, mode: c_int) {
        let driver = ready()?;
        driver.current()?;
        match driver.objects().get_mut(stream)? {
            Object::Stream(stream) if stream.captured.is_none() => {
                stream.captured = Some(Vec::new());
            }
            _ => return Err(Code::INVALID_VALUE),
        }
        driver.too(|other| other.cuStreamBeginCapture_v2(stream, mode))
    }

    fn cuStreamEndCapture(stream: Handle, graph: Out<Handle>) {
        let driver = ready()?;
        driver.current()?;
        let captured = match driver.objects().get_mut(stream)? {
            Object::Stream(stream) => stream.captured.take().ok_or(Code::INVALID_VALUE)?,
            _ => return Err(Code::INVALID_HANDLE),
        };
        let captured = Object::Graph(Arc::new(captured));
        graph.put(driver.add(captured, |other, graph| other.cuStreamEndCapture(stream, graph))?)
    }

    fn cuStreamIsCapturing(stream: Handle, status: Out<c_int>) {
        let is_captured = ready()?.objects().captured(stream)?.is_some();
        status.put(c_int::from(is_captured))
    }

    fn cuGraphInstantiateWithFlags(executable: Out<Handle>, graph: Handle, flags: c_ulonglong) {
        let driver = ready()?;
        driver.current()?;
        let work = match driver.objects().get(graph)? {
            Object::Graph(work) => Arc::clone(work),
            _ => return Err(Code::INVALID_HANDLE),
        };
        let make = |other: &Beside, executable| other.cuGraphInstantiateWithFlags(executable, graph, flags);
        executable.put(driver.add(Object::Executable(work), make)?)
    }

    fn cuGraphUpload(executable: Handle, stream: Handle) {
        let driver = ready()?;
        match driver.objects().get(executable)? {
            Object::Executable(_) => driver.too(|other| other.cuGraphUpload(executable, stream)),
            _ => Err(Code::INVALID_HANDLE),
        }
    }

    fn cuGraphLaunch(executable: Handle, stream: Handle) {
        let driver = ready()?;
        let (device, _) = driver.current()?;
        let work = match driver.objects().get(executable)? {
            Object::Executable(work) => Arc::clone(work),
            _ => return Err(Code::INVALID_HANDLE),
        };
        driver.too(|other| other.cuGraphLaunch(executable, stream))?;
        let mut fault = None;
        // A launch that fails says so to whoever calls next, as it does alone.
        for work in work.iter() {
            match driver.run(work) {
                Ok(found) => fault = fault.or(found),
                Err(_) => break,
            }
        }
        driver.compare(device, &After::Launches(&work, fault));
        Ok(())
    }

    fn cuGraphDestroy(graph: Handle) {
        let driver = ready()?;
        match driver.objects().remove(graph)? {
            Object::Graph(_) => driver.too(|other| other.cuGraphDestroy(graph)),
            _ => Err(Code::INVALID_HANDLE),
        }
    }

    fn cuGraphExecDestroy(executable: Handle) {
        let driver = ready()?;
        match driver.objects().remove(executable)? {
            Object::Executable(_) => driver.too(|other| other.cuGraphExecDestroy(executable)),
            _ => Err(Code::INVALID_HANDLE),
        }
    }
}
