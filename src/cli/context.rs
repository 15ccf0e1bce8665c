//! What the command knows of its surroundings: environment, folders, date, terminal. The library is handed these.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anstream::{AutoStream, ColorChoice};
use etcetera::BaseStrategy;
use jiff::Timestamp;
use rooflab::profile::{Source, Store};
use rooflab::report::{Block, Style, text};
use serde::Serialize;

use super::error::CliError;

/// The command's surroundings.
pub(crate) struct Context {
    /// Whether JSON was asked for.
    pub(crate) json: bool,
    out: io::BufWriter<AutoStream<io::Stdout>>,
    style: Style,
}

impl Context {
    pub(crate) fn new(json: bool) -> Self {
        let stdout = io::stdout();
        let width = stdout.is_terminal().then(terminal_size::terminal_size).flatten().map(|(width, _)| width.0.into());
        // `AutoStream` takes the colours out again where the terminal, `NO_COLOR` or a pipe does not want them.
        let style = Style { width, unicode: unicode(), colour: true };
        Self { json, out: io::BufWriter::new(AutoStream::auto(stdout)), style }
    }

    /// Writes a report to standard output.
    pub(crate) fn show(&mut self, blocks: &[Block]) -> Result<(), CliError> {
        let text = text(blocks, self.style);
        self.write(&text)
    }

    /// Writes text to standard output.
    pub(crate) fn write(&mut self, text: &str) -> Result<(), CliError> {
        self.out.write_all(text.as_bytes()).map_err(|error| CliError::writing("standard output", &error))
    }

    /// Writes a report to a file, or to standard output.
    pub(crate) fn show_in(&mut self, path: Option<&Path>, blocks: &[Block]) -> Result<(), CliError> {
        match file(path) {
            None => self.show(blocks),
            Some(path) => save(path, text(blocks, IN_A_FILE).as_bytes()),
        }
    }

    /// Writes text to a file, or to standard output.
    pub(crate) fn write_in(&mut self, path: Option<&Path>, text: &str) -> Result<(), CliError> {
        match file(path) {
            None => self.write(text),
            Some(path) => save(path, text.as_bytes()),
        }
    }

    /// Writes a value as JSON to a file, or to standard output.
    pub(crate) fn write_json_in(&mut self, path: Option<&Path>, value: &impl Serialize) -> Result<(), CliError> {
        let text =
            serde_json::to_string_pretty(value).map_err(|error| CliError::caused_by("cannot write JSON", &error))?;
        self.write_in(path, &(text + "\n"))
    }

    /// Writes bytes that are no text to standard output.
    pub(crate) fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.flush()?;
        io::stdout().write_all(bytes).map_err(|error| CliError::writing("standard output", &error))
    }

    /// How text is drawn on standard output.
    pub(crate) const fn style(&self) -> Style {
        self.style
    }

    /// Writes a value to standard output as JSON.
    pub(crate) fn write_json(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        self.write_json_in(None, value)
    }

    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        self.out.flush().map_err(|error| CliError::writing("standard output", &error))
    }

    /// Says something beside the data, on standard error.
    pub(crate) fn say(&mut self, text: &str) {
        // What was written to standard output so far comes before it.
        let _ = self.out.flush();
        let _ = writeln!(AutoStream::auto(io::stderr()), "{text}");
    }

    /// Reports an error on standard error.
    pub(crate) fn complain(&mut self, error: &CliError) {
        let CliError::Message { message, causes, hint } = error else { return };
        let red = anstyle::AnsiColor::Red.on_default().effects(anstyle::Effects::BOLD);
        let dim = anstyle::Style::new().effects(anstyle::Effects::DIMMED);
        let mut text = format!("{red}error:{red:#} {message}");
        for cause in causes {
            text += &format!("\n  {dim}cause:{dim:#} {cause}");
        }
        if let Some(hint) = hint {
            text += &format!("\n  {dim}hint:{dim:#} {hint}");
        }
        self.say(&text);
    }

    /// The folder of profiles: `rooflab/profiles` in the user's data directory.
    #[expect(clippy::disallowed_methods, reason = "this is where the command reads its environment")]
    pub(crate) fn store(&self) -> Result<Store, CliError> {
        let data = match std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute()) {
            Some(folder) => folder,
            None => etcetera::choose_base_strategy().map(|base| base.data_dir()).map_err(|error| {
                CliError::caused_by("there is no home directory to keep profiles in", &error)
                    .with_hint("set `XDG_DATA_HOME` to a folder, or measure with `--no-save`")
            })?,
        };
        Ok(Store::new(data.join("rooflab").join("profiles")))
    }

    /// The folder that Hugging Face's libraries keep repositories in.
    #[expect(clippy::disallowed_methods, reason = "this is where the command reads its environment")]
    pub(crate) fn hugging_face_cache(&self) -> Option<PathBuf> {
        let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| !path.as_os_str().is_empty());
        folder("HF_HUB_CACHE")
            .or_else(|| folder("HF_HOME").map(|home| home.join("hub")))
            .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("huggingface").join("hub")))
            .or_else(|| Some(etcetera::home_dir().ok()?.join(".cache").join("huggingface").join("hub")))
    }

    /// The date, to the second.
    #[expect(clippy::disallowed_methods, reason = "this is where the command asks for the date")]
    pub(crate) fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }

    /// This build of rooflab.
    pub(crate) fn source(&self) -> Source {
        Source {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: option_env!("ROOFLAB_COMMIT").map(str::to_owned),
            target: option_env!("ROOFLAB_TARGET").map(str::to_owned),
        }
    }

    /// Whether standard error is a terminal that can show progress.
    pub(crate) fn shows_progress(&self) -> bool {
        io::stderr().is_terminal() && AutoStream::choice(&io::stderr()) != ColorChoice::Never
    }
}

/// How text is drawn in a file.
pub(crate) const IN_A_FILE: Style = Style { width: None, unicode: true, colour: false };

/// The file that a path names; none where it stands for standard output, as none and `-` do.
pub(crate) fn file(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| *path != Path::new("-"))
}

/// Writes a file.
pub(crate) fn save(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    fs::write(path, bytes).map_err(|error| CliError::writing_file(path, &error))
}

/// Whether the locale can show more than ASCII. Unknown locales can: nearly all are UTF-8.
#[expect(clippy::disallowed_methods, reason = "this is where the command reads its environment")]
fn unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty());
    !matches!(locale.as_deref(), Some("C" | "POSIX")) && std::env::var("TERM").as_deref() != Ok("dumb")
}
