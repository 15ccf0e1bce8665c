//! `rooflab report`: a page about a machine.

use rooflab::profile::Profile;
use rooflab::report::{Machine, Rated, Run, machines};

use super::Answer;
use super::args::report as args;
use super::context::{Context, file};
use super::error::CliError;
use super::estimate::{Request, document, load_profiles};

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
    let profiles = load_profiles(context, &arguments.profiles)?;
    let requests = requests(context, arguments)?;
    let rated = |profile| Machine { profile, models: rated(context, &requests, profile) };
    let page = machines(&profiles.iter().map(rated).collect::<Vec<_>>(), &context.source(), context.now());
    let output = Some(arguments.output.as_path());
    context.write_in(output, &page)?;
    if let Some(path) = file(output) {
        context.say(&format!("wrote {}", path.display()));
    }
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
    let run = |request: &Request| match document(context, request, profile) {
        Ok(document) => Run::Estimated(Box::new(document)),
        Err(error) => Run::Refused { weights: request.weights_name(), why: error.message() },
    };
    let rated = |(model, requests): &Tried| Rated { model: model.clone(), runs: requests.iter().map(run).collect() };
    requests.iter().map(rated).collect()
}
