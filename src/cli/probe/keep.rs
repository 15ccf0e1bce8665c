//! Where a profile goes while it grows: the store, after every finished step, and the file the user named.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rooflab::facts::Identity;
use rooflab::profile::{Imported, Profile, Store, StoreError};

use crate::cli::args;
use crate::cli::context::{Context, file};
use crate::cli::error::CliError;

/// Keeps a growing profile.
pub(super) struct Keeper {
    store: Option<Store>,
    name: String,
    /// Whether an older profile is stored under the name, which goes to the history before this one takes its place.
    older: bool,
    /// Whether that one is complete: then it stays there until this one is complete too.
    protected: bool,
    output: Option<(PathBuf, File)>,
    stdout: bool,
    saved: Option<PathBuf>,
    failure: Option<StoreError>,
    why_not: &'static str,
}

impl Keeper {
    /// Opens everything that will be written, so that what cannot be written is known before anything is measured.
    pub(super) fn new(context: &Context, arguments: &args::Probe, name: &str) -> Result<Self, CliError> {
        // A few ceilings must not take the place of a whole profile.
        let partial = !arguments.probes.is_empty() && arguments.name.is_none();
        let why_not = if partial && !arguments.no_save { ": only a part was measured; `--name` keeps it" } else { "" };
        let store = if arguments.no_save || partial { None } else { Some(context.store()?) };
        if let Some(store) = &store {
            store.prepare()?;
        }
        let path = file(arguments.output.as_deref());
        let stdout = arguments.output.is_some() && path.is_none();
        let output = match path {
            Some(path) => {
                // Not truncated: the file keeps what it holds until there is something to take its place.
                let file = OpenOptions::new().create(true).write(true).truncate(false).open(path);
                Some((path.to_path_buf(), file.map_err(|error| CliError::writing_file(path, &error))?))
            }
            None => None,
        };
        let protected = store.as_ref().is_some_and(|store| store.has_complete(name));
        let older = store.as_ref().is_some_and(|store| store.path(name).exists());
        let name = name.to_owned();
        Ok(Self { store, name, older, protected, output, stdout, saved: None, failure: None, why_not })
    }

    /// What other tools measured of the device, and the profile that will be replaced holds.
    pub(super) fn imported(&self, device: &Identity) -> Vec<Imported> {
        let same = |profile: &Profile| (&profile.device.name, &profile.device.id) == (&device.name, &device.id);
        let older = self.store.as_ref().and_then(|store| store.find(&self.name).ok());
        older.map(|(_, profile, _)| profile).filter(same).map_or_else(Vec::new, |profile| profile.imported)
    }

    /// Keeps what is known so far. A failure is remembered and does not end the run.
    pub(super) fn keep(&mut self, profile: &Profile) {
        let Some(store) = &self.store else { return };
        if profile.ceilings.iter().all(|ceiling| ceiling.points().is_empty()) {
            return;
        }
        let partial = format!("{}.partial", self.name);
        let beside = self.protected && !profile.header.complete;
        let saved = if beside {
            store.save(&Profile { name: partial, ..profile.clone() })
        } else {
            let retired = if std::mem::take(&mut self.older) { store.retire(&self.name).map(|_| ()) } else { Ok(()) };
            retired.and_then(|()| store.save(profile)).and_then(|path| store.remove(&partial).map(|()| path))
        };
        match saved {
            Ok(path) => (self.saved, self.failure) = (Some(path), None),
            Err(error) => self.failure = Some(error),
        }
    }

    /// Keeps the final profile. When the store cannot take it, it is saved where it can be.
    pub(super) fn finish(&mut self, profile: &Profile) -> Result<(), CliError> {
        self.keep(profile);
        let mut result = Ok(());
        if let Some((path, file)) = &mut self.output {
            result = overwrite(file, &profile.to_json()).map_err(|error| CliError::writing_file(path, &error));
        }
        if let Some(error) = self.failure.take() {
            self.saved = None;
            let rescued = rescue(profile);
            let error = CliError::from(error);
            return Err(match rescued {
                Some(path) => error.with_hint(format!("the profile was saved to `{}` instead", path.display())),
                None => error.with_hint("what was measured is shown above and nowhere else"),
            });
        }
        result
    }

    pub(super) fn saved(&self) -> Option<&Path> {
        self.saved.as_deref()
    }

    pub(super) fn why_not(&self) -> &'static str {
        self.why_not
    }

    pub(super) fn writes_to_stdout(&self) -> bool {
        self.stdout
    }
}

/// Replaces what a file holds. Pipes and devices are just written to.
fn overwrite(file: &mut File, text: &str) -> io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    file.write_all(text.as_bytes())
}

/// Saves the profile to the working directory or else to the one for temporary files, under a name of its own.
fn rescue(profile: &Profile) -> Option<PathBuf> {
    let stamp = profile.header.created.strftime("%Y%m%dT%H%M%SZ");
    let file = format!("{}.{stamp}.json", profile.name);
    [PathBuf::from("."), std::env::temp_dir()].into_iter().map(|folder| folder.join(&file)).find(|path| {
        let opened = OpenOptions::new().create_new(true).write(true).open(path);
        opened.and_then(|mut out| out.write_all(profile.to_json().as_bytes())).is_ok()
    })
}
