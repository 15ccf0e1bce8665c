//! The topics: pages of `docs/topics`, and how they are found.

/// A page about something that several commands have in common.
pub(crate) struct Topic {
    /// The word it is asked for by.
    pub(crate) name: &'static str,
    /// Other words for it.
    aliases: &'static [&'static str],
    /// The page: Markdown, whose first line is the title.
    pub(crate) page: &'static str,
}

macro_rules! topic {
    ($name:literal, $aliases:expr) => {
        Topic { name: $name, aliases: &$aliases, page: include_str!(concat!("../../../docs/topics/", $name, ".md")) }
    };
}

/// Every topic, in the order they are listed in.
pub(crate) static TOPICS: &[Topic] = &[
    topic!("profiles", ["store", "names"]),
    topic!("ceilings", ["keys", "resources", "patterns", "scopes"]),
    topic!("reading", ["flags", "spread"]),
    topic!("quiet", ["calm", "noise"]),
    topic!("devices-and-drivers", ["backends", "drivers", "gpu"]),
    topic!("units", ["sizes", "times", "ranges", "lists"]),
    topic!("formats", ["weights", "caches"]),
    topic!("scripting", ["exit-codes", "json", "environment", "colour", "color"]),
];

/// How alike two words must be for one to be meant by the other.
const SIMILAR: f64 = 0.8;
/// How many words are suggested.
const SUGGESTIONS: usize = 3;

impl Topic {
    /// The topic of a word.
    pub(crate) fn named(word: &str) -> Option<&'static Self> {
        let word = word.to_ascii_lowercase();
        TOPICS.iter().find(|topic| topic.words().any(|name| name == word))
    }

    /// What it is about, in a line.
    pub(crate) fn title(&self) -> &'static str {
        self.page.lines().next().unwrap_or_default().trim_start_matches('#').trim()
    }

    /// The page below its title.
    pub(crate) fn body(&self) -> &'static str {
        self.page.split_once('\n').map_or("", |(_, body)| body)
    }

    fn words(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// Words that are meant by one that stands for nothing, the likeliest first: topics, and the commands that are given.
pub(crate) fn similar<'a>(wanted: &str, commands: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = wanted.to_ascii_lowercase();
    let likeness = |word: &str| strsim::jaro_winkler(&wanted, word);
    let topics = TOPICS.iter().map(|topic| (topic.words().map(likeness).fold(0.0, f64::max), topic.name));
    let mut alike: Vec<(f64, &str)> =
        topics.chain(commands.map(|name| (likeness(name), name))).filter(|(alike, _)| *alike >= SIMILAR).collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0));
    alike.truncate(SUGGESTIONS);
    alike.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{CommandFactory, Parser};
    use rooflab::model::{KvFormat, WeightFormat};

    use super::*;
    use crate::cli::args::Arguments;
    use crate::cli::help::page::{Piece, pieces};

    fn topic(name: &str) -> &'static str {
        Topic::named(name).unwrap().page
    }

    #[test]
    fn every_word_stands_for_one_topic_and_for_no_command() {
        let mut seen = BTreeSet::new();
        for word in TOPICS.iter().flat_map(Topic::words) {
            assert!(seen.insert(word), "{word} stands for two topics");
            assert!(word.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{word}");
        }
        for command in Arguments::command().get_subcommands() {
            assert!(!seen.contains(command.get_name()) || command.is_hide_set(), "{} is both", command.get_name());
        }
        for topic in TOPICS {
            assert!(topic.page.starts_with("# ") && topic.page.ends_with('\n'), "{}", topic.name);
            assert!(topic.title().len() < 90 && topic.body().len() > 400, "{}", topic.name);
        }
    }

    /// Topics show commands that exist, with arguments that they take.
    #[test]
    fn every_command_of_a_topic_is_understood() {
        let mut commands = 0;
        for topic in TOPICS {
            let blocks = pieces(topic.page).into_iter().filter_map(|piece| match piece {
                Piece::Code(lines) => Some(lines),
                _ => None,
            });
            for line in blocks.flatten().filter(|line| line.starts_with("rooflab ")) {
                let words = line.split_whitespace().map(|word| word.trim_matches('\''));
                let parsed = Arguments::try_parse_from(words);
                assert!(parsed.is_ok(), "{}: `{line}`: {:?}", topic.name, parsed.err().map(|e| e.to_string()));
                commands += 1;
            }
        }
        assert!(commands > 20, "only {commands} were found");
    }

    #[test]
    fn topics_that_are_spoken_of_exist() {
        for topic in TOPICS {
            for rest in topic.page.split("rooflab help ").skip(1) {
                let word = rest.split(['`', '\n', ' ']).next().unwrap_or_default();
                assert!(Topic::named(word).is_some(), "{} speaks of {word}", topic.name);
            }
        }
    }

    #[test]
    fn every_format_is_in_its_topic() {
        let page = topic("formats");
        for name in WeightFormat::known_names().chain(KvFormat::known_names()) {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
        for word in page.split('`').skip(1).step_by(2).filter(|word| word.starts_with(['w', 'q', 'm', 'n', 'b'])) {
            let is_known = word.parse::<WeightFormat>().is_ok() || word.parse::<KvFormat>().is_ok();
            assert!(is_known || word == "q4_k_m", "{word}");
        }
    }

    /// The schema has a word for each flag.
    #[test]
    fn every_flag_is_in_its_topic() {
        let schema = serde_json::to_value(rooflab::profile::schema()).unwrap();
        let flags = schema["$defs"]["Flag"]["oneOf"].as_array().unwrap().clone();
        assert!(flags.len() > 8);
        for flag in flags {
            let word = flag["properties"]["flag"]["const"].as_str().unwrap().replace('_', " ");
            assert!(topic("reading").contains(&format!("- `{word}`: ")), "{word}");
        }
    }

    #[test]
    fn resources_of_the_topic_are_resources() {
        for word in topic("ceilings").split('`').skip(1).step_by(2) {
            let is_key = word.split_once('.').is_some_and(|(first, _)| {
                ["memory", "compute", "gemm", "gemv", "attention", "rowwise", "link"].contains(&first)
            });
            let is_pattern = word.contains(|c: char| c.is_ascii_uppercase() || c == '*');
            if is_key && !is_pattern {
                let word = word.trim_end_matches("@core");
                assert!(word.parse::<rooflab::resource::Resource>().is_ok(), "{word}");
            }
        }
    }

    #[test]
    fn words_with_a_slip_are_found() {
        assert_eq!(Topic::named("Exit-Codes").map(|topic| topic.name), Some("scripting"));
        assert!(Topic::named("").is_none());
        let commands = ["probe", "profile"];
        assert_eq!(similar("profils", commands.into_iter())[..2], ["profiles", "profile"]);
        assert_eq!(similar("unit", commands.into_iter()).first(), Some(&"units"));
        assert!(similar("", commands.into_iter()).is_empty() && similar("xyzzy", commands.into_iter()).is_empty());
    }
}
