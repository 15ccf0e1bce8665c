//! How functions of the interface are declared: exported under their names, never unwinding into the caller.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::code::Code;

/// Runs a function's body. A panic is an unknown error.
pub(crate) fn guarded(body: impl FnOnce() -> Result<(), Code>) -> Code {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => Code::SUCCESS,
        Ok(Err(code)) => code,
        Err(_) => Code::UNKNOWN,
    }
}

/// Declares functions of the interface, and the table in which `cuGetProcAddress` finds them.
macro_rules! entries {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block)*) => {
        $(
            $(#[$doc])*
            #[unsafe(no_mangle)]
            pub(crate) extern "C" fn $name($($argument: $type),*) -> crate::code::Code {
                crate::entry::guarded(|| $body)
            }
        )*
        /// The functions of this file by their names.
        pub(super) fn find(name: &str) -> Option<*const std::ffi::c_void> {
            $(if name == stringify!($name) {
                return Some($name as *const std::ffi::c_void);
            })*
            None
        }
    };
}
