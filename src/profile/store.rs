//! The folder where profiles live: one file per device and backend, written atomically, the older ones kept in `history/`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::document::Profile;
use super::name::slug;
use super::read::{self, ReadError, ReadNote};

/// A folder of profiles.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// A profile in the store.
#[derive(Debug)]
pub struct Entry {
    /// The name it is looked up by.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The profile, or why it cannot be read.
    pub profile: Result<Profile, ReadError>,
}

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder could not be written.
    #[error("`{path}` cannot be written")]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file could not be read as a profile.
    #[error("`{path}` cannot be used")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
    /// There is no profile of this name.
    #[error("there is no profile `{name}`")]
    NotFound {
        /// The name.
        name: String,
        /// Names there are.
        known: Vec<String>,
    },
}

impl Store {
    /// A store in a folder, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a profile of this name is kept.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// The name a device's profile is kept under: `amd-epyc-9654.cpu`.
    #[must_use]
    pub fn name_for(device: &str, backend: &str) -> String {
        format!("{}.{}", slug(device), slug(backend))
    }

    /// Makes sure that the folder exists and can be written.
    ///
    /// # Errors
    /// When it cannot.
    pub fn prepare(&self) -> Result<(), StoreError> {
        let error = |source| StoreError::Write { path: self.folder.clone(), source };
        fs::create_dir_all(&self.folder).map_err(error)?;
        NamedTempFile::new_in(&self.folder).map(drop).map_err(error)
    }

    /// Writes a profile under its name: whole or not at all, even when the machine stops in the middle.
    ///
    /// # Errors
    /// When the folder cannot be written (read-only, full, not a folder).
    pub fn save(&self, profile: &Profile) -> Result<PathBuf, StoreError> {
        let path = self.path(&profile.name);
        write_atomically(&path, profile.to_json().as_bytes())?;
        Ok(path)
    }

    /// Writes a profile to a file: whole or not at all, even when the machine stops in the middle.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(path: &Path, profile: &Profile) -> Result<(), StoreError> {
        write_atomically(path, profile.to_json().as_bytes())
    }

    /// Moves what is kept under a name to the history, so that the next [`Store::save`] does not replace it. Its own time of
    /// creation names the file there.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn retire(&self, name: &str) -> Result<Option<PathBuf>, StoreError> {
        let path = self.path(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Read { path, source: source.into() }),
        };
        let stamp = match read::from_json(&bytes) {
            Ok((profile, _)) => profile.header.created.strftime("%Y%m%dT%H%M%SZ").to_string(),
            // What cannot be read is kept all the same.
            Err(_) => "unreadable".to_owned(),
        };
        let folder = self.folder.join("history");
        let free = (0..10_000).map(|number| match number {
            0 => folder.join(format!("{name}.{stamp}.json")),
            _ => folder.join(format!("{name}.{stamp}-{number}.json")),
        });
        let Some(kept) = free.into_iter().find(|path| !path.exists()) else { return Ok(None) };
        let error = |source| StoreError::Write { path: kept.clone(), source };
        fs::create_dir_all(&folder).map_err(error)?;
        fs::rename(&path, &kept).map_err(error)?;
        Ok(Some(kept))
    }

    /// Whether a complete profile is kept under a name.
    #[must_use]
    pub fn has_complete(&self, name: &str) -> bool {
        load(&self.path(name)).is_ok_and(|(profile, _)| profile.header.complete)
    }

    /// Removes what is kept under a name, if anything is.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(StoreError::Write { path, source }),
            _ => Ok(()),
        }
    }

    /// Every profile in the folder, by name. A folder that does not exist is empty.
    ///
    /// # Errors
    /// When the folder exists and cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, StoreError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::Read { path: self.folder.clone(), source: error.into() }),
        };
        let mut list: Vec<Entry> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .filter_map(|path| {
                let name = path.file_stem()?.to_str()?.to_owned();
                let profile = load(&path).map(|(profile, _)| profile);
                Some(Entry { name, path, profile })
            })
            .collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(list)
    }

    /// Finds a profile by its name, by an unambiguous beginning of it, or by a path.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn find(&self, name_or_path: &str) -> Result<(PathBuf, Profile, Vec<ReadNote>), StoreError> {
        let path = self.resolve(name_or_path)?;
        let (profile, notes) = load(&path).map_err(|source| StoreError::Read { path: path.clone(), source })?;
        Ok((path, profile, notes))
    }

    fn resolve(&self, text: &str) -> Result<PathBuf, StoreError> {
        let as_path = Path::new(text);
        let looks_like_path = text.contains(std::path::is_separator) || text.ends_with(".json");
        if looks_like_path || as_path.is_file() {
            return Ok(as_path.to_path_buf());
        }
        let exact = self.path(text);
        if exact.is_file() {
            return Ok(exact);
        }
        let known = self.list()?;
        let mut matching = known.iter().filter(|entry| !text.is_empty() && entry.name.starts_with(text));
        match (matching.next(), matching.next()) {
            (Some(only), None) => Ok(only.path.clone()),
            _ => Err(StoreError::NotFound {
                name: text.to_owned(),
                known: known.into_iter().map(|entry| entry.name).collect(),
            }),
        }
    }
}

fn load(path: &Path) -> Result<(Profile, Vec<ReadNote>), ReadError> {
    read::from_reader(File::open(path)?)
}

/// Writes a file through a temporary neighbour that takes its place once it is safely on disk.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let error = |source| StoreError::Write { path: path.to_path_buf(), source };
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(error)?;
    let mut file = NamedTempFile::new_in(folder).map_err(error)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(error)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Temporary files are private; a profile is for other tools to read.
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).map_err(error)?;
    }
    file.persist(path).map_err(|failed| error(failed.error))?;
    Ok(())
}
