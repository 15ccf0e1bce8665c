//! Devices and what is known of them.

use std::ffi::{c_char, c_int};

use crate::code::Code;
use crate::device::attribute;
use crate::driver::ready;
use crate::pointer::Out;

/// A device's number that no other device has.
type Uuid = [u8; 16];

entries! {
    fn cuDeviceGetCount(count: Out<c_int>) {
        count.put(ready()?.devices.len() as c_int)
    }

    fn cuDeviceGet(device: Out<c_int>, number: c_int) {
        ready()?.device(number)?;
        device.put(number)
    }

    fn cuDeviceGetName(name: Out<c_char>, room: c_int, device: c_int) {
        let driver = ready()?;
        driver.device(device)?;
        name.put_text(&driver.knobs.name, usize::try_from(room).unwrap_or(0))
    }

    fn cuDeviceGetUuid(uuid: Out<Uuid>, device: c_int) {
        uuid.put(uuid_of(device)?)
    }

    fn cuDeviceGetUuid_v2(uuid: Out<Uuid>, device: c_int) {
        uuid.put(uuid_of(device)?)
    }

    fn cuDeviceTotalMem_v2(bytes: Out<usize>, device: c_int) {
        let capacity = ready()?.device(device)?.memory.capacity();
        bytes.put(usize::try_from(capacity).map_err(|_| Code::INVALID_VALUE)?)
    }

    fn cuDeviceGetAttribute(value: Out<c_int>, number: c_int, device: c_int) {
        let driver = ready()?;
        driver.device(device)?;
        value.put(attribute(&driver.knobs, number, device as u32))
    }

    fn cuDeviceGetPCIBusId(text: Out<c_char>, room: c_int, device: c_int) {
        ready()?.device(device)?;
        text.put_text(&format!("0000:{:02X}:00.0", device + 1), usize::try_from(room).unwrap_or(0))
    }

    fn cuDeviceCanAccessPeer(can: Out<c_int>, device: c_int, other: c_int) {
        let driver = ready()?;
        driver.device(device)?;
        driver.device(other)?;
        can.put(c_int::from(driver.knobs.peers && device != other))
    }
}

fn uuid_of(device: c_int) -> Result<Uuid, Code> {
    ready()?.device(device)?;
    let mut uuid = *b"stand-in device ";
    uuid[15] = device as u8;
    Ok(uuid)
}
