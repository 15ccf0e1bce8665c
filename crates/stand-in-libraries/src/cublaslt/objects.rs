//! What handles stand for. A handle is a number, never an address, so that a wrong one is an error and nothing worse.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::format::Format;
use super::{INVALID_VALUE, Status};

/// How two factors are multiplied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    pub(super) compute: i32,
    pub(super) scale: Format,
    pub(super) transposed: [bool; 2],
}

/// A matrix by columns, each some elements after the one before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Layout {
    pub(super) format: Format,
    pub(super) rows: u64,
    pub(super) columns: u64,
    pub(super) between: u64,
}

impl Layout {
    /// Bytes from the first element to the last.
    pub(super) fn bytes(&self) -> usize {
        (self.between * (self.columns - 1) + self.rows) as usize * self.format.bytes()
    }

    /// The values of its columns, or of its rows.
    pub(super) fn vectors(&self, bytes: &[u8], columns: bool) -> Vec<Vec<f64>> {
        let element = |row: u64, column: u64| self.format.read(bytes, (row + column * self.between) as usize);
        if columns {
            return (0..self.columns).map(|column| (0..self.rows).map(|row| element(row, column)).collect()).collect();
        }
        (0..self.rows).map(|row| (0..self.columns).map(|column| element(row, column)).collect()).collect()
    }
}

/// What a handle stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Object {
    Library,
    Operation(Operation),
    Layout(Layout),
    Preference { workspace: u64 },
}

#[derive(Default)]
struct Objects {
    all: HashMap<usize, Object>,
    made: usize,
}

fn objects() -> MutexGuard<'static, Objects> {
    static OBJECTS: OnceLock<Mutex<Objects>> = OnceLock::new();
    OBJECTS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives something a handle.
pub(super) fn add(object: Object) -> usize {
    let mut objects = objects();
    objects.made += 1;
    let handle = 0x1000 + 0x10 * objects.made;
    objects.all.insert(handle, object);
    handle
}

/// What a handle stands for.
pub(super) fn get(handle: usize) -> Result<Object, Status> {
    objects().all.get(&handle).copied().ok_or(INVALID_VALUE)
}

/// Changes what a handle stands for.
pub(super) fn with(handle: usize, change: impl FnOnce(&mut Object) -> Result<(), Status>) -> Result<(), Status> {
    change(objects().all.get_mut(&handle).ok_or(INVALID_VALUE)?)
}

/// Takes a handle back.
pub(super) fn remove(handle: usize) -> Result<(), Status> {
    objects().all.remove(&handle).map(|_| ()).ok_or(INVALID_VALUE)
}
