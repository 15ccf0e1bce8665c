//! Start, version, and functions by name.

use std::ffi::{c_char, c_int, c_uint, c_void};

use crate::code::Code;
use crate::driver::driver;
use crate::pointer::{In, Out};

entries! {
    /// Makes the driver ready, or answers what it was told to.
    fn cuInit(_flags: c_uint) {
        let driver = driver()?;
        if !driver.knobs.hang.is_zero() {
            std::thread::sleep(driver.knobs.hang);
        }
        match driver.knobs.init {
            Code::SUCCESS if driver.devices.is_empty() => Err(Code::NO_DEVICE),
            Code::SUCCESS => {
                driver.initialise();
                Ok(())
            }
            code => Err(code),
        }
    }

    /// The newest CUDA that the driver understands. It may be asked for before `cuInit`.
    fn cuDriverGetVersion(version: Out<c_int>) {
        version.put(driver()?.knobs.driver as c_int)
    }

    /// A function by its name, without a suffix for its version.
    fn cuGetProcAddress(name: In<c_char>, function: Out<*const c_void>, _version: c_int, _flags: u64) {
        look_up(&name.text()?, function).map(|_| ())
    }

    /// A function by its name, without a suffix for its version.
    fn cuGetProcAddress_v2(
        name: In<c_char>,
        function: Out<*const c_void>,
        _version: c_int,
        _flags: u64,
        status: Out<c_int>,
    ) {
        const SYMBOL_NOT_FOUND: c_int = 1;
        let found = look_up(&name.text()?, function);
        status.put_if_wanted(if found.is_ok() { 0 } else { SYMBOL_NOT_FOUND });
        found
    }
}

/// Functions whose arguments once changed are exported with a suffix.
fn look_up(name: &str, function: Out<*const c_void>) -> Result<(), Code> {
    let found = super::find(&format!("{name}_v2")).or_else(|| super::find(name));
    function.put(found.unwrap_or(std::ptr::null()))?;
    found.map(|_| ()).ok_or(Code::NOT_FOUND)
}
