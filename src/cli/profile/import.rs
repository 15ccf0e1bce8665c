//! `rooflab profile import`: what other tools measured, as a profile or in one.

use std::fs::File;
use std::path::{Path, PathBuf};

use rooflab::adopt::{Adopted, adopt};
use rooflab::facts::{Conditions, DeviceKind, Identity, Observed};
use rooflab::observe;
use rooflab::profile::{Header, Imported, Profile, SCHEMA, Store, datasheet_of, slug};
use rooflab::report::{self, Block, Tone};

use crate::cli::Answer;
use crate::cli::args;
use crate::cli::context::{Context, file};
use crate::cli::error::CliError;
use crate::cli::lookup::{Found, find};

/// What stands in the place of a backend in profiles that hold nothing but imported values.
const IMPORTED: &str = "imported";

pub(super) fn run(context: &mut Context, arguments: &args::Import) -> Result<Answer, CliError> {
    let mut adopted = Vec::new();
    for path in &arguments.files {
        adopted.extend(read(context, path)?);
    }
    let adopted = of_one_device(adopted, arguments.device.as_deref())?;
    let (mut profile, target) = match &arguments.into {
        Some(name) => {
            let (path, profile) = existing(context, name)?;
            agree(&profile, &adopted, arguments.device.as_deref())?;
            (profile, Some(path))
        }
        None => (blank(context, &adopted, arguments.device.as_deref()), None),
    };
    let values = best(adopted);
    let count = values.len();
    values.into_iter().for_each(|value| profile.take_over(value));
    if let Some(name) = &arguments.name {
        profile.name = slug(name);
    }
    let output = arguments.output.as_deref();
    let saved = match (&target, output) {
        (Some(path), _) => {
            Store::write(path, &profile)?;
            Some(path.clone())
        }
        (None, Some(_)) => {
            context.write_in(output, &profile.to_json())?;
            file(output).map(Path::to_path_buf)
        }
        (None, None) => {
            let store = context.store()?;
            store.prepare()?;
            store.retire(&profile.name)?;
            Some(store.save(&profile)?)
        }
    };
    // Whoever asked for the document on standard output has it already.
    if output.is_some() && saved.is_none() {
        return Ok(Answer::Yes);
    }
    if context.json {
        context.write(&profile.to_json())?;
    } else {
        context.show(&report::profile(&profile))?;
        let where_to = saved.map_or_else(String::new, |path| format!("saved {} · ", path.display()));
        let values = if count == 1 { "value" } else { "values" };
        let line = format!("{where_to}{count} {values} of other tools; rooflab measured none of them");
        context.show(&[Block::line(line, Tone::Dim)])?;
    }
    Ok(Answer::Yes)
}

