//! `rooflab profile merge`: many profiles of the same kind of device, and which of them fall behind.

use std::fs;
use std::path::{Path, PathBuf};

use rooflab::profile::{LEAST_OF_FLEET, Profile, fleet};
use rooflab::report;
use serde_json::json;

use crate::cli::Answer;
use crate::cli::args;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::lookup::load_and_note;

pub(super) fn run(context: &mut Context, arguments: &args::Merge) -> Result<Answer, CliError> {
    let names = expanded(&arguments.profiles)?;
    let profiles = names.iter().map(|name| load_and_note(context, name)).collect::<Result<Vec<Profile>, _>>()?;
    if profiles.len() < LEAST_OF_FLEET {
        return Err(CliError::new(format!(
            "{} profiles have no middle that one of them could be away from",
            profiles.len()
        ))
        .with_hint("name three or more, or compare two with `rooflab profile diff`"));
    }
    let found = fleet(&profiles.iter().collect::<Vec<_>>(), arguments.threshold);
    let short: Vec<String> = names.iter().map(|name| short(name)).collect();
    if context.json {
        context.write_json(&json!({ "profiles": names, "threshold": arguments.threshold, "fleet": found }))?;
    } else {
        context.show(&report::fleet(&found, &short))?;
    }
    if let Some((path, typical)) = arguments.output.as_deref().zip(found.typical) {
        fs::write(path, profiles[typical].to_json()).map_err(|error| CliError::writing_file(path, &error))?;
    }
    Ok(if found.has_outliers() { Answer::No } else { Answer::Yes })
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
