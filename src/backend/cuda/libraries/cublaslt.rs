//! cuBLASLt: NVIDIA's matrix products. Its functions, and objects that are given back when they are dropped.
//!
//! Names, numbers and layouts are those of NVIDIA's documentation of cuBLAS, "Using the cuBLASLt API"; they are the same from version 11 to 13.

use std::ffi::{c_int, c_void};
use std::rc::Rc;

use cudarc::driver::sys::CUstream;

use super::super::context::Context;
use super::super::driver::Version;
use super::{Loaded, Wanted, load, look_up, suits};
use crate::backend::{BackendError, LibraryFolders};

const WANTED: Wanted = Wanted { stem: "cublasLt", majors: &[13, 12, 11] };

/// What a call came to (`cublasStatus_t`).
type Status = u32;
/// Objects of the library's.
type Raw = *mut c_void;

const SUCCESS: Status = 0;
/// Codes and their names (`cublasStatus_t`).
const STATUSES: [(Status, &str); 9] = [
    (1, "CUBLAS_STATUS_NOT_INITIALIZED"),
    (3, "CUBLAS_STATUS_ALLOC_FAILED"),
    (7, "CUBLAS_STATUS_INVALID_VALUE"),
    (8, "CUBLAS_STATUS_ARCH_MISMATCH"),
    (11, "CUBLAS_STATUS_MAPPING_ERROR"),
    (13, "CUBLAS_STATUS_EXECUTION_FAILED"),
    (14, "CUBLAS_STATUS_INTERNAL_ERROR"),
    (NOT_SUPPORTED, "CUBLAS_STATUS_NOT_SUPPORTED"),
    (16, "CUBLAS_STATUS_LICENSE_ERROR"),
];
const NOT_SUPPORTED: Status = 15;

/// A format of elements (`cudaDataType_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(in crate::backend::cuda) enum DataType {
    F32 = 0,
    F64 = 1,
    F16 = 2,
    I8 = 3,
    I32 = 10,
    Bf16 = 14,
    E4m3 = 28,
}

/// How products are computed (`cublasComputeType_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(in crate::backend::cuda) enum ComputeType {
    F32 = 68,
    F64 = 70,
    I32 = 72,
}

/// Attributes of an operation (`cublasLtMatmulDescAttributes_t`).
const TRANSA: c_int = 3;
const TRANSB: c_int = 4;
const FAST_ACCUMULATION: c_int = 25;
/// Values of both (`cublasOperation_t`).
const PLAIN: i32 = 0;
const TRANSPOSED: i32 = 1;
/// An attribute of a preference (`cublasLtMatmulPreferenceAttributes_t`).
const MAX_WORKSPACE_BYTES: c_int = 1;
/// Attributes of an algorithm (`cublasLtMatmulAlgoConfigAttributes_t`).
const ID: c_int = 0;
const TILE: c_int = 1;
const SPLIT: c_int = 2;
const STAGES: c_int = 6;

/// An algorithm, which only the library understands (`cublasLtMatmulAlgo_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(in crate::backend::cuda) struct Algorithm {
    data: [u64; 8],
}

/// An algorithm that the library holds for fast (`cublasLtMatmulHeuristicResult_t`).
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Proposed {
    algorithm: Algorithm,
    workspace: usize,
    state: Status,
    waves: f32,
    reserved: [c_int; 4],
}

functions! {
    version = cublasLtGetVersion() -> usize;
    create = cublasLtCreate(*mut Raw) -> Status;
    destroy = cublasLtDestroy(Raw) -> Status;
    create_operation = cublasLtMatmulDescCreate(*mut Raw, ComputeType, DataType) -> Status;
    destroy_operation = cublasLtMatmulDescDestroy(Raw) -> Status;
    set_operation = cublasLtMatmulDescSetAttribute(Raw, c_int, *const c_void, usize) -> Status;
    create_layout = cublasLtMatrixLayoutCreate(*mut Raw, DataType, u64, u64, i64) -> Status;
    destroy_layout = cublasLtMatrixLayoutDestroy(Raw) -> Status;
    create_preference = cublasLtMatmulPreferenceCreate(*mut Raw) -> Status;
    destroy_preference = cublasLtMatmulPreferenceDestroy(Raw) -> Status;
    set_preference = cublasLtMatmulPreferenceSetAttribute(Raw, c_int, *const c_void, usize) -> Status;
    propose = cublasLtMatmulAlgoGetHeuristic(Raw, Raw, Raw, Raw, Raw, Raw, Raw, c_int, *mut Proposed, *mut c_int) -> Status;
    ask_algorithm = cublasLtMatmulAlgoConfigGetAttribute(*const Algorithm, c_int, *mut c_void, usize, *mut usize) -> Status;
    multiply = cublasLtMatmul(
        Raw,
        Raw,
        *const c_void,
        u64,
        Raw,
        u64,
        Raw,
        *const c_void,
        u64,
        Raw,
        u64,
        Raw,
        *const Algorithm,
        u64,
        usize,
        CUstream,
    ) -> Status;
}

