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
//! | `STAND_IN_PEERS` | 0 where devices do not reach one another's memory | 1 |
//! | `STAND_IN_SCHEDULE` | `plain`, or a seed for the preemptive schedule | plain |
//! | `STAND_IN_RACES` | 1 to look for races on shared memory | 0 |
//! | `STAND_IN_BUDGET` | instructions of a launch's threads after which it timed out | 2^36 |
//! | `STAND_IN_WORKERS` | threads of the host that run blocks | 1 |
//! | `STAND_IN_LAUNCHES` | file to which a line of JSON is appended for each launch | none |
//!
//! A value that cannot be understood is told on stderr, and `cuInit` answers `CUDA_ERROR_UNKNOWN`.

#![allow(
    unsafe_code,
    reason = "functions of a C interface are exported and get pointers; `pointer` has what is done with them"
)]
#![allow(non_snake_case, reason = "the functions have the names of the driver's")]
#![allow(clippy::print_stderr, reason = "there is no other way to say what is wrong with a kernel")]

#[macro_use]
mod entry;

mod api;
mod code;
mod device;
mod driver;
mod knobs;
mod launch;
mod objects;
mod pointer;
#[cfg(test)]
mod tests;
