//! Calls as a program makes them. One process has one driver, so that they share a device and its settings.

use std::ffi::{CStr, CString, c_void};

use crate::api;
use crate::code::Code;

/// A function of the interface, found by its name as programs find it.
macro_rules! function {
    ($name:literal as $type:ty) => {{
        let found = api::find($name).unwrap();
        // SAFETY: the function has this type; the addresses of functions and their types have the same size.
        unsafe { std::mem::transmute::<*const c_void, $type>(found) }
    }};
}

const KERNEL: &CStr = c"
    .version 7.4
    .target sm_70
    .address_size 64
    .global .align 4 .u32 step = 3;
    .visible .entry add(.param .u64 words, .param .u32 count) .maxntid 256, 1, 1 {
        .reg .pred %p1;
        .reg .b32 %r<5>;
        .reg .b64 %rd<4>;
        ld.param.u64 %rd1, [words];
        ld.param.u32 %r1, [count];
        mov.u32 %r2, %tid.x;
        setp.ge.u32 %p1, %r2, %r1;
        @%p1 ret;
        mul.wide.u32 %rd2, %r2, 4;
        add.s64 %rd3, %rd1, %rd2;
        ld.global.u32 %r3, [step];
        atom.global.add.u32 %r4, [%rd3], %r3;
        ret;
    }";

fn ok(code: Code) {
    assert_eq!(code, Code::SUCCESS);
}

/// Makes the driver ready and its first device current.
fn start() {
    ok(function!("cuInit" as extern "C" fn(u32) -> Code)(0));
    let mut context = 0_usize;
    ok(function!("cuDevicePrimaryCtxRetain" as extern "C" fn(*mut usize, i32) -> Code)(&raw mut context, 0));
    ok(function!("cuCtxSetCurrent" as extern "C" fn(usize) -> Code)(context));
}

fn load(text: &CStr) -> Result<usize, (Code, String)> {
    let mut module = 0_usize;
    let mut log = [0_u8; 256];
    let options = [5, 6];
    let values = [log.as_mut_ptr() as usize, log.len()];
    type Load = extern "C" fn(*mut usize, *const c_void, u32, *const i32, *const usize) -> Code;
    let load = function!("cuModuleLoadDataEx" as Load);
    match load(&raw mut module, text.as_ptr().cast(), 2, options.as_ptr(), values.as_ptr()) {
        Code::SUCCESS => Ok(module),
        code => Err((code, CStr::from_bytes_until_nul(&log).unwrap().to_string_lossy().into_owned())),
    }
}

fn kernel(module: usize) -> usize {
    let mut function = 0_usize;
    type Get = extern "C" fn(*mut usize, usize, *const i8) -> Code;
    ok(function!("cuModuleGetFunction" as Get)(&raw mut function, module, c"add".as_ptr().cast()));
    function
}

fn launch(function: usize, threads: u32, stream: usize, words: u64, count: u32) -> Code {
    type Launch =
        extern "C" fn(usize, u32, u32, u32, u32, u32, u32, u32, usize, *const *const c_void, *const c_void) -> Code;
    let parameters = [(&raw const words).cast::<c_void>(), (&raw const count).cast()];
    let launch = function!("cuLaunchKernel" as Launch);
    launch(function, 1, 1, 1, threads, 1, 1, 0, stream, parameters.as_ptr(), std::ptr::null())
}

fn allocate(bytes: usize) -> Result<u64, Code> {
    let mut address = 0;
    match function!("cuMemAlloc_v2" as extern "C" fn(*mut u64, usize) -> Code)(&raw mut address, bytes) {
        Code::SUCCESS => Ok(address),
        code => Err(code),
    }
}

fn upload(address: u64, words: &[u32]) {
    type Copy = extern "C" fn(u64, *const c_void, usize, usize) -> Code;
    ok(function!("cuMemcpyHtoDAsync_v2" as Copy)(address, words.as_ptr().cast(), 4 * words.len(), 0));
}