/// What a file tells of devices.
fn read(context: &mut Context, path: &Path) -> Result<Vec<Adopted>, CliError> {
    let shown = path.display().to_string();
    let failed = |error: &dyn std::error::Error| {
        CliError::caused_by(format!("cannot take anything over from `{shown}`"), error)
            .with_hint("`rooflab profile import --help` lists the tools")
    };
    let opened = File::open(path).map_err(|error| failed(&error))?;
    let observations = observe::from_reader(opened, &shown).map_err(|error| failed(&error))?;
    let mut found = Vec::new();
    let mut refused = None;
    for observation in &observations {
        match adopt(observation) {
            Ok(adopted) => {
                for caveat in &observation.caveats {
                    context.say(&format!("note: {shown}: {caveat}"));
                }
                found.push(adopted);
            }
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        Some(error) if found.is_empty() => Err(failed(&error)),
        _ => Ok(found),
    }
}

/// Of each resource and tool the best value: a file may have measured a device through several interfaces.
fn best(adopted: Vec<Adopted>) -> Vec<Imported> {
    let mut best: Vec<Imported> = Vec::new();
    for value in adopted.into_iter().flat_map(|adopted| adopted.values) {
        let number = |of: &Imported| of.representative().map(|point| point.value);
        match best.iter_mut().find(|known| known.resource == value.resource && known.by.tool == value.by.tool) {
            Some(known) if (number(&value) > number(known)) == value.unit.more_is_better() => *known = value,
            Some(_) => {}
            None => best.push(value),
        }
    }
    best
}

/// The observations of the one device that is meant: those that name it, and those that name none where it is named on the command line.
fn of_one_device(all: Vec<Adopted>, wanted: Option<&str>) -> Result<Vec<Adopted>, CliError> {
    let mut names: Vec<String> = Vec::new();
    for name in all.iter().filter_map(|adopted| adopted.device.clone()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let list = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let Some(wanted) = wanted else {
        if names.len() > 1 {
            return Err(CliError::new(format!("the files are of several devices: {list}"))
                .with_hint("name one with `--device`"));
        }
        of_one_kind(&all)?;
        return match all.iter().find(|adopted| adopted.device.is_none()) {
            Some(nameless) if !names.is_empty() => Err(unnamed(nameless)),
            _ => Ok(all),
        };
    };
    let fits = |name: &String| name.to_lowercase().contains(&wanted.to_lowercase());
    if !names.is_empty() && !names.iter().any(fits) {
        return Err(CliError::new(format!("no device is called `{wanted}`")).with_hint(format!("there are: {list}")));
    }
    let chosen: Vec<Adopted> = all.into_iter().filter(|adopted| adopted.device.as_ref().is_none_or(fits)).collect();
    of_one_kind(&chosen)?;
    Ok(chosen)
}

/// Refuses values of a processor beside those of a GPU: no device is both, whatever it is called.
fn of_one_kind(all: &[Adopted]) -> Result<(), CliError> {
    let known = || all.iter().filter_map(|adopted| Some((adopted, adopted.kind?)));
    let Some((first, kind)) = known().next() else { return Ok(()) };
    match known().find(|(_, other)| other.is_gpu_like() != kind.is_gpu_like()) {
        Some((other, other_kind)) => Err(CliError::new(format!(
            "`{}` is of {}, and `{}` of {}",
            first.file,
            called(kind),
            other.file,
            called(other_kind)
        ))
        .with_hint("take them over one at a time, each as a profile of its own")),
        None => Ok(()),
    }
}

/// What a kind of device is called in a sentence.
const fn called(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Cpu => "a processor",
        DeviceKind::Gpu => "a GPU",
        DeviceKind::Npu => "an accelerator",
        DeviceKind::Software => "a processor in the place of a GPU",
        DeviceKind::Simulated => "a simulated device",
    }
}

fn unnamed(adopted: &Adopted) -> CliError {
    CliError::new(format!("`{}` does not say which device it is of", adopted.file)).with_hint("name it with `--device`")
}

/// A profile that can be added to, and its file.
fn existing(context: &Context, name: &str) -> Result<(PathBuf, Profile), CliError> {
    if name == "-" {
        return Err(
            CliError::new("nothing can be added to standard input").with_hint("name a profile that is in a file")
        );
    }
    match find(&context.store()?, name)? {
        Found::Stored(path, profile, notes) if notes.is_empty() && is_json(&path) => Ok((path, profile)),
        Found::Stored(path, ..) => {
            // Writing it would lose what this rooflab does not know, or the page around it.
            Err(CliError::new(format!("`{}` is a page, or holds what this rooflab does not know", path.display()))
                .with_hint("`rooflab profile show FILE --json > profile.json` makes a profile that can be added to"))
        }
        Found::Bundled(bundled, _) => {
            Err(CliError::new(format!("`{}` ships inside rooflab and cannot be added to", bundled.name()))
                .with_hint(format!("`rooflab profile show {0} --json > {0}.json` makes a copy", bundled.name())))
        }
    }
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

/// Refuses values of another kind of device than the profile's; and unless the device was named, those of one that calls itself something else, or nothing.
fn agree(profile: &Profile, adopted: &[Adopted], wanted: Option<&str>) -> Result<(), CliError> {
    let device = &profile.device;
    let is_other_kind = |kind: DeviceKind| kind.is_gpu_like() != device.kind.is_gpu_like();
    if let Some((other, kind)) =
        adopted.iter().find_map(|adopted| Some((adopted, adopted.kind.filter(|kind| is_other_kind(*kind))?)))
    {
        let message = format!(
            "the profile is of {}, `{}`, and `{}` of {}",
            called(device.kind),
            device.name,
            other.file,
            called(kind)
        );
        return Err(CliError::new(message).with_hint("without `--into` it becomes a profile of its own"));
    }
    if wanted.is_some() {
        return Ok(());
    }
    let own = slug(&device.name);
    for adopted in adopted {
        match &adopted.device {
            Some(name) if !own.contains(&slug(name)) && !slug(name).contains(&own) => {
                return Err(CliError::new(format!("the profile is of `{}`, and the file of `{name}`", device.name))
                    .with_hint(format!("if they are the same, say so: `--device '{name}'`")));
            }
            // A machine's processors are all alike, and tools for processors name none; GPUs of one machine may differ.
            None if adopted.kind != Some(DeviceKind::Cpu) => return Err(unnamed(adopted)),
            _ => {}
        }
    }
    Ok(())
}

/// A profile without values, of the device that the files name, or else the command line.
fn blank(context: &Context, adopted: &[Adopted], wanted: Option<&str>) -> Profile {
    let name = adopted.iter().find_map(|adopted| adopted.device.clone()).or_else(|| wanted.map(str::to_owned));
    // What does not say its kind is of something that clpeak or mixbench reached through OpenCL or Vulkan.
    let kind = adopted.iter().find_map(|adopted| adopted.kind).unwrap_or(DeviceKind::Gpu);
    let name = name.unwrap_or_else(|| "unnamed device".to_owned());
    let mut device = Identity::named(&name, kind);
    (device.id, device.backend) = (IMPORTED.to_owned(), IMPORTED.to_owned());
    let datasheet = datasheet_of(&device).map_or_else(Vec::new, |sheet| sheet.datasheet.clone());
    let header =
        Header { schema: SCHEMA.to_owned(), rooflab: context.source(), created: context.now(), complete: true };
    Profile {
        header,
        name: Store::name_for(&name, IMPORTED),
        device,
        conditions: Conditions::default(),
        instrument: None,
        observed: Observed::default(),
        ceilings: Vec::new(),
        datasheet,
        imported: Vec::new(),
        matches: Vec::new(),
    }
}
