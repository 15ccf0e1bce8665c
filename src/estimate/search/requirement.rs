//! Requirements as people type them: `ttft<500ms,tpot.p99<25ms,throughput>1000`.

use std::fmt;
use std::str::FromStr;

use crate::estimate::serving::{Metrics, Spread};
use crate::units::{Seconds, parse_duration, parse_size};

/// What is required of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aspect {
    /// Time to the first token.
    Ttft,
    /// Time per token after the first.
    Tpot,
    /// Intervals between tokens.
    Itl,
    /// Time to the last token.
    Latency,
    /// Tokens per second.
    Throughput,
    /// Tokens per second and device.
    ThroughputPerDevice,
    /// Tokens per second of a request.
    ThroughputPerUser,
    /// Requests per second.
    Requests,
}

/// Which number of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Statistic {
    /// The mean.
    #[default]
    Mean,
    /// The median.
    P50,
    /// The 90th percentile.
    P90,
    /// The 99th percentile.
    P99,
}

/// A bound that something must stay below (a time) or exceed (a rate).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Requirement {
    aspect: Aspect,
    statistic: Statistic,
    bound: f64,
}

/// A requirement that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no requirement: {cause}")]
pub struct ParseRequirementError {
    text: String,
    cause: String,
}

/// Every aspect with its name.
const ASPECTS: [(&str, Aspect); 8] = [
    ("ttft", Aspect::Ttft),
    ("tpot", Aspect::Tpot),
    ("itl", Aspect::Itl),
    ("latency", Aspect::Latency),
    ("throughput", Aspect::Throughput),
    ("throughput_per_device", Aspect::ThroughputPerDevice),
    ("throughput_per_user", Aspect::ThroughputPerUser),
    ("requests", Aspect::Requests),
];

/// Every statistic with its name.
const STATISTICS: [(&str, Statistic); 4] =
    [("mean", Statistic::Mean), ("p50", Statistic::P50), ("p90", Statistic::P90), ("p99", Statistic::P99)];

/// The entry of a table by its name, or the names there are.
fn named<T: Copy>(what: &str, table: &[(&str, T)], name: &str) -> Result<T, String> {
    table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<String> = table.iter().map(|(known, _)| format!("`{known}`")).collect();
        format!("`{name}` is no {what}; expected one of {}", names.join(", "))
    })
}