/// Looks for the library.
pub(in crate::backend::cuda) fn find(folders: &LibraryFolders, driver: Version) -> Result<Loaded<Functions>, String> {
    load(&WANTED, folders, Functions::find, |functions| {
        // SAFETY: takes nothing.
        let number = unsafe { (functions.version)() };
        let (major, text) = version(number);
        if !WANTED.majors.contains(&major) {
            return Err(format!("is version {text}, which this rooflab does not know"));
        }
        suits(driver, major).map(|()| text)
    })
}

/// A version by its number: 120903 is 12.9.3. Before 12 it was counted in thousands, and minor versions went beyond 9: 12103 is 11.11.3.
fn version(number: usize) -> (u32, String) {
    let (major, rest) = match number {
        ..11_000 => (number / 1_000, number % 1_000),
        11_000..100_000 => (11, number - 11_000),
        _ => (number / 10_000, number % 10_000),
    };
    (u32::try_from(major).unwrap_or(u32::MAX), format!("{major}.{}.{}", rest / 100, rest % 100))
}

/// What a call came to.
fn check(status: Status, what: &str) -> Result<(), BackendError> {
    match status {
        SUCCESS => Ok(()),
        NOT_SUPPORTED => Err(BackendError::unsupported(format!("cuBLASLt {what}: `{}`", named(status)))),
        _ => Err(BackendError::System(format!("cuBLASLt {what}: `{}`", named(status)))),
    }
}

fn named(status: Status) -> String {
    STATUSES
        .iter()
        .find(|known| known.0 == status)
        .map_or_else(|| format!("status {status}"), |known| known.1.to_owned())
}

/// The library, made ready for a device.
pub(in crate::backend::cuda) struct Lt {
    functions: Functions,
    pub(in crate::backend::cuda) version: String,
    raw: Raw,
    context: Rc<Context>,
}

impl Drop for Lt {
    fn drop(&mut self) {
        // SAFETY: the library gave it, and it is given back once.
        self.context.give_back(|| unsafe { (self.functions.destroy)(self.raw) });
    }
}

impl Lt {
    /// Makes the library ready for the device of a context, which is this thread's.
    pub(in crate::backend::cuda) fn new(
        loaded: &Loaded<Functions>,
        context: &Rc<Context>,
    ) -> Result<Self, BackendError> {
        context.enter()?;
        let (functions, mut raw) = (loaded.functions, std::ptr::null_mut());
        // SAFETY: the pointer is to a local that outlives the call.
        let status = unsafe { (functions.create)(&raw mut raw) };
        if status != SUCCESS {
            return Err(BackendError::System(format!("it cannot be made ready for the device: `{}`", named(status))));
        }
        Ok(Self { functions, version: loaded.version.clone(), raw, context: Rc::clone(context) })
    }
}

/// Something of the library's, with the function that takes it back.
struct Held {
    raw: Raw,
    destroy: unsafe extern "C" fn(Raw) -> Status,
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: the library gave it, and it is given back once. It lies in the host's memory alone.
        unsafe { (self.destroy)(self.raw) };
    }
}

impl Held {
    fn new(
        destroy: unsafe extern "C" fn(Raw) -> Status,
        what: &str,
        create: impl FnOnce(*mut Raw) -> Status,
    ) -> Result<Self, BackendError> {
        let mut raw = std::ptr::null_mut();
        check(create(&raw mut raw), what)?;
        Ok(Self { raw, destroy })
    }
}