fn download(address: u64, count: usize) -> Vec<u32> {
    let mut words = vec![0_u32; count];
    type Copy = extern "C" fn(*mut c_void, u64, usize) -> Code;
    ok(function!("cuMemcpyDtoH_v2" as Copy)(words.as_mut_ptr().cast(), address, 4 * count));
    words
}

fn make(name: &str) -> usize {
    let mut handle = 0_usize;
    let found = api::find(name).unwrap();
    // SAFETY: streams and events are made by functions of this type.
    let make = unsafe { std::mem::transmute::<*const c_void, extern "C" fn(*mut usize, u32) -> Code>(found) };
    ok(make(&raw mut handle, 0));
    handle
}

#[test]
fn a_kernel_is_loaded_launched_and_timed() {
    start();
    let function = kernel(load(KERNEL).unwrap());
    let words = allocate(40).unwrap();
    upload(words, &(0..10).collect::<Vec<_>>());
    let (stream, before, after) = (make("cuStreamCreate"), make("cuEventCreate"), make("cuEventCreate"));
    let record = function!("cuEventRecord" as extern "C" fn(usize, usize) -> Code);
    ok(record(before, stream));
    ok(launch(function, 32, stream, words, 10));
    ok(record(after, stream));
    ok(function!("cuStreamSynchronize" as extern "C" fn(usize) -> Code)(stream));
    assert_eq!(download(words, 10), (3..13).collect::<Vec<_>>());
    let mut milliseconds = 0.0_f32;
    type Elapsed = extern "C" fn(*mut f32, usize, usize) -> Code;
    ok(function!("cuEventElapsedTime" as Elapsed)(&raw mut milliseconds, before, after));
    assert!(milliseconds > 0.0 && milliseconds < 1.0);
    assert_eq!(launch(function, 257, stream, words, 10), Code::INVALID_VALUE, "more than `.maxntid`");
    let free = function!("cuMemFree_v2" as extern "C" fn(u64) -> Code);
    ok(free(words));
    assert_eq!(free(words), Code::INVALID_VALUE);
}

#[test]
fn a_graph_is_captured_and_launched_twice() {
    start();
    let function = kernel(load(KERNEL).unwrap());
    let words = allocate(4).unwrap();
    upload(words, &[100]);
    let stream = make("cuStreamCreate");
    ok(function!("cuStreamBeginCapture_v2" as extern "C" fn(usize, i32) -> Code)(stream, 0));
    ok(launch(function, 1, stream, words, 1));
    ok(launch(function, 1, stream, words, 1));
    let synchronize = function!("cuStreamSynchronize" as extern "C" fn(usize) -> Code);
    assert_eq!(synchronize(stream), Code::STREAM_CAPTURE_UNSUPPORTED);
    let (mut graph, mut executable) = (0_usize, 0_usize);
    ok(function!("cuStreamEndCapture" as extern "C" fn(usize, *mut usize) -> Code)(stream, &raw mut graph));
    assert_eq!(download(words, 1), [100], "nothing has run");
    type Nodes = extern "C" fn(usize, *mut usize, *mut usize) -> Code;
    let (nodes, mut count) = (function!("cuGraphGetNodes" as Nodes), 0_usize);
    ok(nodes(graph, std::ptr::null_mut(), &raw mut count));
    assert_eq!((count, nodes(stream, std::ptr::null_mut(), &raw mut count)), (2, Code::INVALID_HANDLE));
    type Instantiate = extern "C" fn(*mut usize, usize, u64) -> Code;
    ok(function!("cuGraphInstantiateWithFlags" as Instantiate)(&raw mut executable, graph, 0));
    let run = function!("cuGraphLaunch" as extern "C" fn(usize, usize) -> Code);
    ok(run(executable, stream));
    ok(run(executable, stream));
    assert_eq!(download(words, 1), [112]);
    assert_eq!(run(graph, stream), Code::INVALID_HANDLE, "a graph is no executable");
}

