//! What backends ask of this program: to look for devices in a process of its own, because drivers crash, hang and print there.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rooflab::backend::{Backend, BackendError, Host, InPlace, LibraryFolders, backends};
use rooflab::units::Seconds;

use super::Answer;
use super::context::Context;
use super::error::CliError;
use super::libraries;

/// How long drivers may take to list their devices. A first start after boot loads firmware.
const PATIENCE: Duration = Duration::from_secs(20);
/// Seconds that nobody waits longer.
const LONGEST: f64 = 3600.0;

/// This program, which can start itself.
#[derive(Default)]
pub(crate) struct ThisProgram {
    /// Whether kernels are compiled with checks.
    checks: bool,
    /// How long a device may take to answer, if not as long as usual.
    patience: Option<Seconds>,
    /// Surveys that were made, by backend: devices do not change while a command runs.
    known: RefCell<BTreeMap<&'static str, Result<String, BackendError>>>,
}

impl ThisProgram {
    /// This program, with or without checks in kernels, and with so much patience with devices.
    pub(crate) fn with(checks: bool, patience: Option<Seconds>) -> Self {
        Self { checks, patience, ..Self::default() }
    }
}

impl Host for ThisProgram {
    fn survey(&self, backend: &dyn Backend) -> Result<String, BackendError> {
        let name = backend.name();
        let patience =
            self.patience.map_or(PATIENCE, |patience| Duration::from_secs_f64(patience.get().clamp(0.0, LONGEST)));
        self.known.borrow_mut().entry(name).or_insert_with(|| in_child(name, patience)).clone()
    }

    fn wants_checks(&self) -> bool {
        self.checks
    }

    fn patience(&self) -> Seconds {
        self.patience.unwrap_or(InPlace.patience())
    }

    fn vendor_folders(&self) -> LibraryFolders {
        libraries::folders()
    }
}

/// Has `rooflab survey BACKEND` run, and gives what it wrote.
fn in_child(backend: &str, patience: Duration) -> Result<String, BackendError> {
    let failed = |what: String| BackendError::Driver {
        what,
        hint: "update or remove the driver; on Linux, `VK_DRIVER_FILES` names the one driver to use".to_owned(),
    };
    let unable =
        |error: std::io::Error| failed(format!("this program cannot start itself to look for devices: {error}"));
    let program = std::env::current_exe().map_err(unable)?;
    let mut child = Command::new(program)
        .args(["survey", backend])
        // A layer of Mesa's that reorders devices and prints.
        .env("NODEVICE_SELECT", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(unable)?;
    let Some(mut output) = child.stdout.take() else { return Err(failed("the survey has no output".to_owned())) };
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = output.read_to_string(&mut text).map(|_| text);
        // Nobody listens any more when the time is over.
        let _ = sender.send(read);
    });
    let Ok(read) = receiver.recv_timeout(patience) else {
        // It may have ended by itself just now.
        let _ = child.kill();
        let _ = child.wait();
        return Err(failed(format!("a driver does not list its devices within {} s", patience.as_secs_f64())));
    };
    let status = child.wait().map_err(unable)?;
    if !status.success() {
        return Err(failed(format!("a driver crashed while it listed its devices ({status})")));
    }
    read.map_err(unable)
}

/// `rooflab survey BACKEND`: the other side. Not for people.
pub(crate) fn survey(context: &mut Context, backend: &str) -> Result<Answer, CliError> {
    let Some(backend) = backends().iter().find(|known| known.name() == backend) else {
        return Err(CliError::new(format!("there is no backend `{backend}`")));
    };
    context.write(&backend.survey()?)?;
    Ok(Answer::Yes)
}
