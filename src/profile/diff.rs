//! Two profiles side by side: what changed by more than the measurements' own uncertainty?

use std::collections::BTreeSet;

use serde::Serialize;

use super::document::{Ceiling, Claim, Outcome, Profile};
use super::point::{Flag, Point};
use crate::facts::Restraint;
use crate::resource::{Key, Resource, Scope};
use crate::units::Unit;
use crate::workload::Shape;

/// Two profiles compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Ceilings of both or either, in the order of their keys. Where one side is a datasheet: what it states, in its order.
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
    /// Place on an axis of shapes.
    pub shape: Option<Shape>,
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
    /// The confidence intervals overlap, or the values differ by less than the threshold, which is 3 % where none is given.
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
    /// A datasheet's figure against a measured value.
    Claimed {
        /// Measured value over claim, whichever comes first.
        share: f64,
        /// What speaks against the measured value.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        flags: Vec<&'static str>,
    },
    /// A datasheet's figure that nothing was measured for.
    Unmeasured {
        /// Why, where the profile says it.
        reason: Option<String>,
    },
    /// The figures of two datasheets.
    Stated,
    /// Another tool measured one of the values, or both: that one is better than the other cannot be said.
    Imported {
        /// The tools.
        by: Vec<String>,
    },
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
pub const NEGLIGIBLE: f64 = 0.03;

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

/// Compares the ceilings that are single values (levels, peaks, overheads); curves are compared at places both have. Where one of the
/// profiles is a datasheet, its claims are compared with what was measured of them; where both are, their claims with each other.
/// Measured values that differ by less than a share are the same: [`NEGLIGIBLE`] is what two runs differ by anyway.
#[must_use]
pub fn diff(before: &Profile, after: &Profile, threshold: f64) -> Comparison {
    let mut changes = match (before.is_datasheet(), after.is_datasheet()) {
        (false, false) => measured(before, after, threshold),
        (true, true) => stated(before, after),
        (true, false) => reached(before, after, true),
        (false, true) => reached(after, before, false),
    };
    let others = imported(before, after);
    let is_alone = |verdict: &Verdict| matches!(verdict, Verdict::OnlyBefore { .. } | Verdict::OnlyAfter { .. });
    changes.retain(|change| !is_alone(&change.verdict) || others.iter().all(|other| other.key != change.key));
    changes.extend(others);
    Comparison { changes }
}

fn measured(before: &Profile, after: &Profile, threshold: f64) -> Vec<Change> {
    let keys: BTreeSet<Key> = before.ceilings.iter().chain(&after.ceilings).map(Ceiling::key).collect();
    keys.into_iter().flat_map(|key| compare(key, before.ceiling(key), after.ceiling(key), threshold)).collect()
}

/// What other tools measured of a resource, in either profile, beside what the other profile has of it.
fn imported(before: &Profile, after: &Profile) -> Vec<Change> {
    let resources: BTreeSet<Resource> =
        before.imported.iter().chain(&after.imported).map(|imported| imported.resource).collect();
    // The value and who measured it, if rooflab did not.
    let value = |profile: &Profile, resource: Resource| {
        let own =
            profile.ceiling(of_device(resource)).and_then(Ceiling::representative).map(|point| (point.value, None));
        own.or_else(|| {
            let imported = profile.imported_of(resource).next()?;
            Some((imported.representative()?.value, Some(imported.by.who())))
        })
    };
    let change = |resource: Resource| {
        let (first, second) = (value(before, resource), value(after, resource));
        let by: BTreeSet<String> = [&first, &second].into_iter().flatten().filter_map(|(_, who)| who.clone()).collect();
        let (first, second) = (first.map(|(value, _)| value), second.map(|(value, _)| value));
        let verdict = Verdict::Imported { by: by.into_iter().collect() };
        let key = of_device(resource);
        let is_foreign = matches!(&verdict, Verdict::Imported { by } if !by.is_empty());
        is_foreign.then(|| Change {
            key,
            unit: resource.unit(),
            at: None,
            shape: None,
            before: first,
            after: second,
            verdict,
        })
    };
    resources.into_iter().filter_map(change).collect()
}

/// What was measured of a datasheet's claims: of each resource itself, and of the matrix products that its arithmetic serves.
fn reached(sheet: &Profile, measured: &Profile, sheet_first: bool) -> Vec<Change> {
    sheet.datasheet.iter().flat_map(|claim| reached_of(claim, sheet, measured, sheet_first)).collect()
}

