//! Graphs: launches that were captured, and are launched together.

use std::ffi::{c_int, c_ulonglong};
use std::sync::Arc;

use crate::beside::{After, Beside};
use crate::code::Code;
use crate::driver::ready;
use crate::objects::{Handle, Node, Object, Work};
use crate::pointer::Out;

/// The first launch of a kernel whose name begins so.
fn first(nodes: &[Node], name: Option<&str>) -> Option<usize> {
    let name = name?;
    nodes.iter().position(|node| node.launch().is_some_and(|work| work.function.name.starts_with(name)))
}

entries! {
    fn cuStreamBeginCapture_v2(stream: Handle, mode: c_int) {
        let driver = ready()?;
        driver.current()?;
        if driver.knobs.capture != Code::SUCCESS {
            return Err(driver.knobs.capture);
        }
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
        let mut captured = match driver.objects().get_mut(stream)? {
            Object::Stream(stream) => stream.captured.take().ok_or(Code::INVALID_VALUE)?,
            _ => return Err(Code::INVALID_HANDLE),
        };
        if let Some(place) = first(&captured, driver.knobs.graph_lacks.as_deref()) {
            captured.remove(place);
        }
        let captured = Object::Graph(Arc::new(captured));
        graph.put(driver.add(captured, |other, graph| other.cuStreamEndCapture(stream, graph))?)
    }

    fn cuStreamIsCapturing(stream: Handle, status: Out<c_int>) {
        let is_captured = ready()?.objects().captured(stream)?.is_some();
        status.put(c_int::from(is_captured))
    }

    /// The number of nodes alone.
    fn cuGraphGetNodes(graph: Handle, nodes: Out<Handle>, count: Out<usize>) {
        let driver = ready()?;
        driver.current()?;
        if !nodes.0.is_null() {
            return Err(Code::NOT_SUPPORTED);
        }
        match driver.objects().get(graph)? {
            Object::Graph(nodes) => count.put(nodes.len()),
            _ => Err(Code::INVALID_HANDLE),
        }
    }

    fn cuGraphInstantiateWithFlags(executable: Out<Handle>, graph: Handle, flags: c_ulonglong) {
        let driver = ready()?;
        driver.current()?;
        let nodes = match driver.objects().get(graph)? {
            Object::Graph(nodes) => Arc::clone(nodes),
            _ => return Err(Code::INVALID_HANDLE),
        };
        let make = |other: &Beside, executable| other.cuGraphInstantiateWithFlags(executable, graph, flags);
        executable.put(driver.add(Object::Executable(nodes), make)?)
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
        let nodes = match driver.objects().get(executable)? {
            Object::Executable(nodes) => Arc::clone(nodes),
            _ => return Err(Code::INVALID_HANDLE),
        };
        driver.too(|other| other.cuGraphLaunch(executable, stream))?;
        let mut fault = None;
        // A launch that fails says so to whoever calls next, as it does alone.
        let skipped = first(&nodes, driver.knobs.graph_skips.as_deref());
        for (_, node) in nodes.iter().enumerate().filter(|(place, _)| Some(*place) != skipped) {
            match node {
                Node::Call(function) => function.call(),
                Node::Launch(work) => match driver.run(work) {
                    Ok(found) => fault = fault.or(found),
                    Err(_) => break,
                },
            }
        }
        if driver.beside.is_some() {
            let launches: Vec<Work> = nodes.iter().filter_map(Node::launch).cloned().collect();
            driver.compare(device, &After::Launches(&launches, fault));
        }
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
