//! llama-bench: the Markdown table that it prints by default, and that people paste.
//!
//! Columns come and go with the flags in use; `test` and `t/s` are always last. Sizes and rates are rounded as printed.

use super::{Importer, observation};
use crate::observe::caveat::Caveat;
use crate::observe::document::{Format, Load, Observation, Subject, Tool};
use crate::observe::error::ReadError;
use crate::observe::input::Input;
use crate::observe::metric::{Distribution, Quantity};
use crate::observe::object::within;
use crate::observe::text;
use crate::units::Bytes;

pub(super) const IMPORTER: Importer = Importer {
    name: "llama-bench's table",
    gives: "prefill and decode rates at batch 1, rounded",
    hardware: false,
    sniff: |input| header(input).is_some(),
    read,
};

/// The cells of a line of a table.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

/// The line of the names of the columns.
fn header<'a>(input: &'a Input<'_>) -> Option<(usize, Vec<&'a str>)> {
    input.lines().find_map(|(number, line)| {
        let names = cells(line)?;
        (names.ends_with(&["test", "t/s"]) && names.first() == Some(&"model")).then_some((number, names))
    })
}

fn read(input: &Input<'_>) -> Result<Vec<Observation>, ReadError> {
    let Some((start, names)) = header(input) else { return Ok(Vec::new()) };
    let version = input.lines().find_map(|(_, line)| line.trim().strip_prefix("build: "));
    let commit = version.and_then(|build| build.split(' ').next()).map(text::clean);
    let number =
        version.and_then(|build| build.split_once('(')).map(|(_, rest)| text::clean(rest.trim_end_matches(')')));
    let mut observations = Vec::new();
    for (line, text) in input.lines().skip(start) {
        let Some(values) = cells(text) else { continue };
        if values.iter().all(|value| value.chars().all(|c| matches!(c, '-' | ':' | ' '))) {
            continue;
        }
        if values.len() != names.len() {
            let problem = format!("expected {} columns; there are {}", names.len(), values.len());
            return Err(ReadError::at(input.line(line), problem));
        }
        let row = Row { names: &names, values: &values, at: input.line(line) };
        let mut observation = observation(Tool::LlamaBench, commit.clone(), &row.at);
        row.fill(&mut observation)?;
        observation.subject.engine_version.clone_from(&number);
        observations.push(observation);
    }
    Ok(observations)
}

/// A line of the table.
struct Row<'a> {
    names: &'a [&'a str],
    values: &'a [&'a str],
    at: String,
}

impl Row<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let column = self.names.iter().position(|column| *column == name)?;
        self.values.get(column).copied().filter(|value| !value.is_empty())
    }

    fn fault(&self, column: &str, expected: &str) -> ReadError {
        ReadError::at(format!("{}, column `{column}`", self.at), format!("expected {expected}"))
    }

    fn number(&self, column: &str, word: &str) -> Result<f64, ReadError> {
        let number = word.trim().parse().ok().filter(|number: &f64| number.is_finite());
        within(number.ok_or_else(|| self.fault(column, "a number"))?, || self.at.clone())
    }

    fn fill(&self, observation: &mut Observation) -> Result<(), ReadError> {
        let test =
            self.get("test").and_then(parse_test).ok_or_else(|| self.fault("test", "a test such as `tg128 @ d512`"))?;
        let rate = self.get("t/s").ok_or_else(|| self.fault("t/s", "a rate such as `170.00 ± 0.11`"))?;
        let (mean, std) = rate.split_once('±').unwrap_or((rate, ""));
        let mean = Some(self.number("t/s", mean)?).filter(|&mean| mean > 0.0);
        let std = if std.is_empty() { None } else { Some(self.number("t/s", std)?).filter(|&std| std >= 0.0) };
        let quantity = match (test.prompt, test.generate) {
            (Some(_), None) => Quantity::PrefillRate,
            (None, _) => Quantity::DecodeRate,
            (Some(_), Some(_)) => Quantity::TotalRate,
        };
        observation.put(quantity, Distribution { mean, std, ..Distribution::default() }, self.at.clone());
        let count = |column: &str| self.get(column)?.parse::<u32>().ok().filter(|&count| count > 0).map(u64::from);
        observation.load = Load {
            threads: count("threads"),
            mapped: self.get("mmap").map(|word| word == "1"),
            device_layers: count("ngl"),
            host_expert_layers: count("n_cpu_moe"),
            host_kv: (self.get("nkvo") == Some("1")).then_some(1.0),
            ..test
        };
        let kind = self.get("model").map(text::clean);
        let (k, v) = (self.get("type_k"), self.get("type_v"));
        observation.subject = Subject {
            weights: kind.as_deref().and_then(super::llama_bench::weights),
            model_kind: kind,
            weight_bytes: self.size()?,
            // One of the two columns is only there when it is not f16, which is then what the other is.
            kv: match (k, v) {
                (None, None) => None,
                (k, v) if k.unwrap_or("f16") == v.unwrap_or("f16") => k.and_then(Format::named),
                (k, v) => Format::named(&format!("{}/{}", k.unwrap_or("f16"), v.unwrap_or("f16"))),
            },
            engine: Some("llama.cpp".to_owned()),
            ..Subject::default()
        };
        observation.note(Caveat::RandomTokens);
        observation.note(Caveat::Rounded);
        if self.get("n_cpu_moe").is_some_and(|count| count != "0") || self.get("nkvo") == Some("1") {
            observation.note(Caveat::PartlyOnHost);
        }
        Ok(())
    }

    /// `14.96 GiB`, in powers of 1024.
    fn size(&self) -> Result<Option<Bytes>, ReadError> {
        let Some(size) = self.get("size") else { return Ok(None) };
        let (number, unit) = size.split_once(' ').ok_or_else(|| self.fault("size", "a size such as `14.96 GiB`"))?;
        let factor = match unit {
            "MiB" => 1_048_576.0,
            "GiB" => 1_073_741_824.0,
            _ => return Err(self.fault("size", "a size such as `14.96 GiB`")),
        };
        Ok(Some(Bytes(self.number("size", number)? * factor)).filter(|size| size.get() > 0.0))
    }
}

/// A test's name: `pp512`, `tg128 @ d2048`, `pp512+tg128`.
fn parse_test(name: &str) -> Option<Load> {
    let (test, depth) = name.split_once(" @ d").unwrap_or((name, "0"));
    let tokens = |word: &str| word.parse::<u32>().ok().filter(|&count| count > 0).map(f64::from);
    let (prompt, generate) = match test.split_once('+') {
        Some((prompt, generate)) => {
            (Some(tokens(prompt.strip_prefix("pp")?)?), Some(tokens(generate.strip_prefix("tg")?)?))
        }
        None if test.starts_with("pp") => (Some(tokens(test.strip_prefix("pp")?)?), None),
        None => (None, Some(tokens(test.strip_prefix("tg")?)?)),
    };
    let depth = depth.parse::<u32>().ok().map(f64::from)?;
    Some(Load { batch: Some(1), prompt, generate, depth: Some(depth), ..Load::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_named_after_their_tokens() {
        let read = |name| parse_test(name).map(|load| (load.prompt, load.generate, load.depth));
        assert_eq!(read("pp512"), Some((Some(512.0), None, Some(0.0))));
        assert_eq!(read("tg128 @ d2048"), Some((None, Some(128.0), Some(2048.0))));
        assert_eq!(read("pp512+tg128"), Some((Some(512.0), Some(128.0), Some(0.0))));
        for wrong in ["", "pp", "tg0", "xx5", "pp5+", "tg128 @ d", "pp99999999999"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
