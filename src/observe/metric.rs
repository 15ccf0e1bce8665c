//! What is measured of a run: the quantities, their units, and the statistics that a file gives of each.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The unit of a quantity, in base SI where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum MetricUnit {
    /// Seconds.
    #[serde(rename = "s")]
    Second,
    /// Tokens per second.
    #[serde(rename = "token/s")]
    TokensPerSecond,
    /// Requests per second.
    #[serde(rename = "1/s")]
    PerSecond,
    /// Hertz.
    #[serde(rename = "Hz")]
    Hertz,
    /// A count or a share, which has no unit.
    #[serde(rename = "1")]
    One,
}

impl MetricUnit {
    /// The unit's symbol.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::TokensPerSecond => "token/s",
            Self::PerSecond => "1/s",
            Self::Hertz => "Hz",
            Self::One => "",
        }
    }
}

macro_rules! quantities {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $unit:ident;)*) => {
        /// A quantity that result files give of a run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum Quantity {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Quantity {
            /// Every quantity, in the order of [`Quantity`].
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in documents.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Its unit.
            #[must_use]
            pub const fn unit(self) -> MetricUnit {
                match self { $(Self::$variant => MetricUnit::$unit,)* }
            }
        }
    };
}

quantities! {
    /// From a request's start to its first token, waiting included.
    Ttft = "ttft", Second;
    /// A request's time per output token after the first: `(request_latency - ttft) / (generated - 1)`.
    Tpot = "tpot", Second;
    /// Between two successive pieces of an answer, over all requests. A piece may hold several tokens.
    Itl = "itl", Second;
    /// From a request's start to its last token.
    RequestLatency = "request_latency", Second;
    /// From the start of a batch that is alone on the device until all of its prompts are processed.
    PrefillTime = "prefill_time", Second;
    /// Prompt tokens per second while prompts are processed, of all requests together.
    PrefillRate = "prefill_rate", TokensPerSecond;
    /// Generated tokens per second while tokens are generated, of all requests together. The first token is not one of them: it comes from the prompt.
    DecodeRate = "decode_rate", TokensPerSecond;
    /// Prompt tokens over the whole time of the run.
    InputRate = "input_rate", TokensPerSecond;
    /// Generated tokens over the whole time of the run, first tokens included.
    OutputRate = "output_rate", TokensPerSecond;
    /// Prompt and generated tokens over the whole time of the run.
    TotalRate = "total_rate", TokensPerSecond;
    /// Requests that were answered, over the whole time of the run.
    RequestRate = "request_rate", PerSecond;
    /// Requests under way, on average.
    InFlight = "in_flight", One;
    /// Tokens that a step of speculative decoding yields, the one that is always right included.
    AcceptanceLength = "acceptance_length", One;
    /// Share of drafted tokens that were accepted.
    AcceptanceRate = "acceptance_rate", One;
    /// Share of prompt tokens that were found in a cache instead of being processed.
    CacheHitRate = "cache_hit_rate", One;
    /// Clock of the device's cores.
    Clock = "clock", Hertz;
    /// Share of the run in which the limit of power held the clock down, of the device that it held down the longest.
    PowerThrottled = "power_throttled", One;
    /// The same of heat.
    HeatThrottled = "heat_throttled", One;
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One number of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stat {
    /// The mean; also a single value.
    Mean,
    /// The median.
    Median,
    /// The 90th percentile.
    P90,
    /// The 95th percentile.
    P95,
    /// The 99th percentile.
    P99,
    /// The standard deviation.
    Std,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
}

impl Stat {
    /// Every number of a distribution.
    pub const ALL: [Self; 8] =
        [Self::Mean, Self::Median, Self::P90, Self::P95, Self::P99, Self::Std, Self::Min, Self::Max];
}

/// What is said of many values: as much of it as the file gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Distribution {
    /// The mean; also a value that stands alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// The median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median: Option<f64>,
    /// The 90th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90: Option<f64>,
    /// The 95th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95: Option<f64>,
    /// The 99th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
    /// The standard deviation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<f64>,
    /// The smallest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The first of repeated measurements, where their order is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<f64>,
    /// How many values there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

impl Distribution {
    /// A value that stands alone.
    #[must_use]
    pub fn single(value: f64) -> Self {
        Self { mean: Some(value), ..Self::default() }
    }

    /// One of its numbers.
    #[must_use]
    pub const fn get(&self, stat: Stat) -> Option<f64> {
        match stat {
            Stat::Mean => self.mean,
            Stat::Median => self.median,
            Stat::P90 => self.p90,
            Stat::P95 => self.p95,
            Stat::P99 => self.p99,
            Stat::Std => self.std,
            Stat::Min => self.min,
            Stat::Max => self.max,
        }
    }

    /// The place of one of its numbers.
    pub(super) fn place(&mut self, stat: Stat) -> &mut Option<f64> {
        match stat {
            Stat::Mean => &mut self.mean,
            Stat::Median => &mut self.median,
            Stat::P90 => &mut self.p90,
            Stat::P95 => &mut self.p95,
            Stat::P99 => &mut self.p99,
            Stat::Std => &mut self.std,
            Stat::Min => &mut self.min,
            Stat::Max => &mut self.max,
        }
    }

    /// The number that stands for all: the mean, or else the median.
    #[must_use]
    pub fn typical(&self) -> Option<f64> {
        self.mean.or(self.median)
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        Stat::ALL.iter().all(|&stat| self.get(stat).is_none())
    }

    /// What can be said of samples. A percentile is only given when enough of them lie beyond it to mean something.
    #[must_use]
    pub fn of_samples(samples: Vec<f64>) -> Self {
        let mut sorted = samples;
        sorted.retain(|value| value.is_finite());
        let first = sorted.first().copied();
        sorted.sort_unstable_by(f64::total_cmp);
        let count = sorted.len();
        let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else { return Self::default() };
        let mean = sorted.iter().sum::<f64>() / count as f64;
        let variance = sorted.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count as f64;
        let percentile = |share: f64| {
            let position = share * (count - 1) as f64;
            let (low, part) = (position.floor() as usize, position.fract());
            let value = |index: usize| sorted.get(index).copied().unwrap_or(max);
            value(low) + (value(low + 1) - value(low)) * part
        };
        let beyond = |share: f64| (count as f64 * (1.0 - share) >= 1.0 - 1e-9).then(|| percentile(share));
        Self {
            mean: Some(mean),
            median: Some(percentile(0.5)),
            p90: beyond(0.9),
            p95: beyond(0.95),
            p99: beyond(0.99),
            std: (count > 1).then(|| variance.sqrt()),
            min: Some(min),
            max: Some(max),
            first,
            count: Some(count as u64),
        }
    }

    /// Takes from another what this one does not say.
    pub(super) fn fill_from(&mut self, other: &Self) {
        for stat in Stat::ALL {
            let place = self.place(stat);
            *place = place.or(other.get(stat));
        }
        self.first = self.first.or(other.first);
        self.count = self.count.or(other.count);
    }
}

/// A measured quantity, and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// The unit of the values.
    pub unit: MetricUnit,
    /// The values.
    #[serde(flatten)]
    pub values: Distribution,
    /// Where they stand: the file's name and the place in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The formula it was computed by, when it stands nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived: Option<String>,
}

