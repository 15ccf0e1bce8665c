//! `rooflab report`: a page about a machine.

use std::fs;
use std::path::Path;

use rooflab::estimate::Document;
use rooflab::profile::Profile;
use rooflab::report::{Machine, Rated, Run, machines};
use rooflab::units::Bytes;

use super::Answer;
use super::args::report as args;
use super::context::Context;
use super::error::CliError;
use super::estimate::{Request, document, load_profile};

/// Models that are tried where none is named: what people run, from small to large.
const COMMON: [&str; 13] = [
    "qwen3-0.6b",
    "llama-3.2-1b",
    "gemma-3-4b",
    "llama-3.1-8b",
    "qwen3-14b",
    "gpt-oss-20b",
    "mistral-small-24b",
    "qwen3-30b-a3b",
    "qwen3-32b",
    "llama-3.3-70b",
    "gpt-oss-120b",
    "qwen3-235b-a22b",
    "deepseek-v3",
];
/// Formats of weights that are tried beside those a model is stored in.
const NARROW: &str = "w4a16";

pub(crate) fn run(context: &mut Context, arguments: &args::Report) -> Result<Answer, CliError> {
    if context.json {
        return Err(CliError::new("a report is a page, and has no JSON of its own")
            .with_hint("`rooflab profile show --json` and `rooflab estimate --json` write what is in it"));
    }
    let profiles = match arguments.profiles.as_slice() {
        [] => vec![load_profile(context, None)?],
        names => names.iter().map(|name| load_profile(context, Some(name))).collect::<Result<_, _>>()?,
    };
    let requests = requests(context, arguments)?;
    let rated = |profile| Machine { profile, models: rated(context, &requests, profile) };
    let page = machines(&profiles.iter().map(rated).collect::<Vec<_>>(), &context.source(), context.now());
    if arguments.output == Path::new("-") {
        context.write(&page)?;
        return Ok(Answer::Yes);
    }
    fs::write(&arguments.output, page).map_err(|error| CliError::writing_file(&arguments.output, &error))?;
    context.say(&format!("wrote {}", arguments.output.display()));
    Ok(Answer::Yes)
}

/// A model with the formats it is tried in.
type Tried = (String, Vec<Request>);

fn requests(context: &mut Context, arguments: &args::Report) -> Result<Vec<Tried>, CliError> {
    let common = COMMON.map(str::to_owned);
    let names = if arguments.models.is_empty() { common.as_slice() } else { arguments.models.as_slice() };
    let scene = &arguments.scene;
    names
        .iter()
        .map(|name| {
            let first = Request::of(context, name, scene)?;
            let mut formats = vec![first];
            if scene.weights.is_none() && !formats[0].is_narrow() {
                formats.push(Request::in_weights(context, name, scene, NARROW)?);
            }
            Ok((name.clone(), formats.into_iter().map(Request::with_frontier).collect()))
        })
        .collect()
}

fn rated(context: &Context, requests: &[Tried], profile: &Profile) -> Vec<Rated> {
    requests
        .iter()
        .map(|(model, requests)| Rated { model: model.clone(), run: tried(context, requests, profile) })
        .collect()
}

/// A model in each of its formats: those that fit, or why there is none.
fn tried(context: &Context, requests: &[Request], profile: &Profile) -> Run {
    let (mut fitting, mut least, mut refused): (Vec<Document>, Option<f64>, Option<CliError>) =
        (Vec::new(), None, None);
    for request in requests {
        match document(context, request, profile) {
            Ok(document) if document.estimate.memory.over.is_none() => fitting.push(document),
            Ok(document) => {
                let needs = document.estimate.memory.lines.iter().map(|line| line.bytes.get()).sum::<f64>();
                least = Some(least.map_or(needs, |least| least.min(needs)));
            }
            Err(error) => refused = Some(error),
        }
    }
    match (fitting.is_empty(), least, refused) {
        (true, Some(needs), _) => Run::TooLarge { needs: Bytes(needs) },
        (true, None, Some(error)) => Run::Unknown(error.message()),
        _ => Run::Fits(fitting),
    }
}
