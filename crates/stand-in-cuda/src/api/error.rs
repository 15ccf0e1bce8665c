//! Errors in words.

use std::ffi::{CStr, c_char};

use crate::code::Code;
use crate::pointer::Out;

entries! {
    fn cuGetErrorName(code: Code, text: Out<*const c_char>) {
        put(code.name(), text)
    }

    fn cuGetErrorString(code: Code, text: Out<*const c_char>) {
        put(code.says(), text)
    }
}

fn put(found: Option<&'static CStr>, text: Out<*const c_char>) -> Result<(), Code> {
    text.put(found.map_or(std::ptr::null(), CStr::as_ptr))?;
    found.map(|_| ()).ok_or(Code::INVALID_VALUE)
}
