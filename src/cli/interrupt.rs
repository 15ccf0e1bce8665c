//! Ctrl-C: the first asks the run to end and keep what is finished, the second ends the process at once.

use std::sync::atomic::{AtomicBool, Ordering};

use super::error::CliError;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Begins to listen for Ctrl-C and termination.
pub(crate) fn listen() -> Result<(), CliError> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            // The user means it; every profile on disk is whole.
            #[expect(clippy::exit, clippy::disallowed_methods, reason = "a second Ctrl-C does not wait for anything")]
            std::process::exit(130);
        }
    })
    .map_err(|error| CliError::caused_by("cannot listen for Ctrl-C", &error))
}

/// Whether Ctrl-C was pressed.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}
