//! What is noted of another driver: a line of JSON for each comparison, and for each call that it refused.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::code::Code;

/// Where it is noted, if anywhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(pub(crate) Option<PathBuf>);

impl Log {
    /// Appends a line.
    pub(super) fn note(&self, line: &Value) {
        let Some(path) = &self.0 else { return };
        if let Err(error) = append(path, line) {
            eprintln!("stand-in CUDA driver: {}: {error}", path.display());
        }
    }

    /// A call that the other driver refused. Memory may be full, or a device lost: whether that is wrong is for the reader.
    pub(super) fn refused(&self, call: &str, code: Code) {
        let name = code.name().map(|name| name.to_string_lossy());
        self.note(&json!({"call": call, "code": code.0, "name": name, "verdict": "refused"}));
    }
}

/// Appends a line to a file, in one write, so that lines of several processes stay whole.
pub(crate) fn append(path: &Path, line: &Value) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())
}
