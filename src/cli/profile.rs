//! `rooflab profile …`: list, show, find, ask, check and compare profiles.

mod ask;
mod export;
mod import;
mod merge;

use std::path::Path;

use rooflab::profile::{NEGLIGIBLE, Profile, bundled, check, diff};
use rooflab::report::{self, Block, Cell, Tone};
use serde_json::{Value, json};

use super::Answer;
use super::args;
use super::context::Context;
use super::error::CliError;
use super::lookup::{Found, find, load_and_note, or_this_machine};

pub(crate) fn run(context: &mut Context, command: &args::Profile) -> Result<Answer, CliError> {
    match command {
        args::Profile::List => list(context),
        args::Profile::Show(which) => show(context, which.profile.as_deref()),
        args::Profile::Path { profile } => path(context, profile.as_deref()),
        args::Profile::Ask(asked) => ask::run(context, asked),
        args::Profile::Check { profiles } => check_all(context, profiles),
        args::Profile::Export(arguments) => export::run(context, arguments),
        args::Profile::Import(arguments) => import::run(context, arguments),
        args::Profile::Merge(arguments) => merge::run(context, arguments),
        args::Profile::Diff { before, after, fail_on_regression, threshold } => {
            // Whoever names a threshold wants a gate.
            let is_gate = *fail_on_regression || threshold.is_some();
            compare(context, before, after, is_gate, threshold.unwrap_or(NEGLIGIBLE))
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
                Ok(profile) => listed(&entry.name, Some(&entry.path), profile),
                Err(error) => json!({ "name": entry.name, "path": entry.path, "error": error.to_string() }),
            })
            .chain(bundled().iter().filter_map(|shipped| Some(listed(shipped.name(), None, shipped.profile()?))))
            .collect();
        context.write_json(&rows)?;
        return Ok(Answer::Yes);
    }
    if entries.is_empty() {
        context
            .say(&format!("no profiles in `{}` yet; `rooflab probe` measures this machine", store.folder().display()));
    }
    context.show(&report::list(&entries, bundled()))?;
    Ok(Answer::Yes)
}

/// A profile in a list; a bundled one has no path.
fn listed(name: &str, path: Option<&Path>, profile: &Profile) -> Value {
    json!({
        "name": name,
        "path": path,
        "bundled": path.is_none(),
        "kind": profile.kind(),
        "device": profile.device.name,
        "backend": profile.device.backend,
        "created": profile.header.created,
        "effort": profile.instrument.as_ref().map(|instrument| instrument.effort),
        "complete": profile.header.complete,
    })
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
            None if profile.is_imported() => {
                format!("{} · nothing measured by rooflab; other tools' values, taken over {when}", profile.name)
            }
            None => format!("{} · nothing measured; the maker's figures, entered {when}", profile.name),
        };
        context.show(&[Block::line(made, Tone::Dim)])?;
    }
    Ok(Answer::Yes)
}

fn path(context: &mut Context, which: Option<&str>) -> Result<Answer, CliError> {
    let store = context.store()?;
    let path = match which.map(|name| find(&store, name)).transpose()? {
        Some(Found::Stored(path, ..)) => path,
        Some(Found::Bundled(bundled, _)) => {
            let name = bundled.name();
            return Err(CliError::new(format!("`{name}` ships inside rooflab and has no file of its own"))
                .with_hint(format!("`rooflab profile show {name} --json > {name}.json` makes one")));
        }
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
    let all = names.is_empty();
    let names = if all {
        let store = context.store()?;
        store.list()?.into_iter().map(|entry| entry.path.display().to_string()).collect()
    } else {
        names.to_vec()
    };
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
    if all {
        sound &= check_bundled(context, &mut rows)?;
    }
    if let Some(error) = unreadable {
        return Err(error);
    }
    if context.json {
        context.write_json(&rows)?;
    }
    Ok(if sound { Answer::Yes } else { Answer::No })
}

/// Checks what ships with rooflab. Only what is wrong has a line of its own.
fn check_bundled(context: &mut Context, rows: &mut Vec<Value>) -> Result<bool, CliError> {
    let mut sound = 0;
    for shipped in bundled() {
        let problems: Vec<String> = match shipped.profile() {
            Some(profile) => check(profile).iter().map(ToString::to_string).collect(),
            None => vec!["it cannot be read".to_owned()],
        };
        sound += usize::from(problems.is_empty());
        if !context.json && !problems.is_empty() {
            show_verdict(context, shipped.name(), &problems)?;
        }
        rows.push(
            json!({ "profile": shipped.name(), "bundled": true, "ok": problems.is_empty(), "problems": problems }),
        );
    }
    if !context.json {
        let total = format!("{sound} of {} bundled profiles: ok", bundled().len());
        context.show(&[Block::line(total, Tone::Plain)])?;
    }
    Ok(sound == bundled().len())
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

fn compare(
    context: &mut Context,
    before: &str,
    after: &str,
    fail_on_regression: bool,
    threshold: f64,
) -> Result<Answer, CliError> {
    if before == "-" && after == "-" {
        return Err(
            CliError::new("standard input holds one profile, not two").with_hint("give the other by name or path")
        );
    }
    let (first, second) = (load_and_note(context, before)?, load_and_note(context, after)?);
    if let Some(sheet) = [&first, &second].into_iter().find(|profile| fail_on_regression && profile.is_datasheet()) {
        let message = format!("`{}` is a datasheet: nothing in it was measured that could become worse", sheet.name);
        return Err(CliError::new(message).with_hint(
            "compare two measured profiles, or leave out `--threshold` and `--fail-on-regression` to see what of the maker's figures is reached",
        ));
    }
    let comparison = diff(&first, &second, threshold);
    if context.json {
        let rows: Vec<_> = comparison
            .changes
            .iter()
            .map(|change| {
                json!({
                    "ceiling": change.key.to_string(),
                    "unit": change.unit,
                    "at": change.at,
                    "shape": change.shape,
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
