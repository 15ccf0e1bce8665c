//! `rooflab probe`: measure a device, show its ceilings, keep its profile.

mod keep;
mod plan;

use rooflab::backend::{BackendError, Device};
use rooflab::probe::{self, Family, LeftOut, Observer, Plan, Request, Selection, Step, Verification};
use rooflab::profile::{Ceiling, Outcome, Profile, Store};
use rooflab::report::{self, Block, Cell, Group, Row, Table, Tone};
use rooflab::resource::Resource;
use rooflab::units::{Seconds, Unit, binary_bytes, human};
use rooflab::workload::{PRODUCT_GRANULE, Workload};

use super::Answer;
use super::args;
use super::context::Context;
use super::devices::{Choice, choose};
use super::error::CliError;
use super::host::ThisProgram;
use super::interrupt::{self, interrupted};
use super::progress::Progress;
use keep::Keeper;

pub(crate) fn run(context: &mut Context, arguments: &args::Probe) -> Result<Answer, CliError> {
    let selection = Selection::new(&arguments.probes)?;
    let host = ThisProgram::with(arguments.checked, arguments.patience);
    let devices = choose(arguments.device.as_deref(), &host)?;
    if devices.len() > 1 && (arguments.name.is_some() || arguments.output.is_some()) {
        return Err(CliError::new("`--name` and `--output` take one device").with_hint("name it with `--device`"));
    }
    interrupt::listen()?;
    let mut answer = Answer::Yes;
    for choice in devices {
        let one = probe_one(context, arguments, selection.clone(), choice, &host)?;
        answer = if answer == Answer::Yes { one } else { answer };
        if interrupted() {
            return Ok(Answer::Interrupted);
        }
    }
    Ok(answer)
}

fn probe_one(
    context: &mut Context,
    arguments: &args::Probe,
    selection: Selection,
    choice: Choice,
    host: &ThisProgram,
) -> Result<Answer, CliError> {
    let mut device = choice.backend.open(choice.index, host)?;
    let request = Request {
        selection,
        effort: arguments.effort.into(),
        sustain: arguments.sustain,
        keep_samples: arguments.samples,
        shapes: arguments.shapes.clone(),
    };
    let available = device.conditions().memory_available;
    let plan = probe::plan(device.as_ref(), available, request);
    refuse_what_is_not_planned(&plan)?;
    if plan.steps.is_empty() {
        let id = &device.identity().id;
        let why = plan
            .left_out
            .first()
            .map_or(String::new(), |(_, why)| format!(": {}", why.reason(arguments.effort.into())));
        return Err(CliError::new(format!("nothing of what was asked for can be measured on `{id}`{why}"))
            .with_hint(format!("`rooflab probe -d {id} --plan` lists what can")));
    }
    if arguments.plan {
        plan::show(context, &plan)?;
        return Ok(Answer::Yes);
    }
    if arguments.check {
        return check(context, device.as_mut(), &plan);
    }
    let identity = device.identity();
    let name = arguments
        .name
        .as_deref()
        .map_or_else(|| Store::name_for(&identity.name, &identity.backend), rooflab::profile::slug);
    let mut keeper = Keeper::new(context, arguments, &name)?;
    let imported = keeper.imported(identity);
    let run = probe::Context { name, created: context.now(), source: context.source(), imported };
    let mut watcher = Watcher { progress: Progress::new(&plan, context.shows_progress()), keeper: &mut keeper };
    let profile = probe::run(device.as_mut(), &plan, run, &mut watcher, &interrupted);
    watcher.progress.end();
    drop(device);
    let kept = keeper.finish(&profile);
    let shown = show(context, &profile, &keeper);
    // A reader that left early must not hide that the profile could not be kept, or that the run was cut short.
    kept?;
    if interrupted() {
        context.say(match keeper.saved() {
            Some(_) => "interrupted: what was finished is kept",
            None => "interrupted",
        });
        return Ok(Answer::Interrupted);
    }
    shown?;
    if let Some(reason) = nothing_measured(&profile) {
        return Err(CliError::new(format!("nothing could be measured: {reason}"))
            .with_hint("`rooflab probe --check` verifies the kernels; `rooflab probe --plan` shows what they need"));
    }
    Ok(if arguments.strict && !flawless(&profile) { Answer::No } else { Answer::Yes })
}

/// A shape that was asked for is measured, or the command says why not.
fn refuse_what_is_not_planned(plan: &Plan) -> Result<(), CliError> {
    for shape in &plan.request.shapes {
        if !shape.k.is_multiple_of(PRODUCT_GRANULE) {
            return Err(CliError::new(format!(
                "`{shape}` cannot be measured: k is not a multiple of {PRODUCT_GRANULE}"
            ))
            .with_hint(format!("the next one is {}", shape.k.next_multiple_of(PRODUCT_GRANULE))));
        }
        let products = || plan.steps.iter().flat_map(|step| &step.workloads).filter_map(Workload::shape);
        let planned = plan.steps.iter().any(|step| matches!(step.probe.family, Family::Gemm { .. }));
        let left_out: Vec<LeftOut> = (plan.left_out.iter())
            .filter(|(key, _)| matches!(key.resource, Resource::Gemm { .. }))
            .map(|(_, why)| *why)
            .collect();
        if !planned && left_out.is_empty() {
            return Err(CliError::new("a shape was given, but no matrix product was asked for")
                .with_hint(format!("`rooflab probe -p 'gemm.*' --shape {shape}`")));
        }
        let may_be = planned || left_out.contains(&LeftOut::DoesNotFit);
        if may_be && products().all(|planned| planned != *shape) {
            return Err(CliError::new(format!("`{shape}` needs more memory than rooflab allows itself"))
                .with_hint("its matrices may take a twentieth of the machine's memory"));
        }
    }
    Ok(())
}

