//! Profiles by what users call them: a path, a name, the beginning of a name, some of its words; or this machine's.

use std::io;
use std::path::{Path, PathBuf};

use rooflab::facts::DeviceKind;
use rooflab::profile::{Bundled, Profile, ReadNote, Store, StoreError, bundled, bundled_named, from_reader};
use rooflab::report::not_of_hardware;

use super::context::Context;
use super::devices::choose;
use super::error::CliError;
use super::host::ThisProgram;

/// The name of the profile that a plain `rooflab probe` writes here.
pub(super) fn or_this_machine(which: Option<&str>) -> Result<String, CliError> {
    if let Some(name) = which {
        return Ok(name.to_owned());
    }
    let host = ThisProgram::default();
    let choice = choose(None, &host)?.into_iter().next();
    let identity = choice.and_then(|choice| choice.backend.devices(&host).ok()?.into_iter().nth(choice.index));
    identity
        .map(|device| Store::name_for(&device.name, &device.backend))
        .ok_or_else(|| CliError::new("there is no device here"))
}

pub(super) fn load_and_note(context: &mut Context, name: &str) -> Result<Profile, CliError> {
    let (profile, notes) = load(context, name)?;
    for note in notes {
        context.say(&format!("note: {name}: {note}"));
    }
    if profile.device.kind == DeviceKind::Software {
        let warning = not_of_hardware(profile.device.kind).unwrap_or_default();
        context.say(&format!("warning: {name}: {warning}"));
    }
    Ok(profile)
}

/// A profile by name or path, or from standard input.
fn load(context: &Context, name: &str) -> Result<(Profile, Vec<ReadNote>), CliError> {
    if name == "-" {
        return from_reader(io::stdin().lock()).map_err(|error| CliError::reading("standard input", &error));
    }
    // A path needs no store, and so no home directory.
    let store = context.store().unwrap_or_else(|_| Store::new(""));
    Ok(match find(&store, name)? {
        Found::Stored(_, profile, notes) => (profile, notes),
        Found::Bundled(_, profile) => (profile, Vec::new()),
    })
}

/// A profile that was looked up.
pub(super) enum Found {
    /// In a file.
    Stored(PathBuf, Profile, Vec<ReadNote>),
    /// In rooflab itself.
    Bundled(&'static Bundled, Profile),
}

/// Looks up a profile: a path, a stored name, a bundled name, the beginning of a stored name, that of a bundled one, some of a bundled one's words.
pub(super) fn find(store: &Store, text: &str) -> Result<Found, CliError> {
    let shipped = |bundled: &'static Bundled| bundled.profile().map(|profile| Found::Bundled(bundled, profile.clone()));
    let exact = bundled_named(text).filter(|_| !Path::new(text).is_file() && !store.path(text).is_file());
    if let Some(found) = exact.and_then(shipped) {
        return Ok(found);
    }
    let error = match store.find(text) {
        Ok((path, profile, notes)) => return Ok(Found::Stored(path, profile, notes)),
        Err(error) => error,
    };
    let StoreError::NotFound { known, .. } = &error else { return Err(error.into()) };
    if text.is_empty() || known.iter().any(|name| name.starts_with(text)) {
        return Err(error.into());
    }
    let with = |fits: fn(&str, &str) -> bool| -> Vec<&'static Bundled> {
        bundled().iter().filter(|bundled| fits(bundled.name(), text)).collect()
    };
    let candidates = [with(|name, text| name.starts_with(text)), with(has_words)];
    match candidates.iter().find(|candidates| !candidates.is_empty()).map(Vec::as_slice) {
        Some([only]) => shipped(only).ok_or_else(|| error.into()),
        None => Err(error.into()),
        Some(several) => {
            let names: Vec<&str> = several.iter().map(|bundled| bundled.name()).collect();
            Err(CliError::new(error.to_string()).with_hint(format!("it is part of: {}", names.join(", "))))
        }
    }
}

/// Whether a text is some of a name's words, one after the other: `rtx-4090` in `nvidia-geforce-rtx-4090`.
fn has_words(name: &str, text: &str) -> bool {
    format!("-{name}-").contains(&format!("-{text}-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_of_a_name_find_it() {
        assert!(has_words("nvidia-geforce-rtx-4090", "rtx-4090") && has_words("nvidia-a100-sxm-80gb", "a100"));
        assert!(!has_words("nvidia-geforce-rtx-4090", "tx-4090") && !has_words("nvidia-a100-sxm-80gb", "a10"));
    }
}