/// The name of a table's entry.
fn name<T: PartialEq>(table: &[(&'static str, T)], value: &T) -> &'static str {
    table.iter().find(|(_, known)| known == value).map_or("", |(name, _)| name)
}

impl Aspect {
    /// Whether it is a time, of which less is better.
    #[must_use]
    pub const fn is_time(self) -> bool {
        matches!(self, Self::Ttft | Self::Tpot | Self::Itl | Self::Latency)
    }

    /// Whether it has percentiles.
    #[must_use]
    pub const fn has_percentiles(self) -> bool {
        matches!(self, Self::Ttft | Self::Itl | Self::Latency)
    }
}

/// Reads requirements with commas between them.
///
/// # Errors
/// The first that cannot be read, and why.
pub fn parse_requirements(text: &str) -> Result<Vec<Requirement>, ParseRequirementError> {
    text.split(',').map(|part| part.trim().parse()).collect()
}

impl Requirement {
    /// The number that must not be reached (a time) or must be exceeded (a rate): seconds, or per second.
    #[must_use]
    pub const fn bound(&self) -> f64 {
        self.bound
    }

    /// What is required of.
    #[must_use]
    pub const fn aspect(&self) -> Aspect {
        self.aspect
    }

    /// The value that is compared. None where there is no such value: the TPOT of requests with one token.
    #[must_use]
    pub fn value(&self, metrics: &Metrics) -> Option<f64> {
        let of = |spread: Spread| {
            let time = match self.statistic {
                Statistic::Mean => spread.mean,
                Statistic::P50 => spread.p50,
                Statistic::P90 => spread.p90,
                Statistic::P99 => spread.p99,
            };
            time.get()
        };
        match self.aspect {
            Aspect::Ttft => Some(of(metrics.ttft)),
            Aspect::Tpot => metrics.tpot.map(Seconds::get),
            Aspect::Itl => metrics.itl.map(of),
            Aspect::Latency => Some(of(metrics.latency)),
            Aspect::Throughput => Some(metrics.throughput),
            Aspect::ThroughputPerDevice => Some(metrics.throughput_per_device),
            Aspect::ThroughputPerUser => Some(metrics.throughput_per_user),
            Aspect::Requests => Some(metrics.requests),
        }
    }

    /// Whether it is met. Where there is no value, nothing can miss it.
    #[must_use]
    pub fn is_met(&self, metrics: &Metrics) -> bool {
        self.value(metrics).is_none_or(
            |value| {
                if self.aspect.is_time() { value < self.bound } else { value > self.bound }
            },
        )
    }
}

impl FromStr for Requirement {
    type Err = ParseRequirementError;

    fn from_str(text: &str) -> Result<Self, ParseRequirementError> {
        read(text).map_err(|cause| ParseRequirementError { text: text.to_owned(), cause })
    }
}

fn read(text: &str) -> Result<Requirement, String> {
    let (left, rest) = text
        .find(['<', '>'])
        .map(|at| text.split_at(at))
        .ok_or("expected something such as `ttft<500ms` or `throughput>1000`")?;
    let is_below = rest.starts_with('<');
    let bound = rest[1..].trim();
    let (aspect_name, statistic) = match left.trim().split_once('.') {
        Some((aspect, statistic)) => (aspect, named("statistic", &STATISTICS, statistic)?),
        None => (left.trim(), Statistic::Mean),
    };
    let aspect = named("metric", &ASPECTS, aspect_name)?;
    if statistic != Statistic::Mean && !aspect.has_percentiles() {
        return Err(format!("`{aspect_name}` has a mean only"));
    }
    if aspect.is_time() != is_below {
        let (kind, sign) = if aspect.is_time() { ("a time", '<') } else { ("a rate", '>') };
        return Err(format!("`{aspect_name}` is {kind}: it can be required with `{sign}`"));
    }
    let bound = if aspect.is_time() {
        parse_duration(bound).map_err(|error| error.to_string())?.get()
    } else {
        rate(bound).ok_or_else(|| format!("`{bound}` is not a rate such as `1000` or `2k`"))?
    };
    Ok(Requirement { aspect, statistic, bound })
}

/// Reads a positive rate, with or without the suffix of a size.
fn rate(text: &str) -> Option<f64> {
    let plain = text.parse::<f64>().ok().filter(|_| text.starts_with(|first: char| first.is_ascii_digit()));
    let rate = plain.or_else(|| parse_size(text).ok().map(|size| size as f64))?;
    (rate.is_finite() && rate > 0.0).then_some(rate)
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name(&ASPECTS, &self.aspect))?;
        if self.statistic != Statistic::Mean {
            write!(f, ".{}", name(&STATISTICS, &self.statistic))?;
        }
        if self.aspect.is_time() { write!(f, " < {}", Seconds(self.bound)) } else { write!(f, " > {}", self.bound) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requirements_as_typed() {
        let found = parse_requirements("ttft<500ms, tpot < 25ms,throughput>1k,itl.p99<0.1,requests>0.5").unwrap();
        let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["ttft < 500 ms", "tpot < 25.0 ms", "throughput > 1000", "itl.p99 < 100 ms", "requests > 0.5"]
        );
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("", "`` is no requirement: expected something such as `ttft<500ms` or `throughput>1000`"),
            ("tpot", "`tpot` is no requirement: expected something such as `ttft<500ms` or `throughput>1000`"),
            ("tpot.p99<1s", "`tpot.p99<1s` is no requirement: `tpot` has a mean only"),
            ("ttft>1s", "`ttft>1s` is no requirement: `ttft` is a time: it can be required with `<`"),
            ("requests<1", "`requests<1` is no requirement: `requests` is a rate: it can be required with `>`"),
            (
                "itl.p95<1s",
                "`itl.p95<1s` is no requirement: `p95` is no statistic; expected one of `mean`, `p50`, `p90`, `p99`",
            ),
            ("ttft<-1s", "`ttft<-1s` is no requirement: `-1s` is not a duration such as `250ms`, `10s` or `2m`"),
            ("ttft<=1s", "`ttft<=1s` is no requirement: `=1s` is not a duration such as `250ms`, `10s` or `2m`"),
            ("throughput>NaN", "`throughput>NaN` is no requirement: `NaN` is not a rate such as `1000` or `2k`"),
            ("throughput>inf", "`throughput>inf` is no requirement: `inf` is not a rate such as `1000` or `2k`"),
            ("throughput>0", "`throughput>0` is no requirement: `0` is not a rate such as `1000` or `2k`"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_requirements(text).unwrap_err().to_string(), expected);
        }
        let error = parse_requirements("speed>1").unwrap_err().to_string();
        assert!(error.contains("`speed` is no metric; expected one of `ttft`, `tpot`"), "{error}");
        assert!(parse_requirements("ttft<1s,").is_err());
    }

    proptest! {
        #[test]
        fn nothing_typed_makes_it_panic(text in ".{0,20}", metric in 0..8_usize, sign in "[<>]", bound in "[0-9.a-z]{0,6}") {
            let _ = parse_requirements(&text);
            if let Ok(found) = parse_requirements(&format!("{}{sign}{bound}", ASPECTS[metric].0)) {
                prop_assert!(found[0].bound() > 0.0 && found[0].bound().is_finite());
            }
        }
    }
}