/// Shows progress, and keeps the profile after every step.
struct Watcher<'keeper> {
    progress: Progress,
    keeper: &'keeper mut Keeper,
}

impl Observer for Watcher<'_> {
    fn started(&mut self, index: usize, step: &Step) {
        self.progress.step(index, step);
    }

    fn measured(&mut self, step: &Step, workload: usize) {
        self.progress.point(step, workload);
    }

    fn finished(&mut self, _: usize, profile: &Profile) {
        self.keeper.keep(profile);
    }

    fn revisited(&mut self, done: usize, of: usize) {
        self.progress.second_visit(done, of);
    }
}

fn show(context: &mut Context, profile: &Profile, keeper: &Keeper) -> Result<(), CliError> {
    if context.json || keeper.writes_to_stdout() {
        return context.write(&profile.to_json());
    }
    context.show(&report::profile(profile))?;
    for line in report::advice(profile) {
        context.show(&[Block::Line(vec![Cell::new("note: ", Tone::Warn), Cell::plain(line)])])?;
    }
    let measured = profile.ceilings.iter().filter(|ceiling| !ceiling.points().is_empty()).count();
    let summary = format!(
        " ({}, {measured} ceilings, {} of memory)",
        profile.instrument.as_ref().map_or(Seconds(0.0), |instrument| instrument.elapsed),
        human(profile.observed.memory_allocated as f64, Unit::Byte)
    );
    let saved = keeper
        .saved()
        .map_or_else(|| format!("not saved{}", keeper.why_not()), |path| format!("saved {}", path.display()));
    context.show(&[Block::line(saved + &summary, Tone::Dim)])?;
    if keeper.saved().is_some() {
        context.show(&[Block::line("next: rooflab profile show · rooflab explain 'memory.*'", Tone::Dim)])?;
    }
    Ok(())
}

/// The first failure, when there is nothing but failures.
fn nothing_measured(profile: &Profile) -> Option<&str> {
    if profile.ceilings.iter().any(|ceiling| !ceiling.points().is_empty()) {
        return None;
    }
    profile.ceilings.iter().find_map(|ceiling| match &ceiling.outcome {
        Outcome::Failed { reason } => Some(reason.as_str()),
        _ => None,
    })
}

/// Whether no ceiling failed and none is flagged.
fn flawless(profile: &Profile) -> bool {
    let flawless = |ceiling: &Ceiling| match &ceiling.outcome {
        Outcome::Ok { points, .. } => points.iter().all(|point| point.flags.is_empty()),
        Outcome::Failed { .. } => false,
        Outcome::Unsupported { .. } | Outcome::Skipped { .. } => true,
    };
    profile.ceilings.iter().all(flawless)
}

/// Verifies kernels without timing them.
fn check(context: &mut Context, device: &mut dyn Device, plan: &Plan) -> Result<Answer, CliError> {
    let results = probe::verify(device, plan, &interrupted);
    let wrong = |result: &&Verification| {
        !matches!(result.result, Ok(()) | Err(BackendError::Unsupported { .. } | BackendError::NoKernel { .. }))
    };
    let failures = results.iter().filter(wrong).count();
    if context.json {
        let rows: Vec<_> = results
            .iter()
            .map(|result| {
                serde_json::json!({
                    "ceiling": result.key.to_string(),
                    "variant": result.variant,
                    "bytes": result.bytes,
                    "work": result.work,
                    "ok": result.result.is_ok(),
                    "reason": result.result.as_ref().err().map(ToString::to_string),
                })
            })
            .collect();
        context.write_json(&rows)?;
    } else {
        let groups = vec![Group { title: "kernel".to_owned(), rows: results.iter().map(verification).collect() }];
        let columns = ["variant", "bytes", "result"].map(str::to_owned).to_vec();
        context.show(&[
            Block::Table(Table { columns, right: vec![false, true, false], groups }),
            Block::line(
                format!("{} verified, {failures} wrong", results.iter().filter(|r| r.result.is_ok()).count()),
                Tone::Strong,
            ),
        ])?;
    }
    if interrupted() {
        return Ok(Answer::Interrupted);
    }
    Ok(if failures == 0 { Answer::Yes } else { Answer::No })
}

fn verification(result: &Verification) -> Row {
    let (text, tone) = match &result.result {
        Ok(()) => ("equals its reference".to_owned(), Tone::Plain),
        Err(BackendError::Unsupported { reason }) => (format!("unsupported: {reason}"), Tone::Dim),
        Err(BackendError::NoKernel { reason }) => (format!("skipped: {reason}"), Tone::Dim),
        Err(error) => (error.to_string(), Tone::Bad),
    };
    let bytes = if result.bytes > 0 { binary_bytes(result.bytes) } else { "–".to_owned() };
    Row {
        label: result.key.to_string(),
        cells: vec![Cell::plain(result.variant.clone()), Cell::plain(bytes), Cell::new(text, tone)],
    }
}
