//! Memory of devices and pinned memory of the host.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ffi::c_uint;

use ptx_interpreter::MemoryError;

use crate::beside::{After, Beside};
use crate::code::Code;
use crate::device::Device;
use crate::driver::{Driver, ready};
use crate::objects::{Handle, Object};
use crate::pointer::{HostBuffer, In, Out};

impl From<MemoryError> for Code {
    fn from(error: MemoryError) -> Self {
        match error {
            MemoryError::Full { .. } => Self::OUT_OF_MEMORY,
            MemoryError::NotAllocated { .. } | MemoryError::Unusable { .. } => Self::INVALID_VALUE,
        }
    }
}

/// What pinned memory is aligned to.
const PAGE: usize = 4096;

entries! {
    fn cuMemAlloc_v2(address: Out<u64>, bytes: usize) {
        if bytes == 0 {
            return Err(Code::INVALID_VALUE);
        }
        let driver = ready()?;
        let memory = &driver.current()?.0.memory;
        address.put(match &driver.beside {
            Some(other) => other.allocate(memory, bytes as u64)?,
            None => memory.allocate(bytes as u64)?,
        })
    }

    fn cuMemFree_v2(address: u64) {
        if address == 0 {
            return Ok(());
        }
        let driver = ready()?;
        let (device, _) = driver.current()?;
        device.wait();
        device.memory.free(address)?;
        driver.too(|other| other.free(address))
    }

    fn cuMemGetInfo_v2(free: Out<usize>, total: Out<usize>) {
        let memory = &ready()?.current()?.0.memory;
        free.put(memory.free_bytes() as usize)?;
        total.put(memory.capacity() as usize)
    }

    fn cuMemcpyHtoD_v2(to: u64, from: In<u8>, bytes: usize) {
        to_device(Handle(0), to, from, bytes)
    }

    fn cuMemcpyHtoDAsync_v2(to: u64, from: In<u8>, bytes: usize, stream: Handle) {
        to_device(stream, to, from, bytes)
    }

    fn cuMemcpyDtoH_v2(to: HostBuffer, from: u64, bytes: usize) {
        to_host(Handle(0), to, from, bytes)
    }

    fn cuMemcpyDtoHAsync_v2(to: HostBuffer, from: u64, bytes: usize, stream: Handle) {
        to_host(stream, to, from, bytes)
    }

    fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) {
        within(Handle(0), to, from, bytes)
    }

    fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle) {
        within(stream, to, from, bytes)
    }

    fn cuMemcpyPeer(to: u64, to_context: Handle, from: u64, from_context: Handle, bytes: usize) {
        between(Handle(0), (to, to_context), (from, from_context), bytes)
    }

    fn cuMemcpyPeerAsync(
        to: u64,
        to_context: Handle,
        from: u64,
        from_context: Handle,
        bytes: usize,
        stream: Handle,
    ) {
        between(stream, (to, to_context), (from, from_context), bytes)
    }

    fn cuMemsetD8_v2(to: u64, byte: u8, count: usize) {
        fill(Handle(0), to, byte, count)
    }

    fn cuMemsetD8Async(to: u64, byte: u8, count: usize, stream: Handle) {
        fill(stream, to, byte, count)
    }

    fn cuMemsetD32_v2(to: u64, word: u32, count: usize) {
        fill_words(Handle(0), to, word, count)
    }

    fn cuMemsetD32Async(to: u64, word: u32, count: usize, stream: Handle) {
        fill_words(stream, to, word, count)
    }

    fn cuMemHostAlloc(memory: Out<*mut u8>, bytes: usize, flags: c_uint) {
        allocate_host(memory, bytes, flags)
    }

    fn cuMemAllocHost_v2(memory: Out<*mut u8>, bytes: usize) {
        allocate_host(memory, bytes, 0)
    }

    fn cuMemFreeHost(memory: HostBuffer) {
        let driver = ready()?;
        driver.current()?.0.wait();
        let object = driver.objects().remove(Handle(memory.0 as usize)).map_err(|_| Code::INVALID_VALUE)?;
        let Object::Host(layout) = object else { return Err(Code::INVALID_VALUE) };
        let Some(layout) = layout else { return driver.too(|other| other.cuMemFreeHost(memory)) };
        // SAFETY: the table says that the memory was allocated here with this layout, and it is not in the table any more.
        unsafe { dealloc(memory.0, layout) };
        Ok(())
    }
}

/// Copies and fills cannot be captured here.
fn not_captured(driver: &Driver, stream: Handle) -> Result<(), Code> {
    match driver.objects().captured(stream)? {
        None => Ok(()),
        Some(_) => Err(Code::STREAM_CAPTURE_UNSUPPORTED),
    }
}

