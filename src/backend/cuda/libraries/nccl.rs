//! NCCL: NVIDIA's collective operations. Its functions, and the communicators of all devices of a group in this process.
//!
//! Names, numbers and types are those of `nccl.h`; they are the same in all versions from 2.7 on.

use std::ffi::{CStr, c_char, c_int};
use std::rc::Rc;

use cudarc::driver::sys::CUstream;

use super::super::context::Context;
use super::{Loaded, Wanted, load, look_up};
use crate::backend::{BackendError, LibraryFolders};

const WANTED: Wanted = Wanted { stem: "nccl", majors: &[2] };
/// The first version in which devices send to one another.
const FIRST: (u32, u32) = (2, 7);

/// What a call came to (`ncclResult_t`).
type Status = u32;
/// Objects of the library's.
type Raw = *mut std::ffi::c_void;

const SUCCESS: Status = 0;
/// 32-bit floats (`ncclDataType_t`) and their sum (`ncclRedOp_t`).
const FLOAT32: c_int = 7;
const SUM: c_int = 0;

functions! {
    version = ncclGetVersion(*mut c_int) -> Status;
    say = ncclGetErrorString(Status) -> *const c_char;
    create = ncclCommInitAll(*mut Raw, c_int, *const c_int) -> Status;
    destroy = ncclCommDestroy(Raw) -> Status;
    begin = ncclGroupStart() -> Status;
    end = ncclGroupEnd() -> Status;
    all_reduce = ncclAllReduce(u64, u64, usize, c_int, c_int, Raw, CUstream) -> Status;
    all_gather = ncclAllGather(u64, u64, usize, c_int, Raw, CUstream) -> Status;
    reduce_scatter = ncclReduceScatter(u64, u64, usize, c_int, c_int, Raw, CUstream) -> Status;
    send = ncclSend(u64, usize, c_int, c_int, Raw, CUstream) -> Status;
    receive = ncclRecv(u64, usize, c_int, c_int, Raw, CUstream) -> Status;
}

/// Looks for the library.
pub(in crate::backend::cuda) fn find(folders: &LibraryFolders) -> Result<Loaded<Functions>, String> {
    load(&WANTED, folders, Functions::find, |functions| {
        let mut number = 0;
        // SAFETY: the pointer is to a local that outlives the call.
        let status = unsafe { (functions.version)(&raw mut number) };
        if status != SUCCESS {
            return Err(format!("does not tell its version: {}", functions.said(status)));
        }
        let (version, text) = version(number);
        if version < FIRST || version.0 > WANTED.majors[0] {
            return Err(format!("is version {text}, which this rooflab does not know"));
        }
        Ok(text)
    })
}

/// A version by its number: 22703 is 2.27.3. Up to 2.8 it was counted in thousands: 2708 is 2.7.8.
fn version(number: c_int) -> ((u32, u32), String) {
    let number = u32::try_from(number).unwrap_or(0);
    let of_major = if number < 10_000 { 1_000 } else { 10_000 };
    let (major, minor) = (number / of_major, number % of_major / 100);
    ((major, minor), format!("{major}.{minor}.{}", number % 100))
}

impl Functions {
    /// The library's own words for a status.
    fn said(&self, status: Status) -> String {
        // SAFETY: takes a number.
        let text = unsafe { (self.say)(status) };
        if text.is_null() {
            return format!("status {status}");
        }
        // SAFETY: the library gives a text that ends with 0 and is never freed.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
        format!("{text} ({status})")
    }

    fn check(&self, status: Status, what: &str) -> Result<(), BackendError> {
        if status == SUCCESS {
            return Ok(());
        }
        Err(BackendError::System(format!("NCCL {what}: {}", self.said(status))))
    }
}

/// What one device does of an operation: from its buffer, to its buffer, so many 32-bit floats.
#[derive(Clone, Copy, Debug)]
pub(in crate::backend::cuda) struct Part {
    pub(in crate::backend::cuda) send: u64,
    pub(in crate::backend::cuda) receive: u64,
    pub(in crate::backend::cuda) count: u64,
    pub(in crate::backend::cuda) stream: CUstream,
}

/// An operation. What a count is of, is the library's convention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backend::cuda) enum Operation {
    /// Of what each device has and gets.
    AllReduce,
    /// Of what each device brings.
    AllGather,
    /// Of what each device gets.
    ReduceScatter,
    /// Of what each device sends to each.
    AllToAll,
}

