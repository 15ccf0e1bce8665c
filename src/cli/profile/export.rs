//! `rooflab profile export`: a profile as another tool wants it.

use rooflab::profile::exporter;

use crate::cli::Answer;
use crate::cli::args;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::lookup::{load_and_note, or_this_machine};

pub(super) fn run(context: &mut Context, arguments: &args::Export) -> Result<Answer, CliError> {
    let exporter = exporter(&arguments.to).ok_or_else(|| {
        CliError::new(format!("there is no exporter `{}`", arguments.to))
            .with_hint("`rooflab profile export --help` lists them")
    })?;
    let profile = load_and_note(context, &or_this_machine(arguments.profile.as_deref())?)?;
    let export = exporter.export(&profile).map_err(|error| {
        CliError::caused_by(format!("cannot write `{}` for {}", profile.name, exporter.name), &error)
            .with_hint("`rooflab probe` measures it, or take the datasheet of the device: `rooflab profile list`")
    })?;
    for note in &export.notes {
        context.say(&format!("note: {note}"));
    }
    context.write_in(arguments.output.as_deref(), &export.text)?;
    Ok(Answer::Yes)
}
