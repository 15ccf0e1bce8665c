//! cuBLASLt: the functions that rooflab calls of it.
//!
//! Formats, transposed factors and the lengths between columns are those of the descriptors; a product is computed by loops on the host. Time passes on the driver's clock, by
//! copies: three algorithms are proposed, of which the second is the fastest.

mod format;
mod objects;

use std::ffi::{c_int, c_void};

use self::format::Format;
use self::objects::{Layout, Object, Operation, add, get, remove, with};
use crate::driver::Driver;
use crate::setting;

/// What a call came to, by the library's numbers.
type Status = u32;

const SUCCESS: Status = 0;
const NOT_INITIALIZED: Status = 1;
const INVALID_VALUE: Status = 7;
const EXECUTION_FAILED: Status = 13;
const INTERNAL_ERROR: Status = 14;
const NOT_SUPPORTED: Status = 15;

/// Attributes that are understood, and the value of a transposed factor.
const TRANSA: c_int = 3;
const TRANSB: c_int = 4;
const FAST_ACCUMULATION: c_int = 25;
const TRANSPOSED: i32 = 1;
const MAX_WORKSPACE_BYTES: c_int = 1;

/// How many times each algorithm reads its factors: the second is the fastest.
const READS: [u64; 3] = [40, 10, 20];
/// Bytes of memory that the algorithm with the most wants for itself.
const WORKSPACE: usize = 1024;

/// A proposal, as the library's header has it.
#[repr(C)]
struct Proposed {
    algorithm: [u64; 8],
    workspace: usize,
    state: Status,
    waves: f32,
    reserved: [c_int; 4],
}

/// Runs a function's body, unless a setting asks for another status.
fn guarded(asked: Option<&str>, body: impl FnOnce() -> Result<(), Status>) -> Status {
    crate::guarded(asked, INTERNAL_ERROR, body)
}

/// Writes a result.
fn put<T>(place: *mut T, value: T) -> Result<(), Status> {
    if place.is_null() {
        return Err(INVALID_VALUE);
    }
    // SAFETY: the caller gave a pointer to a place for a value of this type, and it is not null.
    unsafe { place.write(value) };
    Ok(())
}

