//! Times one matrix product, C = A · Bᵀ with all matrices row by row, by one of the crates that compute them.
//!
//! Usage: products CRATE FORMAT THREADS MxNxK
//! CRATE is gemm, faer, matrixmultiply or rten-gemm; FORMAT is f32, f64 or int8. Threads are pinned to the first allowed processors, but
//! for matrixmultiply's own (MATMUL_NUM_THREADS says how many). The result is verified first. Prints lines as timing.rs says.

mod crates;
mod matrices;
mod timing;

use std::error::Error;
use std::process::ExitCode;

use matrices::{Element, Matrices, Shape};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, format, threads, shape] = arguments.as_slice() else {
        return Err("usage: products CRATE FORMAT THREADS MxNxK".into());
    };
    let threads: usize = threads.parse()?;
    let shape: Shape = shape.parse()?;
    let run = || match (name.as_str(), format.as_str()) {
        ("gemm", "f32") => measure(Matrices::<f32>::new(shape), |work| crates::gemm(work, threads)),
        ("gemm", "f64") => measure(Matrices::<f64>::new(shape), |work| crates::gemm(work, threads)),
        ("faer", "f32") => measure(Matrices::<f32>::new(shape), |work| crates::faer(work, threads)),
        ("faer", "f64") => measure(Matrices::<f64>::new(shape), |work| crates::faer(work, threads)),
        ("matrixmultiply", "f32") => measure(Matrices::<f32>::new(shape), crates::matrixmultiply_f32),
        ("matrixmultiply", "f64") => measure(Matrices::<f64>::new(shape), crates::matrixmultiply_f64),
        ("rten-gemm", "f32") => measure(Matrices::<f32>::new(shape), crates::rten(&Default::default())),
        ("rten-gemm", "int8") => measure(Matrices::<u8, i8, i32>::new(shape), crates::rten(&Default::default())),
        _ => Err(format!("{name} does not multiply {format} here")),
    };
    // The threads of matrixmultiply's own pool would inherit the one processor that a thread of this pool has.
    if name == "matrixmultiply" {
        run()?
    } else {
        pinned_pool(threads)?.install(run)?
    }
    Ok(())
}

/// Verifies a product and times it.
fn measure<A: Element, B: Element, C: Element>(
    mut work: Matrices<A, B, C>,
    multiply: impl Fn(&mut Matrices<A, B, C>),
) -> Result<(), String> {
    multiply(&mut work);
    work.verify()?;
    timing::report(work.shape.operations(), || multiply(&mut work));
    Ok(())
}

/// The pool that the crates find themselves in, one thread on each processor.
fn pinned_pool(threads: usize) -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
    let processors = allowed_processors();
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .start_handler(move |index| pin(processors[index % processors.len()]))
        .build()
}

fn allowed_processors() -> Vec<usize> {
    // SAFETY: an all-zero set is valid, and the kernel writes at most its size.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&set), &mut set);
        set
    };
    // SAFETY: the index is within the set.
    (0..libc::CPU_SETSIZE as usize).filter(|&processor| unsafe { libc::CPU_ISSET(processor, &set) }).collect()
}

fn pin(processor: usize) {
    // SAFETY: as above; failure leaves the thread where it was.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}
