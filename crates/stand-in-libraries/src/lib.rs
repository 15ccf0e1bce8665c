//! NVIDIA's libraries without a GPU: the functions of cuBLASLt and NCCL that rooflab calls, which really compute on what lies in the memory of the stand-in CUDA driver.
//!
//! One library has the functions of both. A program finds it as either, where a copy has that name: `libcublasLt.so.12`, `libnccl.so.2`.
//!
//! Environment variables say what goes wrong:
//!
//! | variable | meaning | unless set |
//! |---|---|---|
//! | `STAND_IN_CUBLASLT_VERSION` | the number that cuBLASLt gives as its version | 120903 |
//! | `STAND_IN_CUBLASLT_CREATE` | the status that `cublasLtCreate` answers | 0 |
//! | `STAND_IN_CUBLASLT_PROPOSE` | the status that `cublasLtMatmulAlgoGetHeuristic` answers | 0 |
//! | `STAND_IN_CUBLASLT_MULTIPLY` | the status that `cublasLtMatmul` answers | 0 |
//! | `STAND_IN_CUBLASLT_WRONG` | 1 to have the last number of every product wrong | 0 |
//! | `STAND_IN_CUBLASLT_SLOW` | how many times as long products take | 1 |
//! | `STAND_IN_NCCL_VERSION` | the number that NCCL gives as its version | 22703 |
//! | `STAND_IN_NCCL_INIT` | the status that `ncclCommInitAll` answers | 0 |
//! | `STAND_IN_NCCL_RUN` | the status that `ncclGroupEnd` answers | 0 |
//! | `STAND_IN_NCCL_WRONG` | 1 to have the last number that each device gets wrong | 0 |

#![allow(unsafe_code, reason = "functions of a C interface are exported and get pointers")]
#![allow(non_snake_case, reason = "the functions have the names of the libraries'")]

mod cublaslt;
mod driver;
mod nccl;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// A number from the environment.
fn setting(name: &str, otherwise: u64) -> u64 {
    #[allow(clippy::disallowed_methods, reason = "a library that a program loads has no other settings")]
    std::env::var(name).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(otherwise)
}

/// Runs a function's body, unless a setting asks for another status. A panic is an internal error.
fn guarded(asked: Option<&str>, internal: u32, body: impl FnOnce() -> Result<(), u32>) -> u32 {
    match asked.map_or(0, |name| setting(name, 0)) {
        0 => {}
        asked => return asked as u32,
    }
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => 0,
        Ok(Err(status)) => status,
        Err(_) => internal,
    }
}
