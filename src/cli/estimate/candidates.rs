//! `rooflab estimate --require …`: the best way to serve that meets what is required.

use rooflab::estimate::cost::Costing;
use rooflab::estimate::search::{Found, Rejection, last, search as choose};
use rooflab::estimate::serving::{Metrics, concurrencies};
use rooflab::estimate::{Dimension, Estimator, Limit, Load, Scenario, Served, combinations};
use rooflab::profile::Profile;
use rooflab::report::{self, Candidate, Verdict};
use rooflab::units::Bytes;

use super::request::Request;
use crate::cli::Answer;
use crate::cli::args::estimate::{self as args, Format};
use crate::cli::context::Context;
use crate::cli::error::CliError;

/// A way to serve.
struct Way {
    /// Which of the formats.
    format: usize,
    /// What the sweeps changed.
    at: Vec<(Dimension, u64)>,
    scenario: Scenario,
}

/// Tries every format with every combination of the sweeps, and every number of requests in flight that may pay.
pub(super) fn search(
    context: &mut Context,
    arguments: &args::Estimate,
    request: &Request,
    costing: &Costing<'_>,
    profile: &Profile,
    format: Format,
) -> Result<Answer, CliError> {
    let memory = Bytes(profile.device.memory as f64);
    let estimator =
        |format: usize| Estimator { subject: request.subject_in(&request.formats[format].1), costing, memory };
    let evaluate = |Way { format, scenario, .. }: &Way| -> Result<Metrics, String> {
        let estimator = estimator(*format);
        let placed = estimator.place(scenario).map_err(|error| error.to_string())?;
        let (_, engine) = estimator.admit(scenario).map_err(|error| error.to_string())?;
        match estimator.serve(scenario, &placed, &engine).map_err(|error| error.to_string())? {
            Served::Steady(metrics) => Ok(metrics),
            Served::Saturated { capacity } => Err(format!("only {capacity:.3} requests per second can be answered")),
            Served::TooMany { admitted, limit: Limit::Memory } => {
                Err(format!("only {admitted} sequences fit into memory"))
            }
            Served::TooMany { admitted, limit: Limit::Tokens } => {
                Err(format!("a step has tokens for only {admitted} sequences"))
            }
        }
    };
    let meets =
        |way: &Way| evaluate(way).is_ok_and(|metrics| request.requirements.iter().all(|one| one.is_met(&metrics)));
    let points = combinations(&request.sweeps).map_err(|error| CliError::new(error.to_string()))?;
    let mut ways: Vec<Way> = Vec::new();
    for format in 0..request.formats.len() {
        for point in &points {
            let scenario = point.iter().fold(request.scenario, |scenario, &(name, value)| scenario.with(name, value));
            let way = |load| Way { format, at: point.clone(), scenario: Scenario { load, ..scenario } };
            let loads = loads(&estimator(format), &scenario, point);
            let edge = edge(&loads, |load| meets(&way(load)));
            ways.extend(loads.into_iter().chain(edge).map(way));
        }
    }
    let found: Found<_, String> = choose(ways, &request.requirements, evaluate);
    let describe = |way: Way, verdict| {
        let requests = match way.scenario.load {
            Load::Batch(requests) | Load::Closed(requests) => Some(requests),
            Load::Open(_) => None,
        };
        Candidate { weights: request.formats[way.format].0.clone(), at: way.at, requests, verdict }
    };
    let has_one = found.best.is_some();
    let best = found.best.map(|(way, metrics)| describe(way, Verdict::Best(metrics)));
    let others = found.rejected.into_iter().map(|(way, why)| {
        let verdict = match why {
            Rejection::Impossible(reason) => Verdict::Impossible(reason),
            Rejection::Missed { metrics, missed } => {
                Verdict::Missed(metrics, missed.iter().map(|(requirement, _)| requirement.to_string()).collect())
            }
            Rejection::Slower { metrics } => Verdict::Slower(metrics),
        };
        describe(way, verdict)
    });
    let output = arguments.output.as_deref();
    let candidates: Vec<Candidate> = best.into_iter().chain(others).collect();
    match format {
        Format::Json => context.write_json_in(output, &candidates)?,
        Format::Table => context.show_in(output, &report::candidates(&candidates))?,
        Format::Csv => return Err(CliError::new("`--require` has no `--format csv`").with_hint("use `--format json`")),
    }
    Ok(if has_one { Answer::Yes } else { Answer::No })
}

/// The most requests in flight that meet what is required, between two of those that are tried.
fn edge(loads: &[Load], meets: impl Fn(Load) -> bool) -> Option<Load> {
    let (Load::Closed(does), Load::Closed(does_not)) =
        loads.windows(2).map(|pair| (pair[0], pair[1])).rev().find(|&(few, many)| !meets(many) && meets(few))?
    else {
        return None;
    };
    let edge = last(does, does_not, |requests| meets(Load::Closed(requests)));
    (edge > does).then_some(Load::Closed(edge))
}

/// The loads to try: the one that was given, or as many requests in flight as may pay.
fn loads(estimator: &Estimator<'_>, scenario: &Scenario, point: &[(Dimension, u64)]) -> Vec<Load> {
    let is_swept = point.iter().any(|(name, _)| matches!(name, Dimension::Batch | Dimension::Concurrency));
    if is_swept || scenario.load != Load::Batch(1) {
        return vec![scenario.load];
    }
    let in_flight = Scenario { load: Load::Closed(1), ..*scenario };
    let admitted = estimator.admit(&in_flight).map_or(0, |(_, engine)| engine.admitted());
    if admitted == 0 { vec![Load::Closed(1)] } else { concurrencies(admitted).into_iter().map(Load::Closed).collect() }
}