/// Makes the same change on the other driver, waits for it, and compares what was changed.
fn changed(
    driver: &Driver,
    device: &Device,
    (call, stream): (&'static str, Handle),
    (to, bytes): (u64, u64),
    same: impl FnOnce(&Beside) -> Result<(), Code>,
) -> Result<(), Code> {
    device.pass_copy(bytes);
    driver.too(|other| {
        same(other)?;
        other.cuStreamSynchronize(stream)
    })?;
    driver.compare(device, &After::Call(call, to..to + bytes));
    Ok(())
}

fn to_device(stream: Handle, to: u64, from: In<u8>, bytes: usize) -> Result<(), Code> {
    let driver = ready()?;
    let (device, _) = driver.current()?;
    not_captured(driver, stream)?;
    // The memory is not pinned.
    device.wait();
    device.memory.write(to, from.values(bytes)?)?;
    changed(driver, device, ("cuMemcpyHtoD", stream), (to, bytes as u64), |other| {
        other.cuMemcpyHtoDAsync_v2(to, from, bytes, stream)
    })
}

/// The caller gets what the other driver copies, if there is one.
fn to_host(stream: Handle, to: HostBuffer, from: u64, bytes: usize) -> Result<(), Code> {
    let driver = ready()?;
    let (device, _) = driver.current()?;
    not_captured(driver, stream)?;
    device.wait();
    device.memory.read(from, to.bytes(bytes)?)?;
    device.pass_copy(bytes as u64);
    driver.too(|other| {
        let ours = to.bytes(bytes)?.to_vec();
        other.cuMemcpyDtoHAsync_v2(to, from, bytes, stream)?;
        other.cuStreamSynchronize(stream)?;
        other.compare_host("cuMemcpyDtoH", &ours, to.bytes(bytes)?);
        Ok(())
    })
}

fn within(stream: Handle, to: u64, from: u64, bytes: usize) -> Result<(), Code> {
    let driver = ready()?;
    let (device, _) = driver.current()?;
    not_captured(driver, stream)?;
    device.memory.copy(to, from, bytes as u64)?;
    changed(driver, device, ("cuMemcpyDtoD", stream), (to, bytes as u64), |other| {
        other.cuMemcpyDtoDAsync_v2(to, from, bytes, stream)
    })
}

/// From a device's memory to another's. A stream's copies are no part of what it captures.
fn between(
    stream: Handle,
    (to, to_context): (u64, Handle),
    (from, from_context): (u64, Handle),
    bytes: usize,
) -> Result<(), Code> {
    let driver = ready()?;
    driver.current()?;
    not_captured(driver, stream)?;
    let ((source, _), (target, _)) = (driver.of_context(from_context.0)?, driver.of_context(to_context.0)?);
    let mut content = vec![0; bytes];
    source.memory.read(from, &mut content)?;
    target.memory.write(to, &content)?;
    source.pass_copy(bytes as u64);
    target.pass_copy(bytes as u64);
    Ok(())
}

fn fill(stream: Handle, to: u64, byte: u8, count: usize) -> Result<(), Code> {
    let driver = ready()?;
    let (device, _) = driver.current()?;
    not_captured(driver, stream)?;
    device.memory.fill(to, byte, count as u64)?;
    changed(driver, device, ("cuMemsetD8", stream), (to, count as u64), |other| {
        other.cuMemsetD8Async(to, byte, count, stream)
    })
}

fn fill_words(stream: Handle, to: u64, word: u32, count: usize) -> Result<(), Code> {
    let driver = ready()?;
    let (device, _) = driver.current()?;
    not_captured(driver, stream)?;
    let content = word.to_le_bytes().repeat(count);
    device.memory.write(to, &content)?;
    changed(driver, device, ("cuMemsetD32", stream), (to, content.len() as u64), |other| {
        other.cuMemsetD32Async(to, word, count, stream)
    })
}

fn allocate_host(memory: Out<*mut u8>, bytes: usize, flags: c_uint) -> Result<(), Code> {
    let driver = ready()?;
    driver.current()?;
    if let Some(other) = &driver.beside {
        let mut theirs = std::ptr::null_mut();
        other.cuMemHostAlloc(Out(&raw mut theirs), bytes, flags)?;
        driver.objects().insert_at(Handle(theirs as usize), Object::Host(None));
        return memory.put(theirs);
    }
    let layout = Layout::from_size_align(bytes, PAGE).map_err(|_| Code::INVALID_VALUE)?;
    if bytes == 0 {
        return Err(Code::INVALID_VALUE);
    }
    // SAFETY: the layout is of more than no bytes.
    let allocated = unsafe { alloc_zeroed(layout) };
    if allocated.is_null() {
        return Err(Code::OUT_OF_MEMORY);
    }
    driver.objects().insert_at(Handle(allocated as usize), Object::Host(Some(layout)));
    memory.put(allocated)
}
