//! `rooflab generate`: files made from the code, so that they cannot differ from it.

use clap::CommandFactory;

use super::Answer;
use super::args::{self, Arguments};
use super::context::Context;
use super::error::CliError;
use super::help;

pub(crate) fn run(context: &mut Context, what: &args::Generate) -> Result<Answer, CliError> {
    match what {
        args::Generate::Schema { document } => context.write_json(&match document {
            args::Document::Profile => rooflab::profile::schema(),
            args::Document::Engine => rooflab::profile::engine_schema(),
            args::Document::Estimate => rooflab::estimate::schema(),
            args::Document::Diagnosis => rooflab::diagnose::schema(),
            args::Document::Product => rooflab::diagnose::product_schema(),
            args::Document::Kernels => rooflab::diagnose::kernels_schema(),
            args::Document::Observation => rooflab::observe::schema(),
            args::Document::Validation => rooflab::validate::schema(),
        })?,
        args::Generate::Man => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Arguments::command())
                .render(&mut page)
                .map_err(|error| CliError::writing("standard output", &error))?;
            context.write(&(String::from_utf8_lossy(&page) + &*help::manual()))?;
        }
        args::Generate::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "rooflab", &mut script);
            context.write(&String::from_utf8_lossy(&script))?;
        }
    }
    Ok(Answer::Yes)
}
