//! Does a profile keep its promises? Laws that every measured profile obeys, whoever wrote it.

use std::collections::BTreeSet;
use std::fmt;

use super::document::{Ceiling, Outcome, Profile};
use super::point::{Beside, Point, Rival};
use crate::fit::Fit;
use crate::resource::Axis;

/// A law that a profile breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: a ceiling's key, or a field.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// Relative room for values that went through decimal text and one division.
const ROUNDING: f64 = 1e-9;

/// Everything that is wrong with a profile. Empty for a good one.
#[must_use]
pub fn check(profile: &Profile) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut report = |place: &str, what: String| problems.push(Problem { place: place.to_owned(), what });
    if profile.name.trim().is_empty() {
        report("name", "it is empty".to_owned());
    }
    // Portable interfaces to GPUs do not tell how many multiprocessors there are.
    if profile.device.cores == 0 && !profile.device.kind.is_gpu_like() && !profile.ceilings.is_empty() {
        report("device.cores", "a device has at least one core".to_owned());
    }
    match &profile.instrument {
        Some(instrument) if !(instrument.goal > 0.0 && instrument.goal < 1.0) => {
            report("instrument.goal", format!("{} is not between 0 and 1", instrument.goal));
        }
        None if !profile.ceilings.is_empty() => {
            report("instrument", "nothing says what measured the ceilings".to_owned());
        }
        _ => {}
    }
    for entry in &profile.matches {
        let words = entry.name_contains.iter().chain(&entry.name_lacks);
        if entry.name_contains.is_empty() || words.into_iter().any(|word| word.trim().is_empty()) {
            report("matches", "an entry has no words, or an empty one: it would fit every device".to_owned());
        }
        if entry.memory.is_some_and(|range| !(range.from >= 0.0 && range.from <= range.to && range.to.is_finite())) {
            report("matches", "an entry's memory is not a range".to_owned());
        }
        if entry.cores == Some(0) {
            report("matches", "an entry is for a device without cores".to_owned());
        }
    }
    if profile.ceilings.is_empty() && profile.datasheet.is_empty() && profile.imported.is_empty() {
        report("ceilings", "there are none".to_owned());
    }
    let mut seen = BTreeSet::new();
    for ceiling in &profile.ceilings {
        let place = ceiling.key().to_string();
        if !seen.insert(ceiling.key()) {
            report(&place, "it is there twice".to_owned());
        }
        for what in check_ceiling(ceiling) {
            report(&place, what);
        }
    }
    for claim in &profile.datasheet {
        let place = format!("datasheet {}", claim.resource);
        if claim.unit != claim.resource.unit() {
            report(&place, format!("its unit is `{}`, not `{}`", claim.unit, claim.resource.unit()));
        }
        if !positive(claim.value) {
            report(&place, format!("{} is not a positive number", claim.value));
        }
        if claim.source.trim().is_empty() {
            report(&place, "it names no source".to_owned());
        }
    }
    for imported in &profile.imported {
        for what in imported.problems() {
            report(&format!("imported {}", imported.resource), what);
        }
    }
    problems
}

fn check_ceiling(ceiling: &Ceiling) -> Vec<String> {
    let mut problems = Vec::new();
    if ceiling.unit != ceiling.resource.unit() {
        problems.push(format!("its unit is `{}`, not `{}`", ceiling.unit, ceiling.resource.unit()));
    }
    if ceiling.axis != ceiling.resource.axis() {
        problems.push("its axis is not that of its resource".to_owned());
    }
    match &ceiling.outcome {
        Outcome::Ok { points, limit, plateau, fit } => {
            if points.is_empty() {
                problems.push("it has no points and no reason".to_owned());
            }
            for (index, point) in points.iter().enumerate() {
                problems.extend(check_point(ceiling, point).into_iter().map(|what| format!("point {index}: {what}")));
            }
            if !points.is_sorted_by(|a, b| a.at < b.at || a.shape < b.shape) && points.len() > 1 {
                problems.push("its points are not in ascending order of the axis".to_owned());
            }
            if limit.as_ref().is_some_and(|limit| !positive(limit.value)) {
                problems.push("its limit is not a positive number".to_owned());
            }
            if plateau.is_some_and(|range| !(positive(range.from) && range.from <= range.to && range.to.is_finite())) {
                problems.push("its plateau is not a range".to_owned());
            }
            problems.extend(fit.iter().flat_map(Fit::problems));
        }
        Outcome::Unsupported { reason } | Outcome::Skipped { reason } | Outcome::Failed { reason } => {
            if reason.trim().is_empty() {
                problems.push("it is absent without a reason".to_owned());
            }
        }
    }
    problems
}

fn check_point(ceiling: &Ceiling, point: &Point) -> Vec<String> {
    let mut problems = Vec::new();
    let mut require = |holds: bool, what: &str| {
        if !holds {
            problems.push(what.to_owned());
        }
    };
    let at_or_below = |a: f64, b: f64| a <= b * (1.0 + ROUNDING);
    // Towards the better: up for rates, down for times.
    let ordered = |worse: f64, better: f64| {
        if ceiling.unit.more_is_better() { at_or_below(worse, better) } else { at_or_below(better, worse) }
    };
    let numbers = [point.value, point.best, point.p10, point.p90, point.confidence[0], point.confidence[1]];
    require(numbers.iter().all(|&number| positive(number)), "a value is not a positive number");
    require(point.mad.is_finite() && point.mad >= 0.0, "the deviation is negative or not a number");
    require(positive(point.time.get()), "the time is not a positive number");
    require(ordered(point.p10, point.value), "p10 is better than the value");
    require(ordered(point.value, point.p90), "p90 is worse than the value");
    require(ordered(point.p90, point.best), "best is worse than p90");
    require(
        at_or_below(point.confidence[0], point.value) && at_or_below(point.value, point.confidence[1]),
        "the value is outside its confidence interval",
    );
    require(point.samples.clean <= point.samples.total && point.samples.total > 0, "the sample counts contradict");
    require(point.iterations > 0 && point.lanes > 0, "nothing was run");
    require(
        point.at.is_some() == ceiling.axis.is_some_and(|axis| axis != Axis::Shape)
            && point.shape.is_some() == (ceiling.axis == Some(Axis::Shape)),
        "its place on the axis is missing, or it has one without an axis",
    );
    require(point.at.is_none_or(positive), "its place on the axis is not a positive number");
    if let Some(Beside { by, rival }) = &point.beside {
        require(*by != point.by, "what is beside it is of the same implementer");
        match rival {
            Rival::Ok { value, confidence: [low, high], .. } => require(
                positive(*value) && positive(*low) && at_or_below(*low, *value) && at_or_below(*value, *high),
                "the value beside it is not a positive number, or outside its confidence interval",
            ),
            Rival::Absent { reason } => require(!reason.trim().is_empty(), "nothing is beside it, without a reason"),
        }
    }
    require(point.clock.is_none_or(|clock| positive(clock.get())), "the clock is not a positive number");
    problems
}

fn positive(number: f64) -> bool {
    number.is_finite() && number > 0.0
}
