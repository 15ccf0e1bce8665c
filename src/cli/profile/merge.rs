//! `rooflab profile merge`: many profiles of the same kind of device, and which of them fall behind.

use std::fs;
use std::path::{Path, PathBuf};

use rooflab::profile::{LEAST_OF_FLEET, Profile, fleet};
use rooflab::report;
use serde_json::json;

use crate::cli::Answer;
use crate::cli::args;
use crate::cli::context::{Context, IN_A_FILE, file};
use crate::cli::error::CliError;
use crate::cli::lookup::load_and_note;

pub(super) fn run(context: &mut Context, arguments: &args::Merge) -> Result<Answer, CliError> {
    let output = arguments.output.as_deref();
    let to_standard_output = output.is_some() && file(output).is_none();
    if to_standard_output && context.json {
        return Err(CliError::new("`--json` and `--output -` both write to standard output")
            .with_hint("write the typical profile to a file: `--output typical.json`"));
    }
    let names = expanded(&arguments.profiles)?;
    let profiles = names.iter().map(|name| load_and_note(context, name)).collect::<Result<Vec<Profile>, _>>()?;
    if profiles.len() < LEAST_OF_FLEET {
        let count = profiles.len();
        let (profiles, have) = if count == 1 { ("profile", "has") } else { ("profiles", "have") };
        return Err(CliError::new(format!("{count} {profiles} {have} no middle that one of them could be away from"))
            .with_hint("name three or more, or compare two with `rooflab profile diff`"));
    }
    let short: Vec<String> = names.iter().map(|name| short(name)).collect();
    are_of_one_kind(&profiles, &short)?;
    let found = fleet(&profiles.iter().collect::<Vec<_>>(), arguments.threshold);
    if found.ceilings.is_empty() && found.missing.is_empty() {
        return Err(CliError::new(format!("no ceiling was measured on {LEAST_OF_FLEET} of the devices"))
            .with_hint("`rooflab profile show` says what a profile has"));
    }
    if context.json {
        context.write_json(&json!({ "profiles": names, "threshold": arguments.threshold, "fleet": found }))?;
    } else if to_standard_output {
        // The profile has standard output for itself.
        let told = report::text(&report::fleet(&found, &short), IN_A_FILE);
        context.say(told.trim_end());
    } else {
        context.show(&report::fleet(&found, &short))?;
    }
    if output.is_some() {
        let typical = found.typical.ok_or_else(|| {
            CliError::new("none of the profiles has a value for every ceiling that they have in common")
                .with_hint("measure again what is missing, or leave out `--output`")
        })?;
        context.write_in(output, &profiles[typical].to_json())?;
    }
    Ok(if found.has_outliers() { Answer::No } else { Answer::Yes })
}

/// Refuses devices of which one cannot fall behind another, because they are different ones.
fn are_of_one_kind(profiles: &[Profile], names: &[String]) -> Result<(), CliError> {
    let kind = |profile: &Profile| (profile.device.kind, profile.device.backend.clone(), profile.device.name.clone());
    let Some(first) = profiles.first() else { return Ok(()) };
    match profiles.iter().zip(names).find(|(profile, _)| kind(profile) != kind(first)) {
        None => Ok(()),
        Some((other, name)) => {
            let what = |of: &Profile| format!("`{}` ({})", of.device.name, of.device.backend);
            let message = format!("`{}` is of {} and `{name}` of {}", names[0], what(first), what(other));
            Err(CliError::new(message).with_hint("a fleet is of one kind of device: compare each kind by itself"))
        }
    }
}

/// Profiles by what they are called; of folders, every JSON file in them.
fn expanded(names: &[String]) -> Result<Vec<String>, CliError> {
    let mut all = Vec::new();
    for name in names {
        let path = Path::new(name);
        if !path.is_dir() {
            all.push(name.clone());
            continue;
        }
        let unreadable =
            |error: std::io::Error| CliError::caused_by(format!("cannot read the folder `{name}`"), &error);
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(path).map_err(unreadable)? {
            files.push(entry.map_err(unreadable)?.path());
        }
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        all.extend(files.iter().map(|file| file.display().to_string()));
    }
    Ok(all)
}

/// The name of a file without its folder and its ending.
fn short(name: &str) -> String {
    let stem = Path::new(name).file_name().map(|name| name.to_string_lossy().into_owned());
    let stem = stem.unwrap_or_else(|| name.to_owned());
    stem.strip_suffix(".json").map_or(stem.clone(), str::to_owned)
}