/// The formats of a product: of both factors, of the result, and how it is summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backend::cuda) struct Formats {
    pub(in crate::backend::cuda) input: DataType,
    pub(in crate::backend::cuda) output: DataType,
    pub(in crate::backend::cuda) compute: ComputeType,
}

/// An algorithm that was proposed, with what it is called.
pub(in crate::backend::cuda) struct Choice {
    algorithm: Algorithm,
    pub(in crate::backend::cuda) workspace: u64,
    pub(in crate::backend::cuda) name: String,
}

/// C[m, n] = A[m, k] · B[n, k]ᵀ, all by rows. To the library, which thinks in columns, it is Cᵀ = Bᵀᵀ · Aᵀ: the one order that it takes for every format.
pub(in crate::backend::cuda) struct Product<'device> {
    lt: &'device Lt,
    formats: Formats,
    operation: Held,
    weights: Held,
    activations: Held,
    result: Held,
}

/// Addresses of a product's matrices and of memory for what is in between, with its bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::backend::cuda) struct Places {
    pub(in crate::backend::cuda) a: u64,
    pub(in crate::backend::cuda) b: u64,
    pub(in crate::backend::cuda) c: u64,
    pub(in crate::backend::cuda) workspace: (u64, u64),
}

impl<'device> Product<'device> {
    pub(in crate::backend::cuda) fn new(
        lt: &'device Lt,
        formats: Formats,
        [m, n, k]: [u64; 3],
    ) -> Result<Self, BackendError> {
        let functions = &lt.functions;
        let signed = |size: u64| {
            i64::try_from(size).map_err(|_| BackendError::unsupported(format!("a matrix of {size} rows is too large")))
        };
        let layout = |format: DataType, rows: u64, columns: u64| {
            let between = signed(rows)?;
            Held::new(functions.destroy_layout, "takes no matrix of this size", |raw| {
                // SAFETY: the pointer is to a local that outlives the call.
                unsafe { (functions.create_layout)(raw, format, rows, columns, between) }
            })
        };
        let operation = Held::new(functions.destroy_operation, "takes no product of this kind", |raw| {
            // SAFETY: the pointer is to a local that outlives the call.
            unsafe { (functions.create_operation)(raw, formats.compute, formats.output) }
        })?;
        for (attribute, value) in [(TRANSA, TRANSPOSED), (TRANSB, PLAIN)] {
            // SAFETY: the operation is alive, and the value is copied before the call returns.
            let status = unsafe {
                (functions.set_operation)(operation.raw, attribute, (&raw const value).cast(), size_of_val(&value))
            };
            check(status, "takes no transposed factor")?;
        }
        if formats.input == DataType::E4m3 {
            // Sums of fp8 stay in the matrix units, with the digits that these have, as they do in rooflab's own kernels.
            let yes = 1_i8;
            // SAFETY: the operation is alive, and the value is copied before the call returns.
            let status = unsafe {
                (functions.set_operation)(operation.raw, FAST_ACCUMULATION, (&raw const yes).cast(), size_of_val(&yes))
            };
            check(status, "takes no fast accumulation")?;
        }
        Ok(Self {
            lt,
            formats,
            operation,
            weights: layout(formats.input, k, n)?,
            activations: layout(formats.input, k, m)?,
            result: layout(formats.output, n, m)?,
        })
    }

