//! `rooflab help`: the commands and the topics, or the page of one.

mod manual;
mod page;
mod topics;

use clap::{CommandFactory, Parser};
use serde_json::json;

use super::Answer;
use super::args::Arguments;
use super::context::Context;
use super::error::CliError;
use topics::{TOPICS, Topic, similar};

/// Columns of a page where no terminal limits them, and the most that are read with ease.
const WIDEST: usize = 100;

pub(crate) fn run(context: &mut Context, words: &[String]) -> Result<Answer, CliError> {
    let command = Arguments::command();
    let commands = || command.get_subcommands().filter(|command| !command.is_hide_set());
    match words {
        [] if context.json => {
            let about = |command: &clap::Command| command.get_about().map(ToString::to_string);
            let commands: Vec<_> =
                commands().map(|command| json!({ "command": command.get_name(), "about": about(command) })).collect();
            let topics: Vec<_> =
                TOPICS.iter().map(|topic| json!({ "topic": topic.name, "title": topic.title() })).collect();
            context.write_json(&json!({ "commands": commands, "topics": topics }))?;
        }
        [] => of_command(context, &[])?,
        [first, ..] if commands().any(|command| command.get_name() == first) => of_command(context, words)?,
        [word] => {
            let Some(topic) = Topic::named(word) else {
                let near = similar(word, commands().map(clap::Command::get_name));
                return Err(unknown(word, &near));
            };
            of_topic(context, topic)?;
        }
        [word, ..] => {
            let what = if Topic::named(word).is_some() { "a topic is one word" } else { "there is no such command" };
            return Err(CliError::new(format!("`rooflab help` does not know `{}`: {what}", words.join(" ")))
                .with_hint("`rooflab help` lists commands and topics"));
        }
    }
    Ok(Answer::Yes)
}

fn unknown(word: &str, near: &[&str]) -> CliError {
    let names: Vec<String> = near.iter().map(|name| format!("`rooflab help {name}`")).collect();
    let hint = match names.as_slice() {
        [] => "`rooflab help` lists commands and topics".to_owned(),
        _ => format!("perhaps {}; `rooflab help` lists all", names.join(" or ")),
    };
    CliError::new(format!("there is no command and no topic `{word}`")).with_hint(hint)
}

fn of_topic(context: &mut Context, topic: &Topic) -> Result<(), CliError> {
    if context.json {
        return context.write_json(&json!({ "topic": topic.name, "title": topic.title(), "page": topic.page }));
    }
    let width = context.style().width.map_or(WIDEST, |width| width.min(WIDEST));
    context.show(&page::blocks(topic.page, width))
}

/// What the command says of itself when it is asked with `--help`.
fn of_command(context: &mut Context, words: &[String]) -> Result<(), CliError> {
    let asked = ["rooflab"].into_iter().chain(words.iter().map(String::as_str)).chain(["--help"]);
    let Err(answer) = Arguments::try_parse_from(asked) else {
        return Err(CliError::new(format!("`rooflab {}` has no page", words.join(" "))));
    };
    if answer.use_stderr() {
        // What is wrong with the words is said by the first line.
        let text = answer.to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        return Err(CliError::new(message).with_hint("`rooflab help` lists commands and topics"));
    }
    if context.json {
        return context.write_json(&json!({ "command": words.join(" "), "page": answer.to_string() }));
    }
    context.write(&answer.render().ansi().to_string())
}

/// What stands below the list of commands.
pub(crate) fn list_of_topics() -> String {
    let longest = TOPICS.iter().map(|topic| topic.name.len()).max().unwrap_or(0);
    let line = |topic: &Topic| format!("  {:<longest$}  {}", topic.name, topic.title());
    format!("Topics (`rooflab help TOPIC`):\n{}", TOPICS.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// The topics as sections of the manual page.
pub(crate) fn manual() -> String {
    manual::sections(TOPICS)
}