/// Devices of this process that take part in operations together, each by its place in the group.
pub(in crate::backend::cuda) struct Communicators {
    functions: Functions,
    pub(in crate::backend::cuda) version: String,
    members: Vec<(Raw, Rc<Context>)>,
}

impl Drop for Communicators {
    fn drop(&mut self) {
        for (raw, context) in &self.members {
            // SAFETY: the library gave it, and it is given back once.
            context.give_back(|| unsafe { (self.functions.destroy)(*raw) });
        }
    }
}

impl Communicators {
    /// Brings devices together, each with its number among the driver's and its context.
    pub(in crate::backend::cuda) fn new(
        loaded: &Loaded<Functions>,
        devices: Vec<(usize, Rc<Context>)>,
    ) -> Result<Self, BackendError> {
        let functions = loaded.functions;
        let numbers: Vec<c_int> =
            devices.iter().map(|(index, _)| c_int::try_from(*index).unwrap_or(c_int::MAX)).collect();
        let count = c_int::try_from(numbers.len()).unwrap_or(0);
        let mut raw = vec![std::ptr::null_mut(); numbers.len()];
        // SAFETY: both lists have as many entries as are counted, and outlive the call.
        let status = unsafe { (functions.create)(raw.as_mut_ptr(), count, numbers.as_ptr()) };
        functions.check(status, "cannot bring the devices together")?;
        let members = raw.into_iter().zip(devices).map(|(raw, (_, context))| (raw, context)).collect();
        Ok(Self { functions, version: loaded.version.clone(), members })
    }

    /// Enqueues an operation, of which each device does its part.
    pub(in crate::backend::cuda) fn run(&self, operation: Operation, parts: &[Part]) -> Result<(), BackendError> {
        let functions = &self.functions;
        // SAFETY: takes nothing.
        functions.check(unsafe { (functions.begin)() }, "begins no group of calls")?;
        let asked =
            self.members.iter().zip(parts).try_for_each(|((raw, _), part)| {
                functions.check(self.ask(operation, *raw, part), "refuses the operation")
            });
        // A group that was begun is ended, also where a call in it was refused.
        // SAFETY: a group was begun on this thread.
        let ended = functions.check(unsafe { (functions.end)() }, "fails at the operation");
        asked.and(ended)
    }

    /// Asks for a device's part.
    fn ask(&self, operation: Operation, raw: Raw, part: &Part) -> Status {
        let Part { send, receive, count, stream } = *part;
        let Ok(floats) = usize::try_from(count) else { return Status::MAX };
        let functions = &self.functions;
        match operation {
            // SAFETY: communicator and stream are alive and of one device; the addresses are of buffers of that device with as many floats as the operation's convention asks for, which
            // live until the stream was waited for.
            Operation::AllReduce => unsafe { (functions.all_reduce)(send, receive, floats, FLOAT32, SUM, raw, stream) },
            // SAFETY: as above.
            Operation::AllGather => unsafe { (functions.all_gather)(send, receive, floats, FLOAT32, raw, stream) },
            // SAFETY: as above.
            Operation::ReduceScatter => unsafe {
                (functions.reduce_scatter)(send, receive, floats, FLOAT32, SUM, raw, stream)
            },
            Operation::AllToAll => {
                for peer in 0..self.members.len() {
                    let start = 4 * count * peer as u64;
                    let number = c_int::try_from(peer).unwrap_or(c_int::MAX);
                    // SAFETY: as above; the buffers have as many floats for each member of the group.
                    let sent = unsafe { (functions.send)(send + start, floats, FLOAT32, number, raw, stream) };
                    // SAFETY: as above.
                    let received =
                        unsafe { (functions.receive)(receive + start, floats, FLOAT32, number, raw, stream) };
                    if sent.max(received) != SUCCESS {
                        return sent.max(received);
                    }
                }
                SUCCESS
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_by_their_length() {
        assert_eq!(version(2708), ((2, 7), "2.7.8".to_owned()));
        assert_eq!(version(22_703), ((2, 27), "2.27.3".to_owned()));
        assert!(version(2604).0 < FIRST && version(-1).0 < FIRST);
    }
}
