//! Sweeps: a scenario with some of its numbers running over lists and ranges, such as `batch=1-256*2`.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::units::parse_size;

/// A number of a scenario that a sweep can run over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Sequences that are decoded together.
    Batch,
    /// Tokens that a decode step attends to.
    Context,
    /// Tokens of a prompt.
    Prompt,
    /// Tokens that are generated.
    Generate,
    /// Requests in flight.
    Concurrency,
    /// Devices that split every matrix.
    Tp,
    /// Devices that split the layers.
    Pp,
    /// Devices that split the experts.
    Ep,
    /// Replicas.
    Dp,
}

impl Dimension {
    /// Every dimension with the word it is written as.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Batch, "batch"),
        (Self::Context, "context"),
        (Self::Prompt, "prompt"),
        (Self::Generate, "generate"),
        (Self::Concurrency, "concurrency"),
        (Self::Tp, "tp"),
        (Self::Pp, "pp"),
        (Self::Ep, "ep"),
        (Self::Dp, "dp"),
    ];

    /// The word it is written as.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(dimension, _)| *dimension == self).map_or("", |(_, word)| word)
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A dimension with the values it runs over, in ascending order, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// What runs.
    pub dimension: Dimension,
    /// What it runs over.
    pub values: Vec<u64>,
}

/// Most values of a sweep, and most points of several together.
pub const MOST_POINTS: usize = 1_000_000;

/// A text that is no sweep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SweepError {
    /// There is no `=`.
    #[error("`{0}` is not a sweep such as `batch=1,2,4`, `batch=1-8` or `context=1k-128k*2`")]
    Form(String),
    /// The word before `=` is no dimension.
    #[error("`{0}` cannot be swept; what can: {words}", words = words())]
    Dimension(String),
    /// A value is no size above zero.
    #[error("`{0}` in a sweep is not a size above zero such as `16` or `4k`")]
    Value(String),
    /// A range goes down, or its step does not go up.
    #[error("the range `{0}` does not go up")]
    Range(String),
    /// A dimension has two lists.
    #[error("`{0}` is swept twice: give all its values at once, such as `{0}=1,2,4`")]
    Twice(Dimension),
    /// Too many values.
    #[error("`{0}` has more than {MOST_POINTS} values")]
    TooMany(String),
}

fn words() -> String {
    Dimension::ALL.map(|(_, word)| format!("`{word}`")).join(", ")
}

impl FromStr for Sweep {
    type Err = SweepError;

    /// Reads `dimension=list`, where the list has values, and ranges `from-to`, `from-to*factor` and `from-to+step`, with commas between.
    fn from_str(text: &str) -> Result<Self, SweepError> {
        let (word, list) = text.split_once('=').ok_or_else(|| SweepError::Form(text.to_owned()))?;
        let found = Dimension::ALL.iter().find(|(_, known)| *known == word.trim());
        let (dimension, _) = *found.ok_or_else(|| SweepError::Dimension(word.trim().to_owned()))?;
        let mut values = Vec::new();
        for item in list.split(',').map(str::trim) {
            run(item, &mut values)?;
            if values.len() > MOST_POINTS {
                return Err(SweepError::TooMany(item.to_owned()));
            }
        }
        values.sort_unstable();
        values.dedup();
        Ok(Self { dimension, values })
    }
}

/// Appends the values of a list's item.
fn run(item: &str, values: &mut Vec<u64>) -> Result<(), SweepError> {
    let Some((from, rest)) = item.split_once('-') else {
        values.push(value(item)?);
        return Ok(());
    };
    let factor = rest.split_once('*');
    let step = rest.split_once('+');
    let to = factor.or(step).map_or(rest, |(to, _)| to);
    let (mut at, to) = (value(from)?, value(to)?);
    let factor = factor.map_or(Ok(1), |(_, factor)| value(factor))?;
    let step = step.map_or(Ok(u64::from(factor == 1)), |(_, step)| value(step))?;
    let goes_up = to >= at && (rest.contains('*') <= (factor > 1));
    if !goes_up {
        return Err(SweepError::Range(item.to_owned()));
    }
    while at <= to {
        values.push(at);
        if values.len() > MOST_POINTS {
            return Err(SweepError::TooMany(item.to_owned()));
        }
        let Some(next) = at.checked_mul(factor).and_then(|at| at.checked_add(if factor > 1 { 0 } else { step })) else {
            break;
        };
        at = next;
    }
    Ok(())
}

