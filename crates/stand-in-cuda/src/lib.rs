//! A CUDA driver without a GPU: the functions of `libcuda.so` that rooflab calls, on top of the PTX interpreter.
//!
//! A program finds it in place of NVIDIA's driver when its folder is on `LD_LIBRARY_PATH`. Build it into a folder of its
//! own, because cargo puts the folder of its target on the path of whatever it runs:
//!
//! ```text
//! cargo build -p stand-in-cuda --target-dir target/stand-in
//! LD_LIBRARY_PATH=target/stand-in/debug target/debug/rooflab devices
//! ```
//!
//! Everything happens at once, in the order of the calls. Time is that of a clock which counts what is executed, the same
//! on every run. What the functions do not offer is not exported. A fault that the interpreter finds is told on stderr;
//! the calls after the launch fail with `CUDA_ERROR_ILLEGAL_ADDRESS`, `CUDA_ERROR_MISALIGNED_ADDRESS`,
//! `CUDA_ERROR_LAUNCH_TIMEOUT` or `CUDA_ERROR_LAUNCH_FAILED`, as they would after one of the hardware.
//!
//! Environment variables say what is stood in for:
//!
//! | variable | meaning | unless set |
//! |---|---|---|
//! | `STAND_IN_DEVICES` | number of devices | 1 |
//! | `STAND_IN_CAPABILITY` | compute capability, such as `8.9` | 9.0 |
//! | `STAND_IN_DRIVER` | newest CUDA that the driver understands, such as `11.4` | 12.9 |
//! | `STAND_IN_NAME` | name of the devices | Stand-in GPU (interpreter) |
//! | `STAND_IN_MEMORY` | bytes of memory | 67108864 |
//! | `STAND_IN_MULTIPROCESSORS` | number of multiprocessors | 4 |
//! | `STAND_IN_L2` | bytes of the L2 cache | 262144 |
//! | `STAND_IN_INIT` | code that `cuInit` answers, such as 100 for no device | 0 |
//! | `STAND_IN_HANG` | seconds that `cuInit` hangs | 0 |
//! | `STAND_IN_LOSE_AFTER` | launches after which a device is lost | never |
//! | `STAND_IN_LOSE_AT` | start of the name of the kernel whose launch loses the device | none |
//! | `STAND_IN_LOSE_AS` | code that it is lost with | 719, `CUDA_ERROR_LAUNCH_FAILED` |
//! | `STAND_IN_STALL_AFTER` | launches after which a device does nothing any more: no event is ever ready, and calls that wait for work never return | never |
//! | `STAND_IN_CAPTURE` | code that is answered when launches of a stream shall be captured, such as 801 for a driver that cannot | 0 |
//! | `STAND_IN_GRAPH_LACKS` | start of the name of the kernel whose first launch is lost when launches are captured | none |
//! | `STAND_IN_GRAPH_SKIPS` | start of the name of the kernel whose first launch in a graph is left out when that is launched | none |
//! | `STAND_IN_PEERS` | 0 where devices do not reach one another's memory | 1 |
//! | `STAND_IN_PEER_LIMIT` | ways from one device to another that may be open at a time | any number |
//! | `STAND_IN_SCHEDULE` | `plain`, or a seed for the preemptive schedule | plain |
//! | `STAND_IN_RACES` | 1 to look for races on shared memory | 0 |
//! | `STAND_IN_BUDGET` | instructions of a launch's threads after which it timed out | 2^36 |
//! | `STAND_IN_WORKERS` | threads of the host that run blocks | 1 |
//! | `STAND_IN_LAUNCHES` | file to which a line of JSON is appended for each launch | none |
//! | `STAND_IN_WRONG` | name of a kernel that flips a bit of its results | none |
//! | `STAND_IN_BESIDE` | another driver's library, which gets the same calls | none |
//! | `STAND_IN_COMPARISONS` | file to which a line of JSON is appended for each comparison with that driver | none |
//!
//! A value that cannot be understood is told on stderr, and `cuInit` answers `CUDA_ERROR_UNKNOWN`.
//!
//! # Beside another driver
//!
//! With `STAND_IN_BESIDE` every call goes to another driver too: allocations, copies, modules, launches, graphs, events. Its first device
//! does what the interpreter does, on memory at the same addresses, and after every launch and every copy the memory of both is compared.
//! This is how the interpreter is held against hardware, by any program and on any kernel. What decides sizes is the
//! stand-in's, so that the interpreter can keep up; compute capability and version are the other driver's, so that a program
//! chooses the same kernels. Time is the stand-in's.
//!
//! A line says what was compared (`kernel`, or `call` for a copy), bytes (`compared`, of which `equal`; `free` may be anything, such as
//! clocks), the `largest` difference in units of the last place, and the `verdict`: `equal`; `near`, within what `beside/rules.rs` allows,
//! and why; `wrong`, with the first place; `fault`, where the interpreter found one; `refused`, for a call that the other driver
//! answered with an error. Variables of modules are each driver's own and not compared.
//!
//! The other driver may be another copy of this library. Its own variables begin with `STAND_IN_BESIDE_`: `STAND_IN_BESIDE_WRONG`.

#![allow(
    unsafe_code,
    reason = "functions of a C interface are exported and get pointers; `pointer` has what is done with them"
)]
#![allow(non_snake_case, reason = "the functions have the names of the driver's")]
#![allow(clippy::print_stderr, reason = "there is no other way to say what is wrong with a kernel")]

#[macro_use]
mod entry;

mod api;
mod beside;
mod code;
mod device;
mod driver;
mod knobs;
mod launch;
mod objects;
mod pointer;
#[cfg(test)]
mod tests;
