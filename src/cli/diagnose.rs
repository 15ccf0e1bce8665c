//! `rooflab diagnose`: where the time of a run went, and why.

mod product;
mod show;

use std::fs;
use std::io;
use std::path::Path;

use rooflab::diagnose::{
    DiagnoseError, Diagnosis, Inputs, KernelsDiagnosis, KernelsInputs, MeasuredLinks, diagnose, diagnose_kernels,
    measured_link, scenario,
};
use rooflab::estimate::cost::CostError;
use rooflab::estimate::link::MeasuredLink;
use rooflab::estimate::memory::Budget;
use rooflab::estimate::offload::{Offload, Offloaded};
use rooflab::estimate::{EstimateError, Scenario, Subject};
use rooflab::facts::{DeviceKind, Identity};
use rooflab::graph::Routing;
use rooflab::model::{KvFormat, Model};
use rooflab::observe::{Lack, Merged, Observation, Typed, TypedError, cases, from_reader};
use rooflab::profile::{Profile, Store, datasheet_of};

use super::Answer;
use super::args::diagnose as args;
use super::context::Context;
use super::engine::load as load_engine;
use super::error::CliError;
use super::estimate::{has_tokens_of, link};
use super::lookup::load_and_note;
use super::model::{cache_of, load_model, weights_of};
use show::{Document, show};

pub(crate) fn run(context: &mut Context, arguments: &args::Diagnose) -> Result<Answer, CliError> {
    let mut documents = Vec::new();
    if let Some(shape) = arguments.run.product {
        documents.push(Document::Product(product::of(context, &arguments.run, shape)?));
    } else {
        let observed = observed(&arguments.run)?;
        for run in &observed.runs {
            documents.push(Document::Run(Box::new(of_run(context, &arguments.run, run, &observed.links)?)));
        }
        if observed.runs.is_empty() {
            note_links(context, &observed.links);
        }
        for run in &observed.kernels {
            documents.push(Document::Kernels(of_kernels(context, &arguments.run, run)?));
        }
    }
    let answer = passes(arguments, &documents)?;
    show(context, arguments, &documents)?;
    Ok(answer)
}

/// Whether what was found passes the gates; an error where it is nothing that they could hold.
fn passes(arguments: &args::Diagnose, documents: &[Document]) -> Result<Answer, CliError> {
    if arguments.fail_on.is_some() && !documents.iter().any(Document::has_rules) {
        return Err(CliError::new("`--fail-on` is for what rules find, and none is asked of kernels")
            .with_hint("`--fail-below 70%` fails on the share of their ceilings that they reach"));
    }
    let gravest = documents.iter().filter_map(Document::gravest).max();
    let failed = arguments.fail_on.is_some_and(|least| gravest.is_some_and(|found| found >= least.into()));
    let mut below = false;
    for document in documents.iter().filter(|_| arguments.fail_below.is_some()) {
        let reached = document.reached().ok_or_else(|| {
            CliError::new("no kernel has a ceiling: `--fail-below` has nothing to hold them against")
                .with_hint("leave it out to see what the file and the profile do not say")
        })?;
        below |= arguments.fail_below.is_some_and(|least| reached < least);
    }
    Ok(if failed || below { Answer::No } else { Answer::Yes })
}

/// The diagnosis of each run of a model.
pub(super) fn diagnoses(context: &mut Context, arguments: &args::Run) -> Result<Vec<Diagnosis>, CliError> {
    if arguments.product.is_some() {
        return Err(CliError::new("there is no picture of a matrix product's waterfall")
            .with_hint("`rooflab diagnose --product` writes it as text, Markdown or JSON"));
    }
    let observed = observed(arguments)?;
    if !observed.kernels.is_empty() {
        return Err(CliError::new("kernels of a profiler have no waterfall")
            .with_hint("`rooflab diagnose` puts them on the roofline, the one that loses the most time first"));
    }
    observed.runs.iter().map(|run| of_run(context, arguments, run, &observed.links)).collect()
}

/// Says that links are for runs, where there is none.
fn note_links(context: &mut Context, links: &MeasuredLinks) {
    for unused in &links.unused {
        context.say(&format!("note: {unused}"));
    }
    if let Some(link) = &links.link {
        context.say(&format!("note: a link is read beside a run of a model, and there is none for {}", link.from));
    }
}

/// What the files hold, and what was typed in place of what they say.
struct Observed {
    /// The runs: one for each case.
    runs: Vec<Observation>,
    /// Kernels of a profiler.
    kernels: Vec<Observation>,
    /// The link between devices, and what is none.
    links: MeasuredLinks,
}

