//! Modules and their functions.

use std::ffi::{c_char, c_int, c_uint};
use std::sync::Arc;

use ptx_interpreter::{Loaded, Module as Text, ParseError};

use crate::code::Code;
use crate::driver::{Driver, ready};
use crate::launch::USUAL_SHARED;
use crate::objects::{Function, Handle, Module, Object};
use crate::pointer::{In, Out};

/// Options of the assembler that are followed: where its complaints go, and how much room there is.
pub(crate) const ERROR_LOG: c_int = 5;
pub(crate) const ERROR_LOG_BYTES: c_int = 6;
/// Attributes of functions.
const MOST_THREADS: c_int = 0;
const SHARED_BYTES: c_int = 1;
const LOCAL_BYTES: c_int = 3;
const REGISTERS: c_int = 4;
const PTX_VERSION: c_int = 5;
const BINARY_VERSION: c_int = 6;
const MOST_DYNAMIC: c_int = 8;

entries! {
    fn cuModuleLoadData(module: Out<Handle>, text: In<c_char>) {
        let driver = ready()?;
        let loaded = load(driver, text).map_err(|(code, complaint)| {
            eprintln!("stand-in CUDA driver: {complaint}");
            code
        })?;
        module.put(loaded)
    }

    fn cuModuleLoadDataEx(
        module: Out<Handle>,
        text: In<c_char>,
        count: c_uint,
        options: In<c_int>,
        values: In<usize>,
    ) {
        let driver = ready()?;
        let given: Vec<(c_int, usize)> = {
            let (options, values) = (options.values(count as usize)?, values.values(count as usize)?);
            options.iter().copied().zip(values.iter().copied()).collect()
        };
        let value = |option| given.iter().find(|row| row.0 == option).map(|row| row.1);
        let loaded = load(driver, text).map_err(|(code, complaint)| {
            if let (Some(log), Some(room)) = (value(ERROR_LOG), value(ERROR_LOG_BYTES)) {
                // A log without room is the caller's wish.
                let _ = Out(log as *mut c_char).put_text(&complaint, room);
            }
            code
        })?;
        module.put(loaded)
    }

    fn cuModuleUnload(module: Handle) {
        let driver = ready()?;
        let (device, _) = driver.current()?;
        device.wait();
        match driver.objects().remove(module)? {
            Object::Module(module) => module.loaded.unload(&device.memory)?,
            _ => return Err(Code::INVALID_HANDLE),
        }
        driver.too(|other| other.cuModuleUnload(module))
    }

    fn cuModuleGetFunction(function: Out<Handle>, module: Handle, name: In<c_char>) {
        let driver = ready()?;
        let kernel = name.text()?;
        let found = match driver.objects().get(module)? {
            Object::Module(module) => Arc::clone(module),
            _ => return Err(Code::INVALID_HANDLE),
        };
        if found.loaded.kernel(&kernel).is_none() {
            return Err(Code::NOT_FOUND);
        }
        let found = Object::Function(Function { module: found, name: kernel, dynamic_limit: USUAL_SHARED });
        function.put(driver.add(found, |other, function| other.cuModuleGetFunction(function, module, name))?)
    }

    fn cuModuleGetGlobal_v2(address: Out<u64>, bytes: Out<usize>, module: Handle, name: In<c_char>) {
        let driver = ready()?;
        let objects = driver.objects();
        let Object::Module(module) = objects.get(module)? else { return Err(Code::INVALID_HANDLE) };
        let (at, size) = module.loaded.variable(&name.text()?).ok_or(Code::NOT_FOUND)?;
        address.put_if_wanted(at);
        bytes.put_if_wanted(size as usize);
        Ok(())
    }

    fn cuFuncGetAttribute(value: Out<c_int>, attribute: c_int, function: Handle) {
        let driver = ready()?;
        let function = driver.objects().function(function)?;
        let loaded = &function.module.loaded;
        let kernel = loaded.kernel(&function.name).ok_or(Code::INVALID_HANDLE)?;
        let version = loaded.module().version;
        let number = match attribute {
            MOST_THREADS => kernel.max_threads().unwrap_or(1024).min(1024),
            SHARED_BYTES => kernel.shared_bytes(),
            LOCAL_BYTES => kernel.local_bytes(),
            REGISTERS => registers(kernel.registers()),
            PTX_VERSION => 10 * version.major + version.minor,
            BINARY_VERSION => driver.knobs.capability,
            MOST_DYNAMIC => function.dynamic_limit,
            _ => 0,
        };
        value.put(c_int::try_from(number).unwrap_or(c_int::MAX))
    }

    fn cuFuncSetAttribute(function: Handle, attribute: c_int, value: c_int) {
        let driver = ready()?;
        match driver.objects().get_mut(function)? {
            Object::Function(function) if attribute == MOST_DYNAMIC => {
                let limit = u32::try_from(value).map_err(|_| Code::INVALID_VALUE)?;
                if limit > driver.knobs.options.shared_limit {
                    return Err(Code::INVALID_VALUE);
                }
                function.dynamic_limit = limit;
            }
            Object::Function(_) => {}
            _ => return Err(Code::INVALID_HANDLE),
        }
        driver.too(|other| other.cuFuncSetAttribute(function, attribute, value))
    }

    fn cuFuncSetCacheConfig(function: Handle, config: c_int) {
        let driver = ready()?;
        driver.objects().function(function)?;
        driver.too(|other| other.cuFuncSetCacheConfig(function, config))
    }
}

/// What an assembler might come to: a text names far more registers than it needs.
pub(super) fn registers(named: u32) -> u32 {
    named.clamp(16, 64)
}

/// Assembles a text, or says what is wrong as the driver's assembler does.
fn load(driver: &Driver, given: In<c_char>) -> Result<Handle, (Code, String)> {
    let silent = |code| (code, String::new());
    let (device, number) = driver.current().map_err(silent)?;
    let text = &given.text().map_err(silent)?;
    let refused = |error: ParseError| {
        let complaint = format!("ptxas application ptx input, line {}; error : {}", error.line, error.message);
        (Code::INVALID_PTX, complaint)
    };
    let (version, target) = Text::header(text).map_err(refused)?;
    let newest = driver.knobs.newest_ptx();
    if version > newest {
        let complaint = format!(
            "ptxas application ptx input, line 1; fatal : Unsupported .version {version}; current version is '{newest}'"
        );
        return Err((Code::UNSUPPORTED_PTX_VERSION, complaint));
    }
    if !target.runs_on(driver.knobs.capability) {
        let complaint = format!("{target} does not run on sm_{}", driver.knobs.capability);
        return Err((Code::NO_BINARY_FOR_GPU, complaint));
    }
    let module = Text::parse(text).map_err(refused)?;
    let loaded = Loaded::new(module, &device.memory).map_err(|error| (error.clone().into(), error.to_string()))?;
    let module = Object::Module(Arc::new(Module { device: number, loaded }));
    driver.add(module, |other, module| other.load(module, given))
}
