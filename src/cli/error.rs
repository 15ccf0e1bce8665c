//! Errors as the user meets them: what went wrong, why, and a command that helps.

use std::error::Error;
use std::io;
use std::path::Path;

use rooflab::backend::BackendError;
use rooflab::probe::SelectionError;
use rooflab::profile::{ReadError, StoreError};

/// An error that ends the command with exit code 2.
#[derive(Debug)]
pub(crate) enum CliError {
    /// Standard output was closed by its reader.
    BrokenPipe,
    /// Everything else.
    Message {
        /// What went wrong.
        message: String,
        /// Why, from the nearest cause to the deepest.
        causes: Vec<String>,
        /// What to do about it.
        hint: Option<String>,
    },
}

impl CliError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::Message { message: message.into(), causes: Vec::new(), hint: None }
    }

    /// An error of the library with its causes.
    pub(crate) fn caused_by(message: impl Into<String>, error: &dyn Error) -> Self {
        let mut causes = Vec::new();
        let mut next = Some(error);
        while let Some(error) = next {
            causes.push(error.to_string());
            next = error.source();
        }
        // Errors that end with what their source says already would say it twice.
        causes.dedup_by(|cause, before| before.ends_with(cause.as_str()));
        Self::Message { message: message.into(), causes, hint: None }
    }

    pub(crate) fn with_hint(self, text: impl Into<String>) -> Self {
        match self {
            Self::Message { message, causes, .. } => Self::Message { message, causes, hint: Some(text.into()) },
            Self::BrokenPipe => self,
        }
    }

    /// An error while writing output.
    pub(crate) fn writing(target: &str, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::BrokenPipe;
        }
        Self::caused_by(format!("cannot write to {target}"), error)
    }

    pub(crate) fn writing_file(path: &Path, error: &io::Error) -> Self {
        Self::writing(&format!("`{}`", path.display()), error)
            .with_hint("choose another file with `--output`, or leave it out")
    }

    pub(crate) fn reading(what: &str, error: &ReadError) -> Self {
        let hint = match error {
            ReadError::Newer { .. } => "update rooflab: `cargo install rooflab`",
            ReadError::Truncated(_) | ReadError::Empty => {
                "measure again: `rooflab probe`; older profiles are kept in `history/`"
            }
            ReadError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                "`rooflab profile list` shows what there is"
            }
            _ => "`rooflab generate schema` writes the format of a profile",
        };
        Self::caused_by(format!("cannot use {what} as a profile"), error).with_hint(hint)
    }
}

impl From<BackendError> for CliError {
    fn from(error: BackendError) -> Self {
        let hint = error.hint().unwrap_or("`rooflab devices` lists what can be measured").to_owned();
        Self::caused_by("the device cannot be used", &error).with_hint(hint)
    }
}

impl From<SelectionError> for CliError {
    fn from(error: SelectionError) -> Self {
        Self::new(error.to_string()).with_hint("`rooflab explain` lists every ceiling")
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Read { path, source } => Self::reading(&format!("`{}`", path.display()), source),
            StoreError::Write { path, source } => {
                Self::caused_by(format!("cannot write `{}`", path.display()), source).with_hint(
                    "measure without storing: `rooflab probe --no-save --json > profile.json`, or choose another folder with `XDG_DATA_HOME`",
                )
            }
            StoreError::NotFound { known, .. } if known.is_empty() => {
                Self::new(error.to_string()).with_hint(
                    "no profile is stored yet: `rooflab probe` measures this machine; `rooflab profile list` shows the bundled ones",
                )
            }
            StoreError::NotFound { known, .. } => {
                Self::new(error.to_string()).with_hint(format!(
                    "there are: {}; `rooflab profile list` shows the bundled ones too",
                    known.join(", ")
                ))
            }
        }
    }
}
