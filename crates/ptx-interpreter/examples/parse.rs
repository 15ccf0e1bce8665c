//! Decodes PTX files and lists their kernels: `cargo run -p ptx-interpreter --example parse -- kernels/ptx/*.ptx`.

#![allow(clippy::print_stdout, reason = "it is a command")]

use std::error::Error;
use std::fs;

use ptx_interpreter::Module;

fn main() -> Result<(), Box<dyn Error>> {
    let mut failed = false;
    for path in std::env::args().skip(1) {
        match Module::parse(&fs::read_to_string(&path)?) {
            Ok(module) => {
                let kernels: Vec<&str> = module.kernels().iter().map(|kernel| kernel.name()).collect();
                println!("{path}: PTX {}, {}: {}", module.version, module.target, kernels.join(" "));
            }
            Err(error) => {
                failed = true;
                println!("{path}: {error}");
            }
        }
    }
    if failed { Err("some files are not understood".into()) } else { Ok(()) }
}