/// Reads an attribute's value of some bytes.
fn value<T: Copy>(place: *const c_void, bytes: usize) -> Result<T, Status> {
    if place.is_null() || bytes != size_of::<T>() {
        return Err(INVALID_VALUE);
    }
    // SAFETY: the caller gave a pointer to so many bytes, which is not null.
    Ok(unsafe { place.cast::<T>().read_unaligned() })
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtGetVersion() -> usize {
    setting("STAND_IN_CUBLASLT_VERSION", 120_903) as usize
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtCreate(handle: *mut usize) -> Status {
    guarded(Some("STAND_IN_CUBLASLT_CREATE"), || {
        Driver::get().ok_or(NOT_INITIALIZED)?;
        put(handle, add(Object::Library))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtDestroy(handle: usize) -> Status {
    guarded(None, || remove(handle))
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmulDescCreate(operation: *mut usize, compute: c_int, scale: c_int) -> Status {
    guarded(None, || {
        let scale = Format::of(scale).ok_or(INVALID_VALUE)?;
        put(operation, add(Object::Operation(Operation { compute, scale, transposed: [false; 2] })))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmulDescDestroy(operation: usize) -> Status {
    guarded(None, || remove(operation))
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmulDescSetAttribute(
    operation: usize,
    attribute: c_int,
    place: *const c_void,
    bytes: usize,
) -> Status {
    guarded(None, || {
        if attribute == FAST_ACCUMULATION {
            // Sums here are exact, fast or not.
            return value::<i8>(place, bytes).map(|_| ());
        }
        let transposed = value::<i32>(place, bytes)? == TRANSPOSED;
        with(operation, |object| match (object, attribute) {
            (Object::Operation(operation), TRANSA) => put(&raw mut operation.transposed[0], transposed),
            (Object::Operation(operation), TRANSB) => put(&raw mut operation.transposed[1], transposed),
            _ => Err(INVALID_VALUE),
        })
    })
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatrixLayoutCreate(
    layout: *mut usize,
    format: c_int,
    rows: u64,
    columns: u64,
    between: i64,
) -> Status {
    guarded(None, || {
        let format = Format::of(format).ok_or(NOT_SUPPORTED)?;
        let between = u64::try_from(between).ok().filter(|between| *between >= rows).ok_or(INVALID_VALUE)?;
        put(layout, add(Object::Layout(Layout { format, rows, columns, between })))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatrixLayoutDestroy(layout: usize) -> Status {
    guarded(None, || remove(layout))
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmulPreferenceCreate(preference: *mut usize) -> Status {
    guarded(None, || put(preference, add(Object::Preference { workspace: 0 })))
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmulPreferenceDestroy(preference: usize) -> Status {
    guarded(None, || remove(preference))
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmulPreferenceSetAttribute(
    preference: usize,
    attribute: c_int,
    place: *const c_void,
    bytes: usize,
) -> Status {
    guarded(None, || {
        let most = value::<u64>(place, bytes)?;
        with(preference, |object| match (object, attribute) {
            (Object::Preference { workspace }, MAX_WORKSPACE_BYTES) => put(workspace, most),
            _ => Err(INVALID_VALUE),
        })
    })
}

/// A product by the objects that describe it.
struct Product {
    operation: Operation,
    factors: [Layout; 2],
    result: Layout,
}

impl Product {
    /// What is described, if the library multiplies that.
    fn of(operation: usize, a: usize, b: usize, c: usize, d: usize) -> Result<Self, Status> {
        let layout = |handle| match get(handle)? {
            Object::Layout(layout) => Ok(layout),
            _ => Err(INVALID_VALUE),
        };
        let Object::Operation(operation) = get(operation)? else { return Err(INVALID_VALUE) };
        let (factors, result) = ([layout(a)?, layout(b)?], layout(d)?);
        if layout(c)? != result {
            return Err(NOT_SUPPORTED);
        }
        let [m, n, k] =
            [result.rows, result.columns, if operation.transposed[0] { factors[0].rows } else { factors[0].columns }];
        let sizes = |layout: Layout, transposed: bool| {
            if transposed { (layout.columns, layout.rows) } else { (layout.rows, layout.columns) }
        };
        if sizes(factors[0], operation.transposed[0]) != (m, k) || sizes(factors[1], operation.transposed[1]) != (k, n)
        {
            return Err(INVALID_VALUE);
        }
        let taken = format::is_multiplied(
            factors.map(|layout| layout.format),
            result.format,
            operation.compute,
            operation.scale,
        );
        // What the documentation asks of formats with 8 bits.
        let is_small = factors[0].format.bytes() == 1;
        let granule = if factors[0].format == Format::E4m3 { 16 } else { 4 };
        let fits = !is_small
            || operation.transposed == [true, false] && [m, k].iter().all(|size| size.is_multiple_of(granule));
        if taken && fits { Ok(Self { operation, factors, result }) } else { Err(NOT_SUPPORTED) }
    }

    /// Reads the factors, multiplies them, and writes the result.
    fn run(&self, driver: &Driver, [a, b, d]: [u64; 3], reads: u64) -> Result<(), Status> {
        let vectors = |address: u64, which: usize| {
            let layout = &self.factors[which];
            let mut bytes = vec![0; layout.bytes()];
            for _ in 0..reads * setting("STAND_IN_CUBLASLT_SLOW", 1) {
                driver.read(address, &mut bytes).map_err(|_| EXECUTION_FAILED)?;
            }
            // Of the first factor rows are what is multiplied, of the second columns.
            Ok::<_, Status>(layout.vectors(&bytes, self.operation.transposed[which] == (which == 0)))
        };
        let (a, b) = (vectors(a, 0)?, vectors(b, 1)?);
        let mut result = Vec::with_capacity(self.result.bytes());
        for column in &b {
            for row in &a {
                let sum = row.iter().zip(column).map(|(a, b)| a * b).sum::<f64>();
                self.result.format.write(sum, &mut result);
            }
        }
        if setting("STAND_IN_CUBLASLT_WRONG", 0) != 0 {
            let last = result.len() - self.result.format.bytes();
            self.result.format.write(1e6, &mut result);
            result.drain(last..last + self.result.format.bytes());
        }
        driver.write(d, &result).map_err(|_| EXECUTION_FAILED)
    }
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmulAlgoGetHeuristic(
    library: usize,
    operation: usize,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    preference: usize,
    wanted: c_int,
    proposed: *mut Proposed,
    count: *mut c_int,
) -> Status {
    guarded(Some("STAND_IN_CUBLASLT_PROPOSE"), || {
        let Object::Library = get(library)? else { return Err(NOT_INITIALIZED) };
        let Object::Preference { workspace: most } = get(preference)? else { return Err(INVALID_VALUE) };
        Product::of(operation, a, b, c, d)?;
        let all = (0..READS.len()).map(|place| (place, WORKSPACE * place));
        let fitting = all.filter(|(_, workspace)| *workspace as u64 <= most).take(usize::try_from(wanted).unwrap_or(0));
        let mut found = 0;
        for (place, workspace) in fitting {
            let mut algorithm = [0; 8];
            algorithm[0] = place as u64;
            let proposal = Proposed { algorithm, workspace, state: SUCCESS, waves: 1.0, reserved: [0; 4] };
            // SAFETY: the caller gave a list of as many places as it wants proposals.
            put(unsafe { proposed.add(found) }, proposal)?;
            found += 1;
        }
        put(count, found as c_int)
    })
}

/// An algorithm's number is its place and 21, its tile is its place.
#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmulAlgoConfigGetAttribute(
    algorithm: *const u64,
    attribute: c_int,
    place: *mut u32,
    bytes: usize,
    written: *mut usize,
) -> Status {
    guarded(None, || {
        let first = value::<u64>(algorithm.cast(), 8)? as u32;
        let number = [first + 21, first, 1].get(attribute as usize).copied().ok_or(INVALID_VALUE)?;
        if bytes != 4 {
            return Err(INVALID_VALUE);
        }
        put(place, number)?;
        put(written, 4)
    })
}

/// Whether a number on the host, of a format, is some whole number.
fn is_number(place: *const c_void, format: Format, number: i32) -> Result<bool, Status> {
    Ok(match format {
        Format::F64 => value::<f64>(place, 8)? == f64::from(number),
        Format::I32 => value::<i32>(place, 4)? == number,
        _ => f64::from(value::<f32>(place, 4)?) == f64::from(number),
    })
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmul(
    library: usize,
    operation: usize,
    alpha: *const c_void,
    a: u64,
    a_layout: usize,
    b: u64,
    b_layout: usize,
    beta: *const c_void,
    _c: u64,
    c_layout: usize,
    d: u64,
    d_layout: usize,
    algorithm: *const u64,
    workspace: u64,
    workspace_bytes: usize,
    stream: usize,
) -> Status {
    guarded(Some("STAND_IN_CUBLASLT_MULTIPLY"), || {
        let Object::Library = get(library)? else { return Err(NOT_INITIALIZED) };
        let product = Product::of(operation, a_layout, b_layout, c_layout, d_layout)?;
        let scale = product.operation.scale;
        // Anything but a plain product is beyond a stand-in.
        if !is_number(alpha, scale, 1)? || !is_number(beta, scale, 0)? {
            return Err(NOT_SUPPORTED);
        }
        let place = value::<u64>(algorithm.cast(), 8)? as usize;
        let reads = READS.get(place).copied().ok_or(INVALID_VALUE)?;
        if workspace_bytes < WORKSPACE * place || place > 0 && !workspace.is_multiple_of(256) {
            return Err(INVALID_VALUE);
        }
        let driver = Driver::get().ok_or(NOT_INITIALIZED)?;
        let job = move || product.run(driver, [a, b, d], reads).map_err(|status| status as i32);
        driver.enqueue(stream, Box::new(job)).map_err(|_| EXECUTION_FAILED)
    })
}
