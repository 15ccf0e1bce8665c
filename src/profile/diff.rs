//! Two profiles side by side: what changed by more than the measurements' own uncertainty?

use std::collections::BTreeSet;

use serde::Serialize;

use super::document::{Ceiling, Outcome, Profile};
use super::point::Point;
use crate::resource::Key;
use crate::units::Unit;

/// Two profiles compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Ceilings of both or either, in the order of their keys.
    pub changes: Vec<Change>,
}

/// One ceiling in both profiles.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The ceiling.
    pub key: Key,
    /// The unit of the values.
    pub unit: Unit,
    /// Place on the axis, for a point of a curve.
    pub at: Option<f64>,
    /// The first profile's value.
    pub before: Option<f64>,
    /// The second profile's value.
    pub after: Option<f64>,
    /// What the comparison says.
    pub verdict: Verdict,
}

/// What a comparison says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Verdict {
    /// The confidence intervals overlap, or the values differ by less than 3 %.
    Same,
    /// The second is better.
    Better,
    /// The second is worse.
    Worse,
    /// The values differ, but one of them is flagged.
    Unsure {
        /// The flags.
        flags: Vec<&'static str>,
    },
    /// A datasheet's figure against a measured value: the share reached.
    Claimed,
    /// Only in the first profile, with the second's reason if it gives one.
    OnlyBefore {
        /// Why the second has none.
        reason: Option<String>,
    },
    /// Only in the second profile, with the first's reason if it gives one.
    OnlyAfter {
        /// Why the first has none.
        reason: Option<String>,
    },
}

/// Differences below this are not worth a word: two runs on a quiet machine differ by as much.
const NEGLIGIBLE: f64 = 0.03;

impl Change {
    /// Second value over first.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        Some(self.after? / self.before?)
    }
}

impl Comparison {
    /// Whether anything became worse beyond doubt.
    #[must_use]
    pub fn has_regression(&self) -> bool {
        self.changes.iter().any(|change| change.verdict == Verdict::Worse)
    }
}

/// Compares the ceilings that are single values (levels, peaks, overheads); curves are compared at places both have.
#[must_use]
pub fn diff(before: &Profile, after: &Profile) -> Comparison {
    let keys: BTreeSet<Key> = before.ceilings.iter().chain(&after.ceilings).map(Ceiling::key).collect();
    let mut changes: Vec<Change> = Vec::new();
    for key in keys {
        let (first, second) = (before.ceiling(key), after.ceiling(key));
        changes.extend(compare(key, first, second));
    }
    for (claims, measured, claim_first) in [(before, after, true), (after, before, false)] {
        for claim in &claims.datasheet {
            let key = Key { resource: claim.resource, scope: crate::resource::Scope::Device };
            let Some(point) = measured.ceiling(key).and_then(Ceiling::single) else { continue };
            let (before, after) = if claim_first { (claim.value, point.value) } else { (point.value, claim.value) };
            changes.push(Change {
                key,
                unit: claim.unit,
                at: None,
                before: Some(before),
                after: Some(after),
                verdict: Verdict::Claimed,
            });
        }
    }
    Comparison { changes }
}

fn compare(key: Key, first: Option<&Ceiling>, second: Option<&Ceiling>) -> Vec<Change> {
    let points = |ceiling: Option<&Ceiling>| ceiling.map_or_else(Vec::new, |ceiling| ceiling.points().to_vec());
    let (a, b) = (points(first), points(second));
    let unit = key.resource.unit();
    let change = |at, before: Option<&Point>, after: Option<&Point>, verdict| Change {
        key,
        unit,
        at,
        before: before.map(|point| point.value),
        after: after.map(|point| point.value),
        verdict,
    };
    match (a.as_slice(), b.as_slice()) {
        ([], []) => Vec::new(),
        ([], after) => vec![change(None, None, after.last(), Verdict::OnlyAfter { reason: reason(first) })],
        (before, []) => vec![change(None, before.last(), None, Verdict::OnlyBefore { reason: reason(second) })],
        // Levels and peaks are compared whatever working set stood for them.
        ([before], [after]) => vec![change(None, Some(before), Some(after), verdict(unit, before, after))],
        (before, after) => before
            .iter()
            .filter_map(|point| Some((point, after.iter().find(|other| other.spot() == point.spot())?)))
            .map(|(before, after)| change(before.at, Some(before), Some(after), verdict(unit, before, after)))
            .collect(),
    }
}

fn reason(ceiling: Option<&Ceiling>) -> Option<String> {
    match &ceiling?.outcome {
        Outcome::Ok { .. } => None,
        Outcome::Unsupported { reason } | Outcome::Skipped { reason } | Outcome::Failed { reason } => {
            Some(reason.clone())
        }
    }
}

fn verdict(unit: Unit, before: &Point, after: &Point) -> Verdict {
    let overlap = before.confidence[0] <= after.confidence[1] && after.confidence[0] <= before.confidence[1];
    let small = (after.value / before.value - 1.0).abs() < NEGLIGIBLE;
    if overlap || small {
        return Verdict::Same;
    }
    let flags: Vec<&'static str> = before
        .flags
        .iter()
        .chain(&after.flags)
        .map(super::point::Flag::word)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    if !flags.is_empty() {
        return Verdict::Unsure { flags };
    }
    if (after.value > before.value) == unit.more_is_better() { Verdict::Better } else { Verdict::Worse }
}
