//! Reads a profile and prints the numbers of its roofline: how fast the device reads its memory, how fast it calculates, and from how many operations per byte on arithmetic is what bounds.
//!
//! ```text
//! cargo run --no-default-features --example read_profile -- profile.json
//! ```

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use rooflab::profile::{Ceilings, Demand, Place, from_reader};
use rooflab::resource::{Resource, Scope};

/// Prints the roofline of the profile in a file.
pub(crate) fn run(path: &Path, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let (profile, notes) = from_reader(File::open(path)?)?;
    for note in notes {
        writeln!(out, "note: {note}")?;
    }
    let ceilings = Ceilings::new(&profile);
    // An answer says how it is known. What stands for another resource is left out here: a roof is of its own resource.
    let ask = |key: &str| -> Result<Option<(f64, &'static str)>, Box<dyn Error>> {
        let resource: Resource = key.parse()?;
        let answer = ceilings.ask(&Demand { resource, scope: Scope::Device, at: Place::Anywhere });
        let known = answer.known().filter(|known| known.how.word() != "substituted");
        Ok(known.map(|known| (known.value, known.how.word())))
    };
    writeln!(out, "{} ({})", profile.device.name, profile.kind())?;
    let Some((bandwidth, how)) = ask("memory.dram.read")? else {
        writeln!(out, "the bandwidth of its memory is not known")?;
        return Ok(());
    };
    writeln!(out, "memory.dram.read: {:.1} GB/s, {how}", bandwidth / 1e9)?;
    for key in ["compute.vector.f32", "compute.vector.bf16.f32", "compute.matrix.bf16.f32"] {
        if let Some((peak, how)) = ask(key)? {
            writeln!(out, "{key}: {:.1} GFLOP/s, {how}; ridge at {:.1} FLOP/B", peak / 1e9, peak / bandwidth)?;
        }
    }
    Ok(())
}

#[allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "a program takes its arguments; the test that includes this file has others"
)]
fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: read_profile PROFILE.json")?;
    run(Path::new(&path), &mut io::stdout().lock())
}
