//! Drives `rooflab help`: commands, topics, words with a slip, and the manual page.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::Home;
use serde_json::Value;

const TOPICS: [&str; 8] =
    ["profiles", "ceilings", "reading", "quiet", "devices-and-drivers", "units", "formats", "scripting"];

#[test]
fn help_lists_commands_and_topics() {
    let home = Home::new();
    let (code, out, err) = home.run(&["help"]);
    assert_eq!((code, err.as_str()), (0, ""));
    for word in TOPICS.iter().chain(&["probe", "profile", "estimate", "diagnose", "help"]) {
        assert!(out.lines().any(|line| line.trim_start().starts_with(word)), "{word} is not in:\n{out}");
    }
    assert_eq!(home.run(&["--help"]).1, out);
    let (code, out, _) = home.run(&["help", "--json"]);
    let listed: Value = serde_json::from_str(&out).unwrap();
    let topics: Vec<&str> =
        listed["topics"].as_array().unwrap().iter().filter_map(|topic| topic["topic"].as_str()).collect();
    assert_eq!((code, &topics[..]), (0, &TOPICS[..]));
    assert!(listed["commands"].as_array().unwrap().iter().any(|command| command["command"] == "probe"));
}

#[test]
fn each_topic_is_printed_and_is_in_the_manual_page() {
    let home = Home::new();
    let (_, manual, _) = home.run(&["generate", "man"]);
    for topic in TOPICS {
        let (code, out, err) = home.run(&["help", topic]);
        assert_eq!((code, err.as_str()), (0, ""), "{topic}");
        assert!(out.lines().count() > 10 && !out.contains("```") && !out.contains('#'), "{out}");
        let title = out.lines().next().unwrap();
        assert!(manual.contains(&title.to_uppercase()), "{title}");
        let (code, out, _) = home.run(&["help", topic, "--json"]);
        let page: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, page["topic"].as_str(), page["title"].as_str()), (0, Some(topic), Some(title)));
        assert!(page["page"].as_str().unwrap().starts_with(&format!("# {title}\n")));
    }
}

#[test]
fn commands_are_explained_as_by_themselves() {
    let home = Home::new();
    for words in [&["probe"][..], &["profile"], &["profile", "diff"], &["generate", "schema"]] {
        let (code, out, err) = home.run(&[&["help"], words].concat());
        assert_eq!((code, err.as_str()), (0, ""), "{words:?}");
        assert_eq!(home.run(&[words, &["--help"]].concat()).1, out);
    }
    let (code, out, _) = home.run(&["help", "profile", "diff", "--json"]);
    assert_eq!((code, &serde_json::from_str::<Value>(&out).unwrap()["command"]), (0, &"profile diff".into()));
}

#[test]
fn words_that_stand_for_nothing_are_errors_with_near_ones() {
    let home = Home::new();
    for (words, says) in [
        (&["profils"][..], "hint: perhaps `rooflab help profiles` or `rooflab help profile`"),
        (&["exit-code"], "`rooflab help scripting`"),
        (&["xyzzy"], "hint: `rooflab help` lists commands and topics"),
        (&["units", "sizes"], "a topic is one word"),
        (&["nothing", "at", "all"], "there is no such command"),
        (&["profile", "dif"], "unrecognized subcommand"),
    ] {
        let (code, out, err) = home.run(&[&["help"], words].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{words:?}");
        assert!(err.contains(says), "{words:?}: {err}");
    }
}

#[test]
fn colour_is_for_terminals() {
    let home = Home::new();
    for words in [&["help"][..], &["help", "units"], &["help", "probe"]] {
        assert!(!home.run(words).1.contains('\u{1b}'), "{words:?}");
    }
}

/// Files of a folder and its folders, with the first part of their paths below it.
fn files(folder: &Path, of: Option<&str>, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let own = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let first = of.unwrap_or(&own);
        if path.is_dir() {
            files(&path, Some(first), found);
        } else {
            found.push((first.to_owned(), fs::read_to_string(&path).unwrap()));
        }
    }
}

/// What a page has in `backticks`, of the paragraph that begins so.
fn quoted<'a>(page: &'a str, begin: &str) -> Vec<&'a str> {
    let paragraph = page.lines().find(|line| line.starts_with(begin)).unwrap();
    paragraph.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_answer_that_may_be_no_is_among_the_exit_codes() {
    let mut sources = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli"), None, &mut sources);
    let mut said: BTreeMap<String, usize> = BTreeMap::new();
    for (command, source) in sources.into_iter().filter(|(first, _)| first != "mod") {
        *said.entry(command).or_default() += source.matches("Answer::No").count();
    }
    said.retain(|_, count| *count > 0);
    let (_, page, _) = Home::new().run(&["help", "scripting", "--json"]);
    let page: Value = serde_json::from_str(&page).unwrap();
    let page = page["page"].as_str().unwrap();
    let mut listed: BTreeMap<String, usize> = BTreeMap::new();
    for words in quoted(page, "These answer no with 1:").into_iter().filter(|words| !words.starts_with("--")) {
        *listed.entry(words.split(' ').next().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(listed, said);
}

#[test]
fn the_commands_with_formats_are_named() {
    let home = Home::new();
    let (_, page, _) = home.run(&["help", "scripting", "--json"]);
    let page: Value = serde_json::from_str(&page).unwrap();
    let mut named = quoted(page["page"].as_str().unwrap(), "`estimate`, `plot`");
    named.retain(|word| *word != "--format");
    named.sort_unstable();
    let (_, listed, _) = home.run(&["help", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let commands = listed["commands"].as_array().unwrap().iter().filter_map(|command| command["command"].as_str());
    let mut with: Vec<&str> =
        commands.filter(|command| home.run(&[command, "--help"]).1.contains("--format")).collect();
    with.sort_unstable();
    assert_eq!(named, with);
}
