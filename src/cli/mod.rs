//! The command line: arguments, paths, progress, exit codes. It knows every room of the library; none knows it.

mod args;
mod context;
mod devices;
mod diagnose;
mod engine;
mod error;
mod estimate;
mod explain;
mod generate;
mod help;
mod host;
mod interrupt;
mod libraries;
mod lookup;
mod model;
mod plot;
mod probe;
mod profile;
mod progress;
mod report;
mod validate;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};
use context::Context;
use error::CliError;

/// What a command that went well says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Done; or the answer is yes. Exit code 0.
    Yes,
    /// The answer is no: a check found problems, a gate failed. Exit code 1.
    No,
    /// The user interrupted; what was finished is saved. Exit code 130.
    Interrupted,
}

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = error.exit_code();
            // Nothing is left to do when even this cannot be written.
            let _ = error.print();
            return ExitCode::from(u8::try_from(code).unwrap_or(2));
        }
    };
    let mut context = Context::new(arguments.json);
    let result = match &arguments.command {
        Command::Devices => devices::run(&mut context),
        Command::Probe(probe) => probe::run(&mut context, probe),
        Command::Profile(profile) => profile::run(&mut context, profile),
        Command::Estimate(arguments) => estimate::run(&mut context, arguments),
        Command::Diagnose(arguments) => diagnose::run(&mut context, arguments),
        Command::Validate(arguments) => validate::run(&mut context, arguments),
        Command::Plot(arguments) => plot::run(&mut context, arguments),
        Command::Report(arguments) => report::run(&mut context, arguments),
        Command::Model(model) => model::run(&mut context, model),
        Command::Explain(explain) => explain::run(&mut context, explain),
        Command::Generate(generate) => generate::run(&mut context, generate),
        Command::Help { words } => help::run(&mut context, words),
        Command::Survey { backend } => host::survey(&mut context, backend),
    };
    let result = result.and_then(|answer| context.flush().map(|()| answer));
    match result {
        // Whoever reads our output has had enough: that is no failure.
        Ok(Answer::Yes) | Err(CliError::BrokenPipe) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Ok(Answer::Interrupted) => ExitCode::from(130),
        Err(error) => {
            context.complain(&error);
            ExitCode::from(2)
        }
    }
}
