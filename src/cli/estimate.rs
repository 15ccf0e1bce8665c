//! `rooflab estimate`: what a model comes to on a device.

mod candidates;
mod request;

use std::path::Path;

use rooflab::estimate::cost::Costing;
use rooflab::estimate::energy::Rates;
use rooflab::estimate::speculation::{Speculation, drafts};
use rooflab::estimate::{
    self, Answer as Estimated, Document, Estimator, Hardware, ModelFacts, Row, SCHEMA, Scenario, ScenarioFacts,
    combinations,
};
use rooflab::profile::{CalibratedEngine, Profile, datasheet_of};
use rooflab::report::{self, By};
use rooflab::units::{Bytes, Seconds};
use serde::Serialize;

use super::Answer;
use super::args::estimate::{self as args, Format};
use super::args::plot::Profiles;
use super::context::Context;
use super::engine::load as load_engine;
use super::error::CliError;
use super::lookup::{load_and_note, or_this_machine};
use request::Draft;
pub(super) use request::{Request, has_tokens_of, link};

pub(crate) fn run(context: &mut Context, arguments: &args::Estimate) -> Result<Answer, CliError> {
    let request = Request::read(context, arguments)?;
    let profile = request.sized(load_profile(context, arguments.profile.as_deref())?)?;
    let sheet = datasheet_of(&profile.device);
    let engine = load_engine(arguments.engine.as_deref(), &profile)?;
    let costing = on_engine(Costing::new(&profile, sheet, request.options), engine.as_ref());
    let estimator = request.estimator(&costing, &profile);
    let format = if context.json { Format::Json } else { arguments.format };
    let output = arguments.output.as_deref();
    if !request.requirements.is_empty() {
        return candidates::search(context, arguments, &request, &costing, &profile, format);
    }
    if !arguments.sweep.is_empty() {
        let points = combinations(&arguments.sweep).map_err(|error| CliError::new(error.to_string()))?;
        let rows: Vec<Row> = estimator.sweep(&request.scenario, points).collect();
        return show_sweep(context, output, &rows, format);
    }
    let against = match arguments.against.as_deref() {
        None => None,
        Some(name) => Some(other_answer(context, &request, name, &profile)?),
    };
    let document = Document { against, ..document_with(context, &request, &profile, engine.as_ref())? };
    match format {
        Format::Json => context.write_json_in(output, &document)?,
        Format::Csv => {
            return Err(CliError::new("`--format csv` is for sweeps")
                .with_hint("add `--sweep batch=1-64*2`, or use `--format json`"));
        }
        Format::Table => {
            let by = match arguments.by {
                args::By::Operator => By::Operator,
                args::By::Layer => By::Layer,
                args::By::Resource => By::Resource,
            };
            context.show_in(output, &report::estimate(&document, by))?;
        }
    }
    Ok(Answer::Yes)
}

/// What a request comes to on a device, with the memory that it is said to have.
pub(super) fn document(context: &Context, request: &Request, profile: &Profile) -> Result<Document, CliError> {
    document_with(context, request, profile, None)
}

/// The same under an engine, where there is one.
fn document_with(
    context: &Context,
    request: &Request,
    profile: &Profile,
    engine: Option<&CalibratedEngine>,
) -> Result<Document, CliError> {
    let profile = &request.sized(profile.clone())?;
    let costing = on_engine(Costing::new(profile, datasheet_of(&profile.device), request.options), engine);
    let mut estimate = answer(request, &request.estimator(&costing, profile), &costing, profile)?;
    estimate.hardware.engine = engine.map(ToString::to_string);
    Ok(Document {
        schema: SCHEMA,
        rooflab: context.source(),
        created: context.now(),
        model: ModelFacts::new(&request.model, &request.weights_name(), &request.kv_name()),
        scenario: ScenarioFacts::from(&request.scenario),
        estimate,
        against: None,
    })
}

fn on_engine<'a>(costing: Costing<'a>, engine: Option<&'a CalibratedEngine>) -> Costing<'a> {
    match engine {
        Some(engine) => costing.with_engine(engine),
        None => costing,
    }
}

/// The profile that was asked for, or this machine's.
fn load_profile(context: &mut Context, name: Option<&str>) -> Result<Profile, CliError> {
    let profile = or_this_machine(name).and_then(|name| load_and_note(context, &name));
    profile.map_err(|error| match name {
        Some(_) => error,
        None => error.with_hint("`rooflab probe` measures this machine; or name a profile: `-f rtx-4090`"),
    })
}

/// The profiles that were asked for, or this machine's.
pub(super) fn load_profiles(context: &mut Context, profiles: &Profiles) -> Result<Vec<Profile>, CliError> {
    match profiles.names().as_slice() {
        [] => Ok(vec![load_profile(context, None)?]),
        names => names.iter().map(|name| load_profile(context, Some(name))).collect(),
    }
}

/// What a profile says.
fn answer(
    request: &Request,
    estimator: &Estimator<'_>,
    costing: &Costing<'_>,
    profile: &Profile,
) -> Result<Estimated, CliError> {
    let scenario = &request.scenario;
    let estimate = estimator.estimate(scenario).map_err(|error| refused(&error))?;
    let devices = estimate.devices;
    let mut answer = Estimated::new(Hardware::new(profile, devices), estimate);
    if request.frontier {
        answer.frontier = estimator.frontier(scenario).map_err(|error| refused(&error))?;
    }
    if let Some(draft) = &request.draft {
        let running = answer.served.metrics().map(|metrics| metrics.running);
        answer.drafts = drafted(draft, request, estimator, costing, running)?;
    }
    if let Some(metrics) = answer.served.metrics().filter(|_| request.rates != Rates::default()) {
        // The tokens of one second.
        answer.per_million = Some(request.rates.times(devices).per_million(Seconds(1.0), metrics.throughput));
    }
    Ok(answer)
}