#[test]
fn texts_are_refused_with_a_log() {
    start();
    let with = |from: &str, to: &str| CString::new(KERNEL.to_str().unwrap().replace(from, to)).unwrap();
    let (code, log) = load(&with(".version 7.4", ".version 9.9")).unwrap_err();
    assert_eq!(code, Code::UNSUPPORTED_PTX_VERSION);
    assert!(log.contains("Unsupported .version 9.9"), "{log}");
    assert_eq!(load(&with("sm_70", "sm_120")).unwrap_err().0, Code::NO_BINARY_FOR_GPU);
    assert_eq!(load(&with("sm_70", "sm_80a")).unwrap_err().0, Code::NO_BINARY_FOR_GPU);
    assert!(load(&with("sm_70", "sm_90a")).is_ok());
    // What a driver is too old for is not looked at any further.
    let newer = CString::new(KERNEL.to_str().unwrap().replace("7.4", "9.9").replace("mul.wide", "frobnicate")).unwrap();
    assert_eq!(load(&newer).unwrap_err().0, Code::UNSUPPORTED_PTX_VERSION);
    let (code, log) = load(&with("mul.wide.u32", "frobnicate")).unwrap_err();
    assert_eq!(code, Code::INVALID_PTX);
    assert!(log.contains("line 15") && log.contains("frobnicate"), "{log}");
}

#[test]
fn what_does_not_exist_is_an_error() {
    start();
    assert_eq!(allocate(1 << 40), Err(Code::OUT_OF_MEMORY));
    assert_eq!(allocate(0), Err(Code::INVALID_VALUE));
    let mut value = 0_i32;
    let attribute = function!("cuDeviceGetAttribute" as extern "C" fn(*mut i32, i32, i32) -> Code);
    assert_eq!(attribute(&raw mut value, 75, 1), Code::INVALID_DEVICE);
    ok(attribute(&raw mut value, 75, 0));
    assert_eq!(value, 9);
    assert_eq!(attribute(std::ptr::null_mut(), 75, 0), Code::INVALID_VALUE);
    let synchronize = function!("cuStreamSynchronize" as extern "C" fn(usize) -> Code);
    assert_eq!(synchronize(0xdead_beef), Code::INVALID_HANDLE);
    assert_eq!(launch(0, 1, 0, 0, 0), Code::INVALID_HANDLE);
    assert!(api::find("cuCtxCreate_v4").is_none());
}

#[test]
fn pinned_memory_is_given_and_taken_back() {
    start();
    let mut memory = std::ptr::null_mut::<u8>();
    let allocate = function!("cuMemHostAlloc" as extern "C" fn(*mut *mut u8, usize, u32) -> Code);
    ok(allocate(&raw mut memory, 10_000, 0));
    assert!((memory as usize).is_multiple_of(4096));
    let free = function!("cuMemFreeHost" as extern "C" fn(*mut u8) -> Code);
    ok(free(memory));
    assert_eq!(free(memory), Code::INVALID_VALUE);
}

#[test]
fn names_are_those_of_the_driver() {
    let mut text = std::ptr::null::<i8>();
    let name = function!("cuGetErrorName" as extern "C" fn(i32, *mut *const i8) -> Code);
    ok(name(719, &raw mut text));
    // SAFETY: the function answered with a text that ends with a zero and lives as long as the program.
    let text = unsafe { CStr::from_ptr(text.cast()) };
    assert_eq!(text, c"CUDA_ERROR_LAUNCH_FAILED");
    let mut nothing = std::ptr::null::<i8>();
    assert_eq!(name(123_456, &raw mut nothing), Code::INVALID_VALUE);
    let mut found = std::ptr::null::<c_void>();
    type Find = extern "C" fn(*const i8, *mut *const c_void, i32, u64) -> Code;
    let find = function!("cuGetProcAddress" as Find);
    ok(find(c"cuMemAlloc".as_ptr().cast(), &raw mut found, 12000, 0));
    assert_eq!(Some(found), api::find("cuMemAlloc_v2"));
    assert_eq!(find(c"cuNothing".as_ptr().cast(), &raw mut found, 12000, 0), Code::NOT_FOUND);
}
