//! Pointers of callers. This is where they are followed: every function of the interface takes these types, and whoever calls
//! it promises that they point to what the documentation of CUDA says, or nowhere.

use std::ffi::{CStr, c_char, c_void};

use crate::code::Code;

/// Where a result goes.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Out<T>(pub(crate) *mut T);

impl<T> Out<T> {
    /// Writes a result.
    pub(crate) fn put(self, value: T) -> Result<(), Code> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: the caller of the interface gave a pointer to a place for a value of this type, and it is not null.
        unsafe { self.0.write(value) };
        Ok(())
    }

    /// What lies there now.
    pub(crate) fn get(self) -> Result<T, Code>
    where
        T: Copy,
    {
        In(self.0.cast_const()).value()
    }

    /// Writes a result if it is wanted.
    pub(crate) fn put_if_wanted(self, value: T) {
        // Only a null pointer is refused, which here says that nothing is wanted.
        let _ = self.put(value);
    }
}

impl Out<c_char> {
    /// Writes a text and a zero behind it, as much as there is room for.
    pub(crate) fn put_text(self, text: &str, room: usize) -> Result<(), Code> {
        let Some(most) = room.checked_sub(1) else { return Err(Code::INVALID_VALUE) };
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        let count = text.len().min(most);
        // SAFETY: the caller gave a buffer of `room` bytes, and at most so many are written, the zero included.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr().cast(), self.0, count);
            self.0.add(count).write(0);
        }
        Ok(())
    }
}

/// Values that the caller has.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct In<T>(pub(crate) *const T);

impl<T> In<T> {
    /// So many values.
    pub(crate) fn values<'a>(self, count: usize) -> Result<&'a [T], Code> {
        if count == 0 {
            return Ok(&[]);
        }
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: the caller gave a pointer to so many values, which nobody changes during the call.
        Ok(unsafe { std::slice::from_raw_parts(self.0, count) })
    }

    /// One value.
    pub(crate) fn value(self) -> Result<T, Code>
    where
        T: Copy,
    {
        Ok(self.values(1)?[0])
    }
}

impl In<c_char> {
    /// A text that ends with a zero.
    pub(crate) fn text(self) -> Result<String, Code> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: the caller gave a text that ends with a zero.
        Ok(unsafe { CStr::from_ptr(self.0) }.to_string_lossy().into_owned())
    }
}

/// Memory of the host that is written.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct HostBuffer(pub(crate) *mut u8);

impl HostBuffer {
    /// So many bytes of it.
    pub(crate) fn bytes<'a>(self, count: usize) -> Result<&'a mut [u8], Code> {
        if count == 0 {
            return Ok(&mut []);
        }
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: the caller gave so many bytes to be written, which nobody else uses during the call.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.0, count) })
    }
}

/// A function of the caller's, and what it is called with.
#[derive(Clone, Copy)]
pub(crate) struct HostFunction {
    pub(crate) function: extern "C" fn(usize),
    pub(crate) data: usize,
}

impl HostFunction {
    pub(crate) fn call(self) {
        (self.function)(self.data);
    }
}

/// The parameters of a launch: a pointer to each value.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Parameters(pub(crate) *const *const c_void);

impl Parameters {
    /// The bytes of one of them.
    pub(crate) fn value<'a>(self, index: usize, bytes: usize) -> Result<&'a [u8], Code> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: the caller gave a pointer for each parameter of the kernel.
        let value = unsafe { *self.0.add(index) };
        In(value.cast::<u8>()).values(bytes)
    }
}
