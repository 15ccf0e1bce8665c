//! NCCL: the functions that rooflab calls of it, for communicators of one process.
//!
//! What a group of calls asks for is done when the group ends, by copies through the host. Sums are of 32-bit floats.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::driver::Driver;
use crate::{guarded, setting};

/// What a call came to (`ncclResult_t`).
type Status = u32;

const UNHANDLED_CUDA_ERROR: Status = 1;
const INTERNAL_ERROR: Status = 3;
const INVALID_ARGUMENT: Status = 4;
const INVALID_USAGE: Status = 5;

/// 32-bit floats (`ncclDataType_t`), their bytes, and their sum (`ncclRedOp_t`).
const FLOAT32: c_int = 7;
const BYTES: usize = 4;
const SUM: c_int = 0;

/// A device's part in a group of devices.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Member {
    /// The group, its devices, and the member's place among them.
    group: usize,
    of: usize,
    rank: usize,
    device: c_int,
}

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    AllReduce { send: u64, receive: u64, count: usize },
    AllGather { send: u64, receive: u64, count: usize },
    ReduceScatter { send: u64, receive: u64, count: usize },
    Send { from: u64, count: usize, peer: usize },
    Receive { to: u64, count: usize, peer: usize },
}

#[derive(Default)]
struct State {
    members: HashMap<usize, Member>,
    made: usize,
    /// How deep groups of calls are in one another, and what was asked for in them.
    depth: usize,
    asked: Vec<(Member, Call)>,
}

fn state() -> MutexGuard<'static, State> {
    static STATE: OnceLock<Mutex<State>> = OnceLock::new();
    STATE.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