fn observed(arguments: &args::Run) -> Result<Observed, CliError> {
    Offload::of(&arguments.offload, arguments.offload_serial).map_err(|error| CliError::new(error.to_string()))?;
    let given = |of| arguments.offload.iter().find(|share| share.of == of).map(|share| share.share);
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
        draft_length: arguments.draft_length,
        acceptance: arguments.acceptance,
        cached_prompts: arguments.cached_prompts,
        threads: arguments.threads,
        host_weights: given(Offloaded::Weights),
        host_kv: given(Offloaded::Kv),
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
    let mut read = Vec::new();
    for path in &arguments.files {
        read.extend(from_file(path)?);
    }
    let is_run = |one: &Observation| !one.metrics.is_empty();
    let (runs, parts): (Vec<Observation>, Vec<Observation>) = read.into_iter().partition(is_run);
    let links = measured_link(&parts);
    let kernels: Vec<Observation> = parts.into_iter().filter(|one| !one.kernels.is_empty()).collect();
    let has_times = [arguments.ttft, arguments.tpot, arguments.latency].iter().any(Option::is_some);
    let is_typed = has_times || arguments.throughput.is_some();
    let runs = if runs.is_empty() && (kernels.is_empty() || is_typed) {
        if !is_typed && !arguments.files.is_empty() {
            return Err(CliError::new("the files hold neither a run of a model nor kernels").with_hint(
                "links are read beside a run: name its file too, or type its numbers, such as `--tpot 18.77ms`",
            ));
        }
        vec![typed.observation().map(|(run, _)| run).map_err(|error| refused(&error))?]
    } else {
        let cases = cases(&runs);
        let over = |case: &Merged| typed.over(&case.observation).map(|(run, _)| run).map_err(|error| refused(&error));
        cases.iter().map(over).collect::<Result<_, _>>()?
    };
    Ok(Observed { runs, kernels, links })
}

fn from_file(path: &Path) -> Result<Vec<Observation>, CliError> {
    let name = path.file_name().map_or_else(|| "-".to_owned(), |name| name.to_string_lossy().into_owned());
    let unreadable = |error: &dyn std::error::Error| {
        CliError::caused_by(format!("cannot use `{}` as a result file", path.display()), error)
            .with_hint("result files of llama-bench, vLLM, SGLang, AIPerf, GenAI-Perf, trtllm-bench and Nsight Compute are read; or type the numbers: `--ttft`, `--tpot`")
    };
    if path == Path::new("-") {
        return from_reader(io::stdin().lock(), &name).map_err(|error| unreadable(&error));
    }
    let file = fs::File::open(path).map_err(|error| unreadable(&error))?;
    from_reader(file, &name).map_err(|error| unreadable(&error))
}

fn of_run(
    context: &mut Context,
    arguments: &args::Run,
    run: &Observation,
    links: &MeasuredLinks,
) -> Result<Diagnosis, CliError> {
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
    let subject = Subject { model: &model, precision: &precision, kv, routing };
    let otherwise = Scenario {
        chunk: arguments.chunk,
        offload: Offload { serial: arguments.offload_serial, ..Offload::default() },
        budget: arguments.free_memory.map_or(Budget::OfTotal(arguments.memory), Budget::OfFree),
        ..Scenario::default()
    };
    let given = arguments.link.as_deref().map(|text| link("--link", text)).transpose()?;
    let of_profile = MeasuredLink::of_profile(&profile);
    let measured_link = links.link.as_ref().or(of_profile.as_ref()).filter(|_| given.is_none());
    let replaced = links.link.as_ref().filter(|_| given.is_some());
    let replaced = replaced.map(|link| format!("`--link` wins over {}", link.from));
    let unused: Vec<String> = links.unused.iter().cloned().chain(replaced).collect();
    let draft = arguments.draft.as_deref().map(|name| load_model(context, name, arguments.download)).transpose()?;
    draft.as_ref().map_or(Ok(()), |draft| has_tokens_of(draft, &model))?;
    let draft = draft.map(|model| weights_of(&model, None).map(|(_, precision)| (model, precision))).transpose()?;
    let engine = load_engine(arguments.engine.as_deref(), &profile)?;
    let inputs = Inputs {
        run,
        engine: engine.as_ref(),
        subject,
        formats: (&weights_name, &kv_name),
        profile: &profile,
        datasheet,
        scenario: scenario(run, &subject, profile.device.kind, &otherwise),
        link: given.or(measured_link.map(|measured| measured.link)),
        measured_link,
        unused: &unused,
        host_link: arguments.host_link.as_deref().map(|text| link("--host-link", text)).transpose()?,
        draft: draft.as_ref().map(|(model, precision)| Subject {
            model,
            precision,
            kv: KvFormat::plain(precision.activations),
            routing,
        }),
    };
    diagnose(&inputs, context.source(), context.now()).map_err(|error| refused(&error))
}

/// The kernels of a file on the roofline: nothing but a profile is needed.
fn of_kernels(context: &mut Context, arguments: &args::Run, run: &Observation) -> Result<KernelsDiagnosis, CliError> {
    complete(arguments, run)?;
    let profile = profile_of(context, arguments, run)?;
    let datasheet = datasheet_of(&profile.device).filter(|sheet| sheet.name != profile.name);
    let inputs = KernelsInputs { run, profile: &profile, datasheet };
    diagnose_kernels(&inputs, context.source(), context.now()).map_err(|error| {
        CliError::new(error.to_string())
            .with_hint("profile with `ncu --csv --page raw --metrics gpu__time_duration.sum,dram__bytes_read.sum,dram__bytes_write.sum`")
    })
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

fn model_of(context: &mut Context, arguments: &args::Run, run: &Observation) -> Result<Model, CliError> {
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
