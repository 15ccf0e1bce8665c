//! `rooflab diagnose`: where the time of a run went, and why.

use std::fs;
use std::io;
use std::path::Path;

use rooflab::diagnose::{DiagnoseError, Diagnosis, Inputs, diagnose, scenario};
use rooflab::estimate::cost::CostError;
use rooflab::estimate::memory::Budget;
use rooflab::estimate::{EstimateError, Scenario, Subject};
use rooflab::facts::{DeviceKind, Identity};
use rooflab::graph::Routing;
use rooflab::model::Model;
use rooflab::observe::{Lack, Observation, Typed, TypedError, cases, from_reader};
use rooflab::profile::{Profile, Store, datasheet_of};
use rooflab::report::{self, Block, Style, Tone};

use super::Answer;
use super::args::diagnose::{self as args, Format};
use super::context::Context;
use super::error::CliError;
use super::estimate::link;
use super::lookup::load_and_note;
use super::model::{cache_of, load_model, weights_of};

pub(crate) fn run(context: &mut Context, arguments: &args::Diagnose) -> Result<Answer, CliError> {
    let diagnoses = diagnoses(context, &arguments.run)?;
    show(context, arguments, &diagnoses)?;
    let gravest = diagnoses.iter().filter_map(Diagnosis::gravest).max();
    let failed = arguments.fail_on.is_some_and(|least| gravest.is_some_and(|found| found >= least.into()));
    let below = arguments.fail_below.is_some_and(|least| diagnoses.iter().any(|found| found.reached() < least));
    Ok(if failed || below { Answer::No } else { Answer::Yes })
}

/// The diagnosis of each run.
pub(super) fn diagnoses(context: &mut Context, arguments: &args::Run) -> Result<Vec<Diagnosis>, CliError> {
    observations(arguments)?.iter().map(|run| of_run(context, arguments, run)).collect()
}

/// The runs: one for each case in the files, with what was typed in place of what they say.
fn observations(arguments: &args::Run) -> Result<Vec<Observation>, CliError> {
    let typed = Typed {
        model: arguments.model.clone(),
        device: arguments.device.clone(),
        weights: arguments.weights.clone(),
        kv: arguments.kv.clone(),
        ttft: arguments.ttft,
        tpot: arguments.tpot,
        latency: arguments.latency,
        throughput: arguments.throughput,
        batch: arguments.batch,
        concurrency: arguments.concurrency,
        prompt: arguments.prompt,
        generate: arguments.generate,
        depth: arguments.depth,
        tp: arguments.tp,
        pp: arguments.pp,
        ep: arguments.ep,
        dp: arguments.dp,
    };
    let refused = |error: &TypedError| {
        let message = CliError::new(error.to_string());
        match error {
            TypedError::Nothing => {
                message.with_hint("or name a result file of another tool: `rooflab diagnose bench.json`")
            }
            TypedError::Number { .. } => message,
        }
    };
    if arguments.files.is_empty() {
        return typed.observation().map(|(run, _)| vec![run]).map_err(|error| refused(&error));
    }
    let mut read = Vec::new();
    for path in &arguments.files {
        read.extend(from_file(path)?);
    }
    let merged = cases(&read);
    if merged.is_empty() {
        return Err(CliError::new("the files hold no run of a model: nothing in them is diagnosed yet"));
    }
    merged
        .iter()
        .map(|case| typed.over(&case.observation).map(|(run, _)| run).map_err(|error| refused(&error)))
        .collect()
}

fn from_file(path: &Path) -> Result<Vec<Observation>, CliError> {
    let name = path.file_name().map_or_else(|| "-".to_owned(), |name| name.to_string_lossy().into_owned());
    let unreadable = |error: &dyn std::error::Error| {
        CliError::caused_by(format!("cannot use `{}` as a result file", path.display()), error)
            .with_hint("result files of llama-bench, vLLM, SGLang, AIPerf, GenAI-Perf and trtllm-bench are read; or type the numbers: `--ttft`, `--tpot`")
    };
    if path == Path::new("-") {
        return from_reader(io::stdin().lock(), &name).map_err(|error| unreadable(&error));
    }
    let file = fs::File::open(path).map_err(|error| unreadable(&error))?;
    from_reader(file, &name).map_err(|error| unreadable(&error))
}

fn of_run(context: &mut Context, arguments: &args::Run, run: &Observation) -> Result<Diagnosis, CliError> {
    complete(arguments, run)?;
    let model = model_of(context, arguments, run)?;
    let profile = profile_of(context, arguments, run)?;
    let datasheet = datasheet_of(&profile.device).filter(|sheet| sheet.name != profile.name);
    let word = |flag: &Option<String>, told: Option<&rooflab::observe::Format>| {
        flag.clone().or_else(|| {
            told.map(|format| format.dtype.map_or_else(|| format.given.clone(), |dtype| dtype.name().to_owned()))
        })
    };
    let told = word(&arguments.weights, run.subject.weights.as_ref());
    let (weights_name, precision) = weights(&model, arguments, told.as_deref())?;
    let kv_name = word(&arguments.kv, run.subject.kv.as_ref());
    let (kv_name, kv) = cache_of(&precision, kv_name.as_deref())?;
    let routing = Routing::skewed(arguments.skew).map_err(|error| CliError::new(error.to_string()))?;
    let otherwise = Scenario {
        chunk: arguments.chunk,
        budget: arguments.free_memory.map_or(Budget::OfTotal(arguments.memory), Budget::OfFree),
        ..Scenario::default()
    };
    let inputs = Inputs {
        run,
        subject: Subject { model: &model, precision: &precision, kv, routing },
        formats: (&weights_name, &kv_name),
        profile: &profile,
        datasheet,
        scenario: scenario(run, &otherwise),
        link: arguments.link.as_deref().map(|text| link("--link", text)).transpose()?,
    };
    diagnose(&inputs, context.source(), context.now()).map_err(|error| refused(&error))
}

