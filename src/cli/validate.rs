//! `rooflab validate`: what a model's steps take on a device, beside what its profile predicts.

use rooflab::backend::Device;
use rooflab::estimate::cost::{Costing, Options};
use rooflab::estimate::{Hardware, ModelFacts};
use rooflab::profile::{Profile, Store, datasheet_of};
use rooflab::report::{self, markdown};
use rooflab::validate::{self, Document, Header, Load, Observer, Phase, Request, Verdict};

use super::Answer;
use super::args::validate::{self as args, Format};
use super::context::Context;
use super::devices::choose;
use super::error::CliError;
use super::host::ThisProgram;
use super::interrupt::{self, interrupted};
use super::lookup::load_and_note;
use super::model::{cache_of, load_model, weights_of};
use super::progress::Share;

pub(crate) fn run(context: &mut Context, arguments: &args::Validate) -> Result<Answer, CliError> {
    let model = load_model(context, &arguments.model, arguments.download)?;
    let (weights, precision) = weights_of(&model, arguments.weights.as_deref())?;
    let (kv_name, kv) = cache_of(&precision, arguments.kv.as_deref())?;
    let host = ThisProgram::default();
    let choices = choose(arguments.device.as_deref(), &host)?;
    let [choice] = choices.as_slice() else {
        return Err(CliError::new("one device is validated at a time").with_hint("name it: `-d cpu`"));
    };
    let mut device = choice.backend.open(choice.index, &host)?;
    let profile = profile_of(context, arguments.against.as_deref(), device.as_ref())?;
    let costing = Costing::new(&profile, datasheet_of(&profile.device), Options::default());
    let memory = device.conditions().memory_available;
    let request = Request {
        model: &model,
        precision: &precision,
        kv,
        loads: &loads(arguments),
        effort: arguments.effort.into(),
        layers: arguments.layers,
        memory,
    };
    let plan = validate::plan(device.as_ref(), &costing, &request).map_err(|error| refused(&error))?;
    let header = Header {
        rooflab: context.source(),
        created: context.now(),
        model: ModelFacts::new(&model, &weights, &kv_name),
        device: device.identity().id.clone(),
        hardware: Hardware::new(&profile, 1),
        effort: plan.effort,
        threshold: arguments.within,
    };
    interrupt::listen()?;
    let mut watcher = Watcher { share: Share::new(context.shows_progress()) };
    let results = validate::run(device.as_mut(), &plan, &mut watcher, &interrupted);
    watcher.share.end();
    drop(device);
    let document = validate::document(header, &plan, &results, &costing);
    show(context, arguments, &document)?;
    Ok(match document.verdict {
        _ if document.interrupted => Answer::Interrupted,
        // A profile that nothing could be held against, or nothing could be told of, has not been shown to hold. Of one that what was run says nothing against,
        // no more can be asked: a device may run no steps at all.
        Some(Verdict::Fails | Verdict::Unclear) | None if arguments.against.is_some() => Answer::No,
        _ => Answer::Yes,
    })
}

/// The profile that was named, or the one that is stored of a device.
fn profile_of(context: &mut Context, name: Option<&str>, device: &dyn Device) -> Result<Profile, CliError> {
    let identity = device.identity();
    let stored = || Store::name_for(&identity.name, &identity.backend);
    let profile = load_and_note(context, &name.map_or_else(stored, str::to_owned));
    profile.map_err(|error| match name {
        Some(_) => error,
        None => error.with_hint(format!("`rooflab probe -d {}` measures this device", identity.id)),
    })
}

/// Every prompt by itself, and every batch at every length.
fn loads(arguments: &args::Validate) -> Vec<Load> {
    let prompt = |&tokens: &u64| Load { phase: Phase::Prefill, sequences: 1, tokens };
    let decode = |&sequences: &u64| {
        arguments.context.iter().map(move |&tokens| Load { phase: Phase::Decode, sequences, tokens })
    };
    arguments.prompt.iter().map(prompt).chain(arguments.batch.iter().flat_map(decode)).collect()
}

fn refused(error: &validate::PlanError) -> CliError {
    let message = CliError::new(error.to_string());
    match error {
        validate::PlanError::NothingToCompare { .. } => message.with_hint(
            "`rooflab model show` says what its layers are; kernels have heads of 128 elements and weights in f32, f16, bf16, int8 or int4",
        ),
        _ => message,
    }
}

fn show(context: &mut Context, arguments: &args::Validate, document: &Document) -> Result<(), CliError> {
    let output = arguments.output.as_deref();
    let format = if context.json { Format::Json } else { arguments.format };
    match format {
        Format::Json => context.write_json_in(output, document),
        Format::Markdown => context.write_in(output, &markdown(&report::validation(document))),
        Format::Text => context.show_in(output, &report::validation(document)),
    }
}

/// Shows how far a run is.
struct Watcher {
    share: Share,
}

impl Observer for Watcher {
    fn measuring(&mut self, done: usize, of: usize, what: &str) {
        self.share.draw(done as f64 / of.max(1) as f64, &format!("{what} · {done} of {of}"));
    }
}