/// Drafts of each length, for the account's sequences.
fn drafted(
    draft: &Draft,
    request: &Request,
    estimator: &Estimator<'_>,
    costing: &Costing<'_>,
    running: Option<f64>,
) -> Result<Vec<estimate::speculation::Draft>, CliError> {
    let scenario: &Scenario = &request.scenario;
    let small = draft.subject();
    let indivisible = |error: rooflab::graph::LayoutError| CliError::new(error.to_string());
    let large = estimator.place(scenario).map_err(indivisible)?;
    let small = estimate::Placed::new(&small, costing, &scenario.layout).map_err(indivisible)?;
    let (_, engine) = estimator.admit(scenario).map_err(|error| refused(&error))?;
    let sequences = scenario.sequences(engine.admitted(), running);
    let speculation = Speculation { acceptance: draft.acceptance, longest: 8 };
    drafts(&large, &small, &speculation, sequences, scenario.decode_context())
        .map(|drafts| drafts.lengths)
        .map_err(|error| CliError::new(error.to_string()))
}

/// What the profile to compare with says: the device's datasheet, or one that was named.
fn other_answer(
    context: &mut Context,
    request: &Request,
    name: &str,
    profile: &Profile,
) -> Result<Estimated, CliError> {
    let other = if name == "datasheet" && profile.is_datasheet() {
        return Err(CliError::new(format!("`{}` is itself a datasheet", profile.name))
            .with_hint("measure the device with `rooflab probe`, or name another profile: `--against rtx-4090`"));
    } else if name == "datasheet" {
        datasheet_of(&profile.device)
            .ok_or_else(|| {
                CliError::new(format!(
                    "no datasheet that ships with rooflab is known to be that of `{}`",
                    profile.device.name
                ))
                .with_hint("name a profile: `--against rtx-4090`; `rooflab profile list` shows them")
            })?
            .clone()
    } else {
        load_and_note(context, name)?
    };
    let other = request.sized(other)?;
    let costing = Costing::new(&other, None, request.options);
    answer(request, &request.estimator(&costing, &other), &costing, &other)
}

/// A point of a sweep, as JSON.
#[derive(Serialize)]
struct JsonRow<'a> {
    at: serde_json::Map<String, serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    point: Option<&'a estimate::Point>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

fn show_sweep(context: &mut Context, output: Option<&Path>, rows: &[Row], format: Format) -> Result<Answer, CliError> {
    match format {
        Format::Table => context.show_in(output, &report::rows(rows))?,
        Format::Csv => context.write_in(output, &report::csv(rows))?,
        Format::Json => {
            let rows: Vec<JsonRow<'_>> = rows
                .iter()
                .map(|row| JsonRow {
                    at: row.at.iter().map(|(name, value)| (name.to_string(), (*value).into())).collect(),
                    point: row.outcome.as_ref().ok(),
                    error: row.outcome.as_ref().err().map(ToString::to_string),
                })
                .collect();
            context.write_json_in(output, &rows)?;
        }
    }
    // What fails everywhere fails; what fails at some points is one of the answers.
    match rows.iter().find_map(|row| row.outcome.as_ref().err()) {
        Some(error) if rows.iter().all(|row| row.outcome.is_err()) => Err(refused(error)),
        _ => Ok(Answer::Yes),
    }
}

/// Why there is no estimate, with what helps.
fn refused(error: &estimate::EstimateError) -> CliError {
    use estimate::EstimateError;
    use estimate::cost::CostError;
    let message = CliError::new(error.to_string());
    match error {
        EstimateError::Cost(CostError::NoLink) => message.with_hint(
            "for example `--link 450GB/s,5us`; or add what nccl-tests measured to the profile: `rooflab profile import`",
        ),
        EstimateError::Cost(CostError::NoHostLink { .. }) => message.with_hint("for example `--host-link 25GB/s,10us`"),
        EstimateError::Cost(CostError::Missing { .. }) => message
            .with_hint("`rooflab probe` measures what is missing; `rooflab profile show` says what a profile has"),
        EstimateError::Context { .. } => message.with_hint("shorten `--prompt`, `--generate` or `--context`"),
        _ => message,
    }
}

impl Request {
    /// A profile with the memory that its device is said to have.
    fn sized(&self, mut profile: Profile) -> Result<Profile, CliError> {
        profile.device.memory = self.device_memory.unwrap_or(profile.device.memory);
        match profile.device.memory {
            0 => Err(CliError::new(format!("`{}` does not say how much memory the device has", profile.name))
                .with_hint("say it: `--device-memory 64GB`")),
            _ => Ok(profile),
        }
    }

    /// The estimator of the request's model on a device.
    fn estimator<'a>(&'a self, costing: &'a Costing<'a>, profile: &Profile) -> Estimator<'a> {
        Estimator { subject: self.subject(), costing, memory: Bytes(profile.device.memory as f64) }
    }
}