fn reached_of(claim: &Claim, sheet: &Profile, measured: &Profile, sheet_first: bool) -> Vec<Change> {
    let change = |resource, point: Option<&Point>, verdict| {
        let (claimed, reached) = (Some(claim.value), point.map(|point| point.value));
        let (before, after) = if sheet_first { (claimed, reached) } else { (reached, claimed) };
        let shape = point.and_then(|point| point.shape);
        Change { key: of_device(resource), unit: claim.unit, at: None, shape, before, after, verdict }
    };
    // What a datasheet says of the matrix unit is not compared with products of formats that it only knows of the vector unit.
    let product = product_of(claim.resource).filter(|&product| sheet.claim_above(product) == Some(claim));
    let found: Vec<Change> = std::iter::once(claim.resource)
        .chain(product)
        .filter_map(|resource| {
            let point = measured.ceiling(of_device(resource))?.representative()?;
            let flags = point.flags.iter().map(Flag::word).collect();
            Some(change(resource, Some(point), Verdict::Claimed { share: point.value / claim.value, flags }))
        })
        .collect();
    if found.is_empty() {
        let reason = reason(measured.ceiling(of_device(claim.resource)));
        return vec![change(claim.resource, None, Verdict::Unmeasured { reason })];
    }
    found
}

/// What two datasheets state.
fn stated(before: &Profile, after: &Profile) -> Vec<Change> {
    let resources: BTreeSet<Resource> =
        before.datasheet.iter().chain(&after.datasheet).map(|claim| claim.resource).collect();
    let value = |sheet: &Profile, resource| sheet.claim(resource).map(|claim| claim.value);
    let change = |resource: Resource| {
        let (first, second) = (value(before, resource), value(after, resource));
        let verdict = match (first, second) {
            (Some(_), None) => Verdict::OnlyBefore { reason: None },
            (None, Some(_)) => Verdict::OnlyAfter { reason: None },
            _ => Verdict::Stated,
        };
        let key = of_device(resource);
        Change { key, unit: resource.unit(), at: None, shape: None, before: first, after: second, verdict }
    };
    resources.into_iter().map(change).collect()
}

/// The matrix product of the same formats as an arithmetic peak.
const fn product_of(resource: Resource) -> Option<Resource> {
    match resource {
        Resource::Compute { input, accumulate, .. } => Some(Resource::Gemm { input, accumulate }),
        _ => None,
    }
}

const fn of_device(resource: Resource) -> Key {
    Key { resource, scope: Scope::Device }
}

fn compare(key: Key, first: Option<&Ceiling>, second: Option<&Ceiling>, threshold: f64) -> Vec<Change> {
    let points = |ceiling: Option<&Ceiling>| ceiling.map_or_else(Vec::new, |ceiling| ceiling.points().to_vec());
    let (a, b) = (points(first), points(second));
    let unit = key.resource.unit();
    let change = |at, before: Option<&Point>, after: Option<&Point>, verdict| Change {
        key,
        unit,
        at,
        shape: before.or(after).and_then(|point| point.shape),
        before: before.map(|point| point.value),
        after: after.map(|point| point.value),
        verdict,
    };
    match (a.as_slice(), b.as_slice()) {
        ([], []) => Vec::new(),
        ([], after) => vec![change(None, None, after.last(), Verdict::OnlyAfter { reason: reason(first) })],
        (before, []) => vec![change(None, before.last(), None, Verdict::OnlyBefore { reason: reason(second) })],
        // Levels and peaks are compared whatever working set stood for them; products of two shapes are two things.
        ([before], [after]) if before.shape == after.shape => {
            vec![change(None, Some(before), Some(after), verdict(unit, before, after, threshold))]
        }
        (before, after) => before
            .iter()
            .filter_map(|point| Some((point, after.iter().find(|other| other.spot() == point.spot())?)))
            .map(|(before, after)| {
                change(before.at, Some(before), Some(after), verdict(unit, before, after, threshold))
            })
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

fn verdict(unit: Unit, before: &Point, after: &Point, threshold: f64) -> Verdict {
    let overlap = before.confidence[0] <= after.confidence[1] && after.confidence[0] <= before.confidence[1];
    let small = (after.value / before.value - 1.0).abs() < threshold;
    if overlap || small {
        return Verdict::Same;
    }
    // What held the clock down both times belongs to the device, and makes neither value doubtful.
    let limited = |point: &Point, wanted: Restraint| {
        point.flags.iter().any(|flag| matches!(flag, Flag::Limited { by, .. } if *by == wanted))
    };
    let same = |flag: &&Flag| matches!(flag, Flag::Limited { by, .. } if limited(before, *by) && limited(after, *by));
    let doubts = before.flags.iter().chain(&after.flags).filter(|flag| !same(flag));
    let flags: Vec<&'static str> = doubts.map(Flag::word).collect::<BTreeSet<_>>().into_iter().collect();
    if !flags.is_empty() {
        return Verdict::Unsure { flags };
    }
    if (after.value > before.value) == unit.more_is_better() { Verdict::Better } else { Verdict::Worse }
}