/// Asks for what a diagnosis needs and nobody said, by the names of the flags.
fn complete(arguments: &args::Run, run: &Observation) -> Result<(), CliError> {
    let said = |lack: &Lack| *lack == Lack::Profile && arguments.profile.is_some();
    let lacks: Vec<Lack> = run.lacks().into_iter().filter(|lack| lack.assumed().is_none() && !said(lack)).collect();
    if lacks.is_empty() {
        return Ok(());
    }
    let what: Vec<String> = lacks.iter().map(|lack| format!("{lack} (`{}`)", lack.flag())).collect();
    let examples: Vec<String> = lacks.iter().map(|lack| format!("{} {}", lack.flag(), example(*lack))).collect();
    Err(CliError::new(format!("nothing says {}", what.join(", nor ")))
        .with_hint(format!("add `{}`", examples.join(" "))))
}

const fn example(lack: Lack) -> &'static str {
    match lack {
        Lack::Model => "llama-3.1-8b",
        Lack::Profile => "h200-sxm",
        Lack::Batch | Lack::TensorParallel => "1",
        Lack::Prompt => "1024",
        Lack::Generate => "256",
        Lack::Weights | Lack::Kv => "bf16",
    }
}

fn model_of(context: &Context, arguments: &args::Run, run: &Observation) -> Result<Model, CliError> {
    let name = arguments.model.as_deref().or(run.subject.model.as_deref()).unwrap_or_default();
    load_model(context, name, arguments.download).map_err(|error| match arguments.model {
        Some(_) => error,
        None => error
            .with_hint("name the model: `-m llama-3.1-8b`; `rooflab model list` shows those that ship with rooflab"),
    })
}

/// The formats of the weights: a word of a file that is none of rooflab's formats is no error, since the model may say what it is stored in.
fn weights(
    model: &Model,
    arguments: &args::Run,
    word: Option<&str>,
) -> Result<(String, rooflab::model::Precision), CliError> {
    weights_of(model, word).or_else(|error| match (&arguments.weights, &model.stored) {
        (None, Some(_)) => weights_of(model, None),
        _ => Err(error.with_hint("name the format of the weights: `--weights bf16`")),
    })
}

/// The profile that was named; else that of the device which the run names: measured here, or its datasheet.
fn profile_of(context: &mut Context, arguments: &args::Run, run: &Observation) -> Result<Profile, CliError> {
    if let Some(name) = arguments.profile.as_deref() {
        return load_and_note(context, name);
    }
    let device = run.subject.device.as_deref().unwrap_or_default();
    let stored = context.store().ok().and_then(|store| store.find(&Store::name_for(device, "cuda")).ok());
    if let Some((_, profile, _)) = stored {
        return Ok(profile);
    }
    let memory = run.subject.device_memory.map_or(0, |memory| memory.get() as u64);
    let sheet = [DeviceKind::Gpu, DeviceKind::Cpu, DeviceKind::Npu].into_iter().find_map(|kind| {
        let identity = Identity { memory, ..Identity::named(device, kind) };
        datasheet_of(&identity)
    });
    sheet.cloned().ok_or_else(|| {
        CliError::new(format!("no profile of `{device}` is known")).with_hint(
            "name one with `--profile`: `rooflab profile list` shows what there is; `rooflab probe` measures a device",
        )
    })
}

fn show(context: &mut Context, arguments: &args::Diagnose, diagnoses: &[Diagnosis]) -> Result<(), CliError> {
    let path = arguments.output.as_deref().filter(|path| *path != Path::new("-"));
    let format = if context.json { Format::Json } else { arguments.format };
    let mut blocks: Vec<Block> = Vec::new();
    for (index, diagnosis) in diagnoses.iter().enumerate() {
        if index > 0 {
            blocks.extend([Block::blank(), Block::line("---", Tone::Dim), Block::blank()]);
        }
        blocks.extend(report::diagnosis(diagnosis));
    }
    let text = match format {
        Format::Json => {
            let json = match diagnoses {
                [one] => serde_json::to_string_pretty(one),
                several => serde_json::to_string_pretty(several),
            };
            json.map_err(|error| CliError::caused_by("cannot write JSON", &error))? + "\n"
        }
        Format::Markdown => report::markdown(&blocks),
        Format::Text if path.is_none() => return context.show(&blocks),
        Format::Text => report::text(&blocks, Style { width: None, unicode: true, colour: false }),
    };
    match path {
        None => context.write(&text),
        Some(path) => fs::write(path, text).map_err(|error| CliError::writing_file(path, &error)),
    }
}

/// Why there is no diagnosis, with what helps.
fn refused(error: &DiagnoseError) -> CliError {
    let message = CliError::new(error.to_string());
    match error {
        DiagnoseError::Estimate(EstimateError::Cost(CostError::Missing { .. })) => message
            .with_hint("`rooflab probe` measures what is missing; `rooflab profile show` says what a profile has"),
        DiagnoseError::Estimate(EstimateError::Context { .. }) => {
            message.with_hint("check `--prompt`, `--generate` and `--depth`, and the model")
        }
        DiagnoseError::Estimate(_) => message,
        DiagnoseError::NoTime => message.with_hint("give `--ttft` or `--tpot`, or `--latency` beside one of them"),
    }
}
