//! `rooflab profile …`: list, show, find, ask, check and compare profiles.

mod ask;

use std::io;

use rooflab::profile::{Profile, ReadNote, Store, check, diff, from_reader};
use rooflab::report::{self, Block, Cell, Tone};
use serde_json::json;

use super::Answer;
use super::args;
use super::context::Context;
use super::devices::choose;
use super::error::CliError;

pub(crate) fn run(context: &mut Context, command: &args::Profile) -> Result<Answer, CliError> {
    match command {
        args::Profile::List => list(context),
        args::Profile::Show(which) => show(context, which.profile.as_deref()),
        args::Profile::Path { profile } => path(context, profile.as_deref()),
        args::Profile::Ask(asked) => ask::run(context, asked),
        args::Profile::Check { profiles } => check_all(context, profiles),
        args::Profile::Diff { before, after, fail_on_regression } => {
            compare(context, before, after, *fail_on_regression)
        }
    }
}

fn list(context: &mut Context) -> Result<Answer, CliError> {
    let store = context.store()?;
    let entries = store.list()?;
    if context.json {
        let rows: Vec<_> = entries
            .iter()
            .map(|entry| match &entry.profile {
                Ok(profile) => json!({
                    "name": entry.name,
                    "path": entry.path,
                    "device": profile.device.name,
                    "backend": profile.device.backend,
                    "created": profile.header.created,
                    "effort": profile.instrument.as_ref().map(|instrument| instrument.effort),
                    "complete": profile.header.complete,
                }),
                Err(error) => json!({ "name": entry.name, "path": entry.path, "error": error.to_string() }),
            })
            .collect();
        context.write_json(&rows)?;
    } else if entries.is_empty() {
        context
            .say(&format!("no profiles in `{}` yet; `rooflab probe` measures this machine", store.folder().display()));
    } else {
        context.show(&report::list(&entries))?;
    }
    Ok(Answer::Yes)
}

fn show(context: &mut Context, which: Option<&str>) -> Result<Answer, CliError> {
    let profile = load_and_note(context, &or_this_machine(which)?)?;
    if context.json {
        context.write(&profile.to_json())?;
    } else {
        context.show(&report::profile(&profile))?;
        let when = profile.header.created.strftime("%Y-%m-%d %H:%M UTC");
        let made = match &profile.instrument {
            Some(instrument) => format!(
                "{} · measured {when} in {} by rooflab {}{}",
                profile.name,
                instrument.elapsed,
                profile.header.rooflab.version,
                if profile.header.complete { "" } else { " · incomplete" },
            ),
            None => format!("{} · nothing measured; the maker's figures, entered {when}", profile.name),
        };
        context.show(&[Block::line(made, Tone::Dim)])?;
    }
    Ok(Answer::Yes)
}

fn path(context: &mut Context, which: Option<&str>) -> Result<Answer, CliError> {
    let store = context.store()?;
    let path = match which {
        Some(name) => store.find(name)?.0,
        None => store.folder().to_path_buf(),
    };
    if context.json {
        context.write_json(&json!({ "path": path }))?;
    } else {
        context.write(&format!("{}\n", path.display()))?;
    }
    Ok(Answer::Yes)
}

fn check_all(context: &mut Context, names: &[String]) -> Result<Answer, CliError> {
    let names = if names.is_empty() {
        let store = context.store()?;
        store.list()?.into_iter().map(|entry| entry.path.display().to_string()).collect()
    } else {
        names.to_vec()
    };
    if names.is_empty() {
        return Err(CliError::new("there is no profile to check").with_hint("`rooflab probe` measures this machine"));
    }
    let (mut sound, mut rows, mut unreadable) = (true, Vec::new(), None);
    for name in &names {
        let problems = match load_and_note(context, name) {
            Ok(profile) => check(&profile).iter().map(ToString::to_string).collect(),
            Err(error) => {
                // The others are checked all the same; the first that cannot be read decides how the command ends.
                unreadable = unreadable.or(Some(error));
                continue;
            }
        };
        sound &= Vec::is_empty(&problems);
        if !context.json {
            show_verdict(context, name, &problems)?;
        }
        rows.push(json!({ "profile": name, "ok": problems.is_empty(), "problems": problems }));
    }
    if let Some(error) = unreadable {
        return Err(error);
    }
    if context.json {
        context.write_json(&rows)?;
    }
    Ok(if sound { Answer::Yes } else { Answer::No })
}

fn show_verdict(context: &mut Context, name: &str, problems: &[String]) -> Result<(), CliError> {
    let verdict = match problems.len() {
        0 => Cell::plain("ok"),
        1 => Cell::new("1 problem", Tone::Bad),
        count => Cell::new(format!("{count} problems"), Tone::Bad),
    };
    context.show(&[Block::Line(vec![Cell::new(name, Tone::Strong), Cell::plain(": "), verdict])])?;
    problems.iter().try_for_each(|problem| context.show(&[Block::line(format!("  {problem}"), Tone::Plain)]))
}

fn compare(context: &mut Context, before: &str, after: &str, fail_on_regression: bool) -> Result<Answer, CliError> {
    if before == "-" && after == "-" {
        return Err(
            CliError::new("standard input holds one profile, not two").with_hint("give the other by name or path")
        );
    }
    let (first, second) = (load_and_note(context, before)?, load_and_note(context, after)?);
    let comparison = diff(&first, &second);
    if context.json {
        let rows: Vec<_> = comparison
            .changes
            .iter()
            .map(|change| {
                json!({
                    "ceiling": change.key.to_string(),
                    "unit": change.unit,
                    "at": change.at,
                    "before": change.before,
                    "after": change.after,
                    "ratio": change.ratio(),
                    "verdict": change.verdict,
                })
            })
            .collect();
        context.write_json(&rows)?;
    } else {
        context.show(&report::comparison(&comparison, before, after))?;
    }
    Ok(if fail_on_regression && comparison.has_regression() { Answer::No } else { Answer::Yes })
}

/// The name of the profile that a plain `rooflab probe` writes here.
fn or_this_machine(which: Option<&str>) -> Result<String, CliError> {
    if let Some(name) = which {
        return Ok(name.to_owned());
    }
    let choice = choose(None)?.into_iter().next();
    let identity = choice.and_then(|choice| choice.backend.devices().ok()?.into_iter().nth(choice.index));
    identity
        .map(|device| Store::name_for(&device.name, &device.backend))
        .ok_or_else(|| CliError::new("there is no device here"))
}

fn load_and_note(context: &mut Context, name: &str) -> Result<Profile, CliError> {
    let (profile, notes) = load(context, name)?;
    for note in notes {
        context.say(&format!("note: {name}: {note}"));
    }
    Ok(profile)
}

/// A profile by name or path, or from standard input.
fn load(context: &Context, name: &str) -> Result<(Profile, Vec<ReadNote>), CliError> {
    if name == "-" {
        return from_reader(io::stdin().lock()).map_err(|error| CliError::reading("standard input", &error));
    }
    // A path needs no store, and so no home directory.
    let store = context.store().unwrap_or_else(|_| Store::new(""));
    let (_, profile, notes) = store.find(name)?;
    Ok((profile, notes))
}
