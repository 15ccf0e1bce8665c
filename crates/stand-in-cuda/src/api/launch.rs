//! Launches and how many blocks fit.

use std::ffi::{c_int, c_uint, c_void};

use crate::api::module::registers;
use crate::beside::After;
use crate::code::Code;
use crate::device::blocks_at_once;
use crate::driver::{Driver, ready};
use crate::objects::{Handle, Node, Work};
use crate::pointer::{HostFunction, In, Out, Parameters};

/// What a launch looks like (`CUlaunchConfig`).
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Config {
    grid: [c_uint; 3],
    block: [c_uint; 3],
    shared_bytes: c_uint,
    stream: Handle,
    attributes: *const c_void,
    attribute_count: c_uint,
}

entries! {
    fn cuLaunchKernel(
        function: Handle,
        grid_x: c_uint,
        grid_y: c_uint,
        grid_z: c_uint,
        block_x: c_uint,
        block_y: c_uint,
        block_z: c_uint,
        shared_bytes: c_uint,
        stream: Handle,
        parameters: Parameters,
        extra: *const c_void,
    ) {
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        launch(function, grid, block, shared_bytes, stream, parameters, extra)
    }

    /// Such a function must not call the driver; those of stand-ins for libraries do, because they have no kernels. Another driver would not take that.
    fn cuLaunchHostFunc(stream: Handle, function: Option<extern "C" fn(usize)>, data: usize) {
        let driver = ready()?;
        driver.current()?;
        let function = HostFunction { function: function.ok_or(Code::INVALID_VALUE)?, data };
        if driver.beside.is_some() {
            return Err(Code::NOT_SUPPORTED);
        }
        let mut objects = driver.objects();
        if let Some(captured) = objects.captured(stream)? {
            captured.push(Node::Call(function));
            return Ok(());
        }
        drop(objects);
        function.call();
        Ok(())
    }

    /// Without attributes: there are no clusters here.
    fn cuLaunchKernelEx(config: In<Config>, function: Handle, parameters: Parameters, extra: *const c_void) {
        let config = config.value()?;
        if config.attribute_count > 0 {
            return Err(Code::NOT_SUPPORTED);
        }
        launch(function, config.grid, config.block, config.shared_bytes, config.stream, parameters, extra)
    }

    fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
        blocks: Out<c_int>,
        function: Handle,
        threads: c_int,
        shared_bytes: usize,
    ) {
        blocks.put(fitting(ready()?, function, threads, shared_bytes)?)
    }

    fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        blocks: Out<c_int>,
        function: Handle,
        threads: c_int,
        shared_bytes: usize,
        _flags: c_uint,
    ) {
        blocks.put(fitting(ready()?, function, threads, shared_bytes)?)
    }
}

fn launch(
    function: Handle,
    grid: [u32; 3],
    block: [u32; 3],
    dynamic_shared: u32,
    stream: Handle,
    parameters: Parameters,
    extra: *const c_void,
) -> Result<(), Code> {
    let driver = ready()?;
    let (device, _) = driver.current()?;
    if !extra.is_null() {
        return Err(Code::NOT_SUPPORTED);
    }
    let handle = function;
    let function = driver.objects().function(handle)?;
    let work = Work { handle, grid, block, dynamic_shared, parameters: pack(driver, &function, parameters)?, function };
    driver.check(&work)?;
    driver.too(|other| other.launch(&work, stream, parameters))?;
    let mut objects = driver.objects();
    if let Some(captured) = objects.captured(stream)? {
        captured.push(Node::Launch(work));
        return Ok(());
    }
    drop(objects);
    let fault = driver.run(&work)?;
    driver.compare(device, &After::Launches(&[work], fault));
    Ok(())
}

/// The parameters of a function as one piece.
fn pack(driver: &Driver, function: &crate::objects::Function, parameters: Parameters) -> Result<Vec<u8>, Code> {
    let kernel = function.module.loaded.kernel(&function.name).ok_or(Code::INVALID_HANDLE)?;
    let mut packed = vec![0; kernel.parameter_bytes() as usize];
    for (index, parameter) in kernel.parameters().iter().enumerate() {
        let (start, bytes) = (parameter.offset as usize, parameter.bytes as usize);
        packed[start..start + bytes].copy_from_slice(&driver.own_parameter(parameters.value(index, bytes)?));
    }
    Ok(packed)
}

fn fitting(driver: &Driver, function: Handle, threads: c_int, shared_bytes: usize) -> Result<c_int, Code> {
    driver.current()?;
    let function = driver.objects().function(function)?;
    let kernel = function.module.loaded.kernel(&function.name).ok_or(Code::INVALID_HANDLE)?;
    let threads = u32::try_from(threads).ok().filter(|threads| *threads > 0).ok_or(Code::INVALID_VALUE)?;
    if threads > kernel.max_threads().unwrap_or(1024).min(1024) {
        return Ok(0);
    }
    let shared = u64::from(kernel.shared_bytes()).saturating_add(shared_bytes as u64);
    Ok(blocks_at_once(threads, registers(kernel.registers()), shared) as c_int)
}
