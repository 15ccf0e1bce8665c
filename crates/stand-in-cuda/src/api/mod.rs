//! The functions of the interface.

mod context;
mod device;
mod error;
mod event;
mod graph;
mod init;
mod launch;
mod memory;
mod module;
mod stream;
mod tensor;

use std::ffi::c_void;

pub(crate) use module::{ERROR_LOG, ERROR_LOG_BYTES};
pub(crate) use tensor::Map;

/// A function by its name.
pub(crate) fn find(name: &str) -> Option<*const c_void> {
    let rooms = [
        context::find,
        device::find,
        error::find,
        event::find,
        graph::find,
        init::find,
        launch::find,
        memory::find,
        module::find,
        stream::find,
        tensor::find,
    ];
    rooms.iter().find_map(|find| find(name))
}