    /// The algorithms that the library holds for the fastest, so many at most, each with no more than some memory of its own.
    pub(in crate::backend::cuda) fn propose(&self, most: usize, workspace: u64) -> Result<Vec<Choice>, BackendError> {
        let functions = &self.lt.functions;
        let preference = Held::new(functions.destroy_preference, "takes no preference", |raw| {
            // SAFETY: the pointer is to a local that outlives the call.
            unsafe { (functions.create_preference)(raw) }
        })?;
        // SAFETY: the preference is alive, and the value is copied before the call returns.
        let status = unsafe {
            (functions.set_preference)(
                preference.raw,
                MAX_WORKSPACE_BYTES,
                (&raw const workspace).cast(),
                size_of_val(&workspace),
            )
        };
        check(status, "takes no limit of memory")?;
        let mut proposed = vec![Proposed::default(); most];
        let mut count = 0;
        // SAFETY: all objects are alive, and the list has as many entries as are stated.
        let status = unsafe {
            (functions.propose)(
                self.lt.raw,
                self.operation.raw,
                self.weights.raw,
                self.activations.raw,
                self.result.raw,
                self.result.raw,
                preference.raw,
                c_int::try_from(most).unwrap_or(1),
                proposed.as_mut_ptr(),
                &raw mut count,
            )
        };
        check(status, "has no algorithm")?;
        proposed.truncate(usize::try_from(count).unwrap_or(0));
        proposed.retain(|proposed| proposed.state == SUCCESS && proposed.workspace as u64 <= workspace);
        if proposed.is_empty() {
            return Err(BackendError::unsupported("cuBLASLt has no algorithm"));
        }
        let choice = |(index, proposed): (usize, &Proposed)| Choice {
            algorithm: proposed.algorithm,
            workspace: proposed.workspace as u64,
            name: self.name(&proposed.algorithm, index + 1),
        };
        Ok(proposed.iter().enumerate().map(choice).collect())
    }

    /// What an algorithm is called: by its numbers in the library, and its place in the list, because not all that tells algorithms apart has a number.
    fn name(&self, algorithm: &Algorithm, place: usize) -> String {
        let number = |attribute: c_int| {
            let (mut value, mut written) = (0_u32, 0);
            // SAFETY: the pointers are to locals that outlive the call, of the size that is stated.
            let status = unsafe {
                (self.lt.functions.ask_algorithm)(
                    algorithm,
                    attribute,
                    (&raw mut value).cast(),
                    size_of_val(&value),
                    &raw mut written,
                )
            };
            (status == SUCCESS).then_some(value)
        };
        let told = [(ID, "algorithm"), (TILE, "tile"), (STAGES, "stages"), (SPLIT, "parts")];
        let told = told.into_iter().filter_map(|(attribute, word)| Some(format!("{word} {}", number(attribute)?)));
        let told: Vec<String> = told.collect();
        format!("cuBLASLt {}, proposal {place}: {}", self.lt.version, told.join(", "))
    }

    /// Enqueues a product.
    pub(in crate::backend::cuda) fn multiply(
        &self,
        choice: &Choice,
        places: Places,
        stream: CUstream,
    ) -> Result<(), BackendError> {
        /// 1 and 0 in every format of factors for sums, as the library reads them from the start.
        const ONE: [&[u8]; 3] = [&1.0_f32.to_ne_bytes(), &1.0_f64.to_ne_bytes(), &1_i32.to_ne_bytes()];
        const NOTHING: [u8; 8] = [0; 8];
        let one = match self.formats.compute {
            ComputeType::F32 => ONE[0],
            ComputeType::F64 => ONE[1],
            ComputeType::I32 => ONE[2],
        };
        let Places { a, b, c, workspace: (workspace, bytes) } = places;
        // SAFETY: all objects are alive; the addresses are of buffers with as many bytes as the layouts have, which live until the stream was waited for; 1 and 0 are of the size of the
        // format that sums are multiplied by, and are read before the call returns.
        let status = unsafe {
            (self.lt.functions.multiply)(
                self.lt.raw,
                self.operation.raw,
                one.as_ptr().cast(),
                b,
                self.weights.raw,
                a,
                self.activations.raw,
                NOTHING.as_ptr().cast(),
                c,
                self.result.raw,
                c,
                self.result.raw,
                &raw const choice.algorithm,
                workspace,
                usize::try_from(bytes).unwrap_or(0),
                stream,
            )
        };
        check(status, &format!("fails at {}", choice.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_by_their_length() {
        for (number, major, text) in
            [(11_501, 11, "11.5.1"), (12_103, 11, "11.11.3"), (120_901, 12, "12.9.1"), (130_000, 13, "13.0.0")]
        {
            assert_eq!(version(number), (major, text.to_owned()));
        }
        assert_eq!(version(10_203).0, 10);
    }

    #[test]
    fn layouts_are_those_of_the_header() {
        assert_eq!((size_of::<Algorithm>(), size_of::<Proposed>()), (64, 96));
        assert_eq!(std::mem::offset_of!(Proposed, reserved), 80);
    }
}