impl Measured {
    /// Values that stand in a file.
    #[must_use]
    pub fn stated(quantity: Quantity, values: Distribution, at: Option<String>) -> Self {
        Self { unit: quantity.unit(), values, at, derived: None }
    }

    /// A value that follows from others.
    #[must_use]
    pub fn derived(quantity: Quantity, value: f64, formula: &str) -> Self {
        Self { unit: quantity.unit(), values: Distribution::single(value), at: None, derived: Some(formula.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_documents_say() {
        for &quantity in Quantity::ALL {
            assert_eq!(serde_json::to_value(quantity).unwrap(), quantity.name());
        }
    }

    #[test]
    fn few_samples_have_no_percentiles() {
        let samples: Vec<f64> = (1..=5).map(f64::from).collect();
        let few = Distribution::of_samples(samples);
        assert_eq!((few.mean, few.median, few.p90, few.p99), (Some(3.0), Some(3.0), None, None));
        assert_eq!((few.std, few.first), (Some(2.0_f64.sqrt()), Some(1.0)));
        let many: Vec<f64> = (0..=100).map(f64::from).collect();
        let many = Distribution::of_samples(many);
        assert_eq!((many.p90, many.p99), (Some(90.0), Some(99.0)));
        assert!(Distribution::of_samples(Vec::new()).is_empty());
        assert!(Distribution::of_samples(vec![f64::NAN]).is_empty());
        assert_eq!(Distribution::of_samples(vec![2.0]).std, None);
    }

    #[test]
    fn filling_keeps_what_is_there() {
        let mut one = Distribution { mean: Some(1.0), ..Distribution::default() };
        one.fill_from(&Distribution { mean: Some(2.0), p99: Some(3.0), ..Distribution::default() });
        assert_eq!((one.mean, one.p99, one.median), (Some(1.0), Some(3.0), None));
    }
}
