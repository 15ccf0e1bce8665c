//! Engine profiles by their paths.

use std::error::Error;
use std::fs::File;
use std::path::Path;

use rooflab::profile::{CalibratedEngine, Profile};

use super::error::CliError;

/// The engine profile of a file, if it was measured on the device of a hardware profile.
pub(super) fn load(path: Option<&Path>, profile: &Profile) -> Result<Option<CalibratedEngine>, CliError> {
    path.map(|path| of_device(path, profile)).transpose()
}

fn unreadable(path: &str, error: &dyn Error) -> CliError {
    CliError::caused_by(format!("cannot use `{path}` as an engine profile"), error)
        .with_hint("`rooflab generate schema engine` writes the format of an engine profile")
}

fn of_device(path: &Path, profile: &Profile) -> Result<CalibratedEngine, CliError> {
    let shown = path.display().to_string();
    let file = File::open(path).map_err(|error| unreadable(&shown, &error))?;
    let engine = CalibratedEngine::from_reader(file).map_err(|error| unreadable(&shown, &error))?;
    if engine.document().device == profile.device.name {
        return Ok(engine);
    }
    let (of, on) = (&engine.document().device, &profile.device.name);
    Err(CliError::new(format!("`{shown}` was measured on `{of}`, and the profile `{}` is of `{on}`", profile.name))
        .with_hint("an engine profile holds for the device it was measured on: name a profile of that one with `--profile`, or leave `--engine` out"))
}
