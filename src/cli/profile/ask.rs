//! `rooflab profile ask`: what a profile says of a resource at some sizes, and how it knows.

use rooflab::profile::{Answer as Known, Ceilings, Demand, Place};
use rooflab::report;
use rooflab::resource::{Axis, Resource, Scope, UnknownResource};
use serde::Serialize;

use crate::cli::Answer;
use crate::cli::args;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::lookup::{load_and_note, or_this_machine};

/// A question with its answer, as JSON.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    demand: &'a Demand,
    #[serde(flatten)]
    answer: &'a Known,
}

pub(super) fn run(context: &mut Context, arguments: &args::Ask) -> Result<Answer, CliError> {
    let demands = demands(arguments)?;
    let name = or_this_machine(arguments.profile.as_deref())?;
    if name == "-" && arguments.datasheet.as_deref() == Some("-") {
        return Err(
            CliError::new("standard input holds one profile, not two").with_hint("give the other by name or path")
        );
    }
    let profile = load_and_note(context, &name)?;
    let datasheet = arguments.datasheet.as_deref().map(|name| load_and_note(context, name)).transpose()?;
    let mut ceilings = Ceilings::new(&profile);
    if let Some(datasheet) = &datasheet {
        ceilings = ceilings.with_datasheet(datasheet);
    }
    let answers: Vec<(Demand, Known)> = demands.into_iter().map(|demand| (demand, ceilings.ask(&demand))).collect();
    if context.json {
        let rows: Vec<Row<'_>> = answers.iter().map(|(demand, answer)| Row { demand, answer }).collect();
        context.write_json(&rows)?;
    } else {
        context.show(&report::answers(&answers))?;
    }
    let all = answers.iter().all(|(_, answer)| answer.known().is_some());
    Ok(if all { Answer::Yes } else { Answer::No })
}

/// What is asked: the resource at every place that was given, in the order they were given.
fn demands(arguments: &args::Ask) -> Result<Vec<Demand>, CliError> {
    let (word, scope) = match arguments.resource.strip_suffix("@core") {
        Some(word) => (word, Scope::Core),
        None if arguments.core => (arguments.resource.as_str(), Scope::Core),
        None => (arguments.resource.as_str(), Scope::Device),
    };
    let resource: Resource = word.parse().map_err(|error: UnknownResource| {
        CliError::new(error.to_string()).with_hint("`rooflab profile show` and `rooflab explain` list resources")
    })?;
    let bytes = arguments.bytes.iter().map(|&bytes| Place::Bytes(bytes as f64));
    let tokens = arguments.tokens.iter().map(|&tokens| Place::Tokens(tokens as f64));
    let shapes = arguments.shape.iter().map(|&shape| Place::Shape(shape));
    let mut places: Vec<Place> = bytes.chain(tokens).chain(shapes).collect();
    if places.is_empty() {
        places.push(Place::Anywhere);
    }
    let demands: Vec<Demand> = places.into_iter().map(|at| Demand { resource, scope, at }).collect();
    match demands.iter().find_map(Demand::problem) {
        Some(problem) => Err(CliError::new(problem).with_hint(match resource.axis() {
            Some(Axis::WorkingSet | Axis::TransferSize) => "give `--bytes SIZE`, or leave it out",
            Some(Axis::Context) => "give `--tokens N`, or leave it out",
            Some(Axis::Shape) => "give `--shape MxNxK`, or leave it out",
            None => "leave out the size",
        })),
        None => Ok(demands),
    }
}