#[unsafe(no_mangle)]
extern "C" fn ncclGetVersion(version: *mut c_int) -> Status {
    guarded(None, INTERNAL_ERROR, || {
        if version.is_null() {
            return Err(INVALID_ARGUMENT);
        }
        // SAFETY: the caller gave a pointer to a place for a number, which is not null.
        unsafe { version.write(setting("STAND_IN_NCCL_VERSION", 22_703) as c_int) };
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn ncclGetErrorString(status: Status) -> *const c_char {
    const TEXTS: [&CStr; 6] = [
        c"no error",
        c"unhandled cuda error",
        c"unhandled system error",
        c"internal error",
        c"invalid argument",
        c"invalid usage",
    ];
    TEXTS.get(status as usize).map_or(c"unknown result code", |text| text).as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn ncclCommInitAll(communicators: *mut usize, count: c_int, devices: *const c_int) -> Status {
    guarded(Some("STAND_IN_NCCL_INIT"), INTERNAL_ERROR, || {
        Driver::get().ok_or(UNHANDLED_CUDA_ERROR)?;
        let of = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(INVALID_ARGUMENT)?;
        if communicators.is_null() || devices.is_null() {
            return Err(INVALID_ARGUMENT);
        }
        let mut state = state();
        let group = state.made;
        for rank in 0..of {
            // SAFETY: the caller gave as many devices as it counts.
            let device = unsafe { devices.add(rank).read() };
            state.made += 1;
            let handle = 0x1000 + 0x10 * state.made;
            state.members.insert(handle, Member { group, of, rank, device });
            // SAFETY: the caller gave room for as many communicators as it counts devices.
            unsafe { communicators.add(rank).write(handle) };
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn ncclCommDestroy(communicator: usize) -> Status {
    guarded(None, INTERNAL_ERROR, || state().members.remove(&communicator).map(|_| ()).ok_or(INVALID_ARGUMENT))
}

#[unsafe(no_mangle)]
extern "C" fn ncclGroupStart() -> Status {
    guarded(None, INTERNAL_ERROR, || {
        state().depth += 1;
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn ncclGroupEnd() -> Status {
    let ended = guarded(None, INTERNAL_ERROR, || {
        let mut state = state();
        state.depth = state.depth.checked_sub(1).ok_or(INVALID_USAGE)?;
        if state.depth > 0 {
            return Ok(());
        }
        let asked = std::mem::take(&mut state.asked);
        drop(state);
        run(Driver::get().ok_or(UNHANDLED_CUDA_ERROR)?, &asked)
    });
    if ended == 0 { guarded(Some("STAND_IN_NCCL_RUN"), INTERNAL_ERROR, || Ok(())) } else { ended }
}

/// Notes a call. Outside of a group a device would wait for the others, which the same thread asks afterwards: that never ends.
fn ask(communicator: usize, format: c_int, call: Call) -> Status {
    guarded(None, INTERNAL_ERROR, || {
        let mut state = state();
        let member = state.members.get(&communicator).copied().ok_or(INVALID_ARGUMENT)?;
        if format != FLOAT32 || state.depth == 0 {
            return Err(INVALID_USAGE);
        }
        state.asked.push((member, call));
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn ncclAllReduce(
    send: u64,
    receive: u64,
    count: usize,
    format: c_int,
    operation: c_int,
    communicator: usize,
    _stream: usize,
) -> Status {
    if operation != SUM {
        return INVALID_ARGUMENT;
    }
    ask(communicator, format, Call::AllReduce { send, receive, count })
}

#[unsafe(no_mangle)]
extern "C" fn ncclAllGather(
    send: u64,
    receive: u64,
    count: usize,
    format: c_int,
    communicator: usize,
    _stream: usize,
) -> Status {
    ask(communicator, format, Call::AllGather { send, receive, count })
}

#[unsafe(no_mangle)]
extern "C" fn ncclReduceScatter(
    send: u64,
    receive: u64,
    count: usize,
    format: c_int,
    operation: c_int,
    communicator: usize,
    _stream: usize,
) -> Status {
    if operation != SUM {
        return INVALID_ARGUMENT;
    }
    ask(communicator, format, Call::ReduceScatter { send, receive, count })
}

#[unsafe(no_mangle)]
extern "C" fn ncclSend(
    from: u64,
    count: usize,
    format: c_int,
    peer: c_int,
    communicator: usize,
    _stream: usize,
) -> Status {
    let Ok(peer) = usize::try_from(peer) else { return INVALID_ARGUMENT };
    ask(communicator, format, Call::Send { from, count, peer })
}

#[unsafe(no_mangle)]
extern "C" fn ncclRecv(
    to: u64,
    count: usize,
    format: c_int,
    peer: c_int,
    communicator: usize,
    _stream: usize,
) -> Status {
    let Ok(peer) = usize::try_from(peer) else { return INVALID_ARGUMENT };
    ask(communicator, format, Call::Receive { to, count, peer })
}

/// Does what a group of calls asks for. Nothing is written before everything was read.
fn run(driver: &Driver, asked: &[(Member, Call)]) -> Result<(), Status> {
    let read = |member: &Member, from: u64, count: usize| {
        let mut bytes = vec![0; BYTES * count];
        driver.on(member.device, || driver.read(from, &mut bytes)).map_err(|_| UNHANDLED_CUDA_ERROR)?;
        Ok::<_, Status>(bytes)
    };
    // What every member of a group brings to the same operation, in their order.
    let brought = |member: &Member, call: &Call| -> Result<Vec<Vec<u8>>, Status> {
        let mut all: Vec<(usize, Vec<u8>)> = Vec::new();
        for (other, theirs) in asked.iter().filter(|(other, _)| other.group == member.group) {
            let (from, count) = match (call, theirs) {
                (Call::AllReduce { count, .. }, Call::AllReduce { send, count: theirs, .. })
                | (Call::AllGather { count, .. }, Call::AllGather { send, count: theirs, .. })
                    if count == theirs =>
                {
                    (*send, *count)
                }
                (Call::ReduceScatter { count, .. }, Call::ReduceScatter { send, count: theirs, .. })
                    if count == theirs =>
                {
                    (*send, count * member.of)
                }
                _ => continue,
            };
            all.push((other.rank, read(other, from, count)?));
        }
        all.sort();
        // Each once: otherwise some device would wait for ever.
        let whole = all.iter().map(|(rank, _)| *rank).eq(0..member.of);
        if whole { Ok(all.into_iter().map(|(_, bytes)| bytes).collect()) } else { Err(INVALID_USAGE) }
    };
    let mut written = Vec::new();
    for (member, call) in asked {
        let (to, bytes) = match *call {
            Call::AllReduce { receive, .. } => (receive, sum(&brought(member, call)?)),
            Call::AllGather { receive, .. } => (receive, brought(member, call)?.concat()),
            Call::ReduceScatter { receive, count, .. } => {
                let whole = sum(&brought(member, call)?);
                (receive, whole[BYTES * count * member.rank..][..BYTES * count].to_vec())
            }
            Call::Send { .. } => continue,
            Call::Receive { to, count, peer } => {
                let wanted = |(other, theirs): &&(Member, Call)| {
                    let sent = matches!(theirs, Call::Send { count: sent, peer, .. } if *sent == count && *peer == member.rank);
                    (other.group, other.rank) == (member.group, peer) && sent
                };
                let Some((other, Call::Send { from, .. })) = asked.iter().find(wanted) else {
                    return Err(INVALID_USAGE);
                };
                (to, read(other, *from, count)?)
            }
        };
        written.push((member.device, to, bytes));
    }
    let wrong = setting("STAND_IN_NCCL_WRONG", 0) != 0;
    for (device, to, mut bytes) in written {
        if let Some(last) = bytes.last_mut().filter(|_| wrong) {
            *last ^= 0x80;
        }
        driver.on(device, || driver.write(to, &bytes)).map_err(|_| UNHANDLED_CUDA_ERROR)?;
    }
    Ok(())
}

/// The sum of as many floats as each has.
fn sum(all: &[Vec<u8>]) -> Vec<u8> {
    let count = all.first().map_or(0, Vec::len) / BYTES;
    let value = |bytes: &[u8], index: usize| {
        bytes[BYTES * index..].first_chunk::<BYTES>().map_or(0.0, |word| f32::from_le_bytes(*word))
    };
    (0..count).flat_map(|index| all.iter().map(|bytes| value(bytes, index)).sum::<f32>().to_le_bytes()).collect()
}