fn value(text: &str) -> Result<u64, SweepError> {
    parse_size(text).ok().filter(|&value| value > 0).ok_or_else(|| SweepError::Value(text.to_owned()))
}

/// Every combination of the sweeps' values, the last dimension fastest. One empty combination where there is no sweep.
pub fn combinations(sweeps: &[Sweep]) -> Result<Vec<Vec<(Dimension, u64)>>, SweepError> {
    for (index, sweep) in sweeps.iter().enumerate() {
        if sweeps[..index].iter().any(|other| other.dimension == sweep.dimension) {
            return Err(SweepError::Twice(sweep.dimension));
        }
    }
    let count = sweeps.iter().try_fold(1_usize, |count, sweep| count.checked_mul(sweep.values.len()));
    if count.is_none_or(|count| count > MOST_POINTS) {
        let all = sweeps.iter().map(|sweep| sweep.dimension.word()).collect::<Vec<_>>();
        return Err(SweepError::TooMany(all.join(" × ")));
    }
    let mut points = vec![Vec::with_capacity(sweeps.len())];
    for sweep in sweeps {
        let with = |point: &Vec<_>| {
            let point = point.clone();
            sweep.values.iter().map(move |&value| {
                let mut point = point.clone();
                point.push((sweep.dimension, value));
                point
            })
        };
        points = points.iter().flat_map(with).collect();
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(text: &str) -> Vec<u64> {
        text.parse::<Sweep>().unwrap().values
    }

    #[test]
    fn lists_and_ranges_are_read() {
        assert_eq!(values("batch=4,1,2,2"), [1, 2, 4]);
        assert_eq!(values("batch=1-8*2"), [1, 2, 4, 8]);
        assert_eq!(values("batch=1-5"), [1, 2, 3, 4, 5]);
        assert_eq!(values("context=1k-5k+2k"), [1000, 3000, 5000]);
        assert_eq!(values("context=1Ki-20Ki*4,7"), [7, 1024, 4096, 16384]);
    }

    #[test]
    fn what_is_no_sweep_is_refused() {
        for text in [
            "",
            "batch",
            "bach=1",
            "batch=",
            "batch=0",
            "batch=8-1",
            "batch=1-8*1",
            "batch=1-8*0",
            "batch=1-1T",
            "batch=1-8+0",
            "batch=x",
        ] {
            assert!(text.parse::<Sweep>().is_err(), "{text}");
        }
    }

    #[test]
    fn combinations_are_all_of_them() {
        let sweeps: Vec<Sweep> = ["batch=1,2", "context=10,20,30"].iter().map(|text| text.parse().unwrap()).collect();
        let points = combinations(&sweeps).unwrap();
        assert_eq!(points.len(), 6);
        assert_eq!(points[1], [(Dimension::Batch, 1), (Dimension::Context, 20)]);
        assert_eq!(combinations(&[]).unwrap(), [[]]);
        let wide = |text: &str| text.parse::<Sweep>().unwrap();
        let [batches, prompts] = ["batch=1-2000", "prompt=1-2000"].map(wide);
        assert_eq!(combinations(&[batches.clone(), prompts]), Err(SweepError::TooMany("batch × prompt".to_owned())));
        assert_eq!(combinations(&[batches.clone(), batches]), Err(SweepError::Twice(Dimension::Batch)));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(batch|tp|x)=[0-9kMi,*+-]{0,12}") {
            if let Ok(sweep) = text.parse::<Sweep>() {
                prop_assert!(!sweep.values.is_empty() && sweep.values.is_sorted() && sweep.values[0] > 0);
            }
        }
    }
}
