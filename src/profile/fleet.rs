//! Many profiles of the same kind of device: what is typical of them, and which of them fall behind.

use std::collections::BTreeSet;

use serde::Serialize;

use super::document::{Ceiling, Outcome, Profile};
use crate::resource::Key;
use crate::stats::Summary;
use crate::units::Unit;

/// Fewer devices have no middle that one of them could be away from.
pub const LEAST: usize = 3;
/// Median absolute deviations, as standard deviations of a normal distribution, beyond which a value does not belong to the others.
const FAR: f64 = 3.5;
/// A standard deviation in median absolute deviations of a normal distribution.
const SCALE: f64 = 1.4826;

/// A fleet, ceiling by ceiling.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fleet {
    /// Ceilings that at least [`LEAST`] devices have.
    pub ceilings: Vec<Common>,
    /// Values that devices lack.
    pub missing: Vec<Missing>,
    /// The profile that lies nearest to all medians, by its place in the list, of those that have a value for each.
    pub typical: Option<usize>,
}

/// A ceiling that devices have in common.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Common {
    /// The ceiling.
    #[serde(rename = "ceiling")]
    pub key: Key,
    /// The unit of its values.
    pub unit: Unit,
    /// Devices that have it.
    pub devices: usize,
    /// The middle of their values.
    pub median: f64,
    /// Median absolute deviation from it.
    pub mad: f64,
    /// The least value.
    pub least: f64,
    /// The largest value.
    pub most: f64,
    /// Devices that fall behind.
    pub outliers: Vec<Outlier>,
}

/// A device that falls behind the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Outlier {
    /// Its profile, by its place in the list.
    pub profile: usize,
    /// Its value.
    pub value: f64,
    /// How much worse it is than the median, as a share of it.
    pub behind: f64,
    /// How many standard deviations that is, by the median absolute deviation; none where all others are equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deviations: Option<f64>,
}

/// A value that a device lacks: it could not be measured, or more than half of the devices have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The device's profile, by its place in the list.
    pub profile: usize,
    /// The ceiling.
    #[serde(rename = "ceiling")]
    pub key: Key,
    /// Why, where the profile says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Fleet {
    /// Whether a device falls behind anywhere, or lacks a value.
    #[must_use]
    pub fn has_outliers(&self) -> bool {
        !self.missing.is_empty() || self.ceilings.iter().any(|common| !common.outliers.is_empty())
    }
}

/// What is typical of some profiles, and which of them are worse than the median by more than a share and by more than their scatter explains.
#[must_use]
pub fn fleet(profiles: &[&Profile], threshold: f64) -> Fleet {
    let keys: BTreeSet<Key> = profiles.iter().flat_map(|profile| &profile.ceilings).map(Ceiling::key).collect();
    let missing = keys.iter().flat_map(|&key| missing(key, profiles)).collect();
    // Of curves over all levels of memory, the levels are compared.
    let keys = keys.into_iter().filter(|key| !key.resource.is_whole_curve());
    let ceilings: Vec<Common> = keys.filter_map(|key| common(key, profiles, threshold)).collect();
    // A profile that lacks a value is not near to anything by that.
    let distance = |profile: &Profile| -> Option<f64> {
        let away = |common: &Common| Some((value(profile, common.key)? / common.median).ln().abs());
        ceilings.iter().map(away).sum()
    };
    let distances = profiles.iter().enumerate().filter_map(|(index, profile)| Some((index, distance(profile)?)));
    let typical = distances.filter(|_| !ceilings.is_empty()).min_by(|a, b| a.1.total_cmp(&b.1)).map(|(index, _)| index);
    Fleet { ceilings, missing, typical }
}

/// The devices that lack a ceiling: those on which it failed, and all without a value where most have one.
fn missing(key: Key, profiles: &[&Profile]) -> Vec<Missing> {
    let have = profiles.iter().filter(|profile| value(profile, key).is_some()).count();
    let most_have = 2 * have > profiles.len();
    let lacks = |(profile, of): (usize, &&Profile)| {
        let (failed, reason) = match of.ceiling(key).map(|ceiling| &ceiling.outcome) {
            Some(Outcome::Failed { reason }) => (true, Some(reason)),
            Some(Outcome::Unsupported { reason } | Outcome::Skipped { reason }) => (false, Some(reason)),
            Some(Outcome::Ok { .. }) | None => (false, None),
        };
        let is_missing = failed || (most_have && value(of, key).is_none());
        is_missing.then(|| Missing { profile, key, reason: reason.cloned() })
    };
    profiles.iter().enumerate().filter_map(lacks).collect()
}

fn value(profile: &Profile, key: Key) -> Option<f64> {
    let value = profile.ceiling(key)?.representative()?.value;
    (value.is_finite() && value > 0.0).then_some(value)
}

fn common(key: Key, profiles: &[&Profile], threshold: f64) -> Option<Common> {
    let values: Vec<(usize, f64)> =
        profiles.iter().enumerate().filter_map(|(index, profile)| Some((index, value(profile, key)?))).collect();
    let summary = Summary::of(&values.iter().map(|(_, value)| *value).collect::<Vec<f64>>())?;
    if values.len() < LEAST {
        return None;
    }
    let unit = key.resource.unit();
    let outlier = |&(profile, value): &(usize, f64)| {
        let away = (value - summary.median) / summary.median;
        let behind = if unit.more_is_better() { -away } else { away };
        let scatter = SCALE * summary.mad;
        let deviations = (scatter > 0.0).then(|| (value - summary.median).abs() / scatter);
        let is_far = deviations.is_none_or(|deviations| deviations > FAR);
        (behind > threshold && is_far).then_some(Outlier { profile, value, behind, deviations })
    };
    let outliers = values.iter().filter_map(outlier).collect();
    let Summary { median, mad, min: least, max: most, .. } = summary;
    Some(Common { key, unit, devices: values.len(), median, mad, least, most, outliers })
}

#[cfg(test)]
mod tests {
    use super::super::datasheet::bundled_named;
    use super::super::document::Outcome;
    use super::*;
    use proptest::prelude::*;

    fn measured() -> &'static Profile {
        bundled_named("amd-epyc-zen4-2c-kvm.cpu").and_then(|bundled| bundled.profile()).unwrap()
    }

    /// The same device with all its values, and so its rates and its times, multiplied.
    fn scaled(factor: f64) -> Profile {
        let mut profile = measured().clone();
        for ceiling in &mut profile.ceilings {
            if let Outcome::Ok { points, .. } = &mut ceiling.outcome {
                points.iter_mut().for_each(|point| point.value *= factor);
            }
        }
        profile
    }

    #[test]
    fn the_slow_one_is_found_and_the_typical_one_too() {
        let factors = [1.01, 0.99, 1.0, 0.8, 1.02];
        let all = factors.map(scaled);
        let fleet = fleet(&all.iter().collect::<Vec<_>>(), 0.05);
        assert_eq!(fleet.typical, Some(2));
        assert!(fleet.ceilings.len() > 20 && fleet.has_outliers());
        for common in &fleet.ceilings {
            assert_eq!(common.devices, factors.len());
            let found: Vec<usize> = common.outliers.iter().map(|outlier| outlier.profile).collect();
            // Of times, the small ones are the good ones.
            assert_eq!(found, if common.unit.more_is_better() { vec![3] } else { vec![] }, "{}", common.key);
        }
    }

    #[test]
    fn two_devices_have_no_middle() {
        let all = [1.0, 0.5].map(scaled);
        let nothing = Fleet { ceilings: Vec::new(), missing: Vec::new(), typical: None };
        assert_eq!(fleet(&all.iter().collect::<Vec<_>>(), 0.05), nothing);
    }

    /// The same device, of which everything after the first ceilings has no value, for a reason or for none.
    fn without(count: usize, outcome: Option<Outcome>) -> Profile {
        let mut profile = scaled(1.0);
        match outcome {
            None => profile.ceilings.truncate(count),
            Some(outcome) => {
                profile.ceilings.iter_mut().skip(count).for_each(|ceiling| ceiling.outcome = outcome.clone());
            }
        }
        profile
    }

    #[test]
    fn whoever_lacks_what_the_others_have_is_named_and_never_typical() {
        let failed = || Some(Outcome::Failed { reason: "the device was lost".to_owned() });
        for (outcome, reason) in [(failed(), Some("the device was lost")), (None, None)] {
            let all = [scaled(1.01), scaled(0.99), without(3, outcome)];
            let fleet = fleet(&all.iter().collect::<Vec<_>>(), 0.05);
            assert!(fleet.has_outliers() && fleet.missing.len() > 20, "{:?}", fleet.missing);
            for missing in &fleet.missing {
                assert_eq!((missing.profile, missing.reason.as_deref()), (2, reason), "{}", missing.key);
            }
            // The third has the medians of what it has, and is far from typical.
            assert_ne!(fleet.typical, Some(2));
        }
        // With a fourth there are medians of what one lacks.
        let all = [scaled(1.02), without(3, None), scaled(0.9), scaled(1.01)];
        let found = fleet(&all.iter().collect::<Vec<_>>(), 0.5);
        assert!(found.ceilings.len() > 20);
        assert_eq!(found.typical, Some(3));
    }

    #[test]
    fn what_most_devices_were_not_asked_for_is_not_missing() {
        let all = [scaled(1.0), without(3, None), without(3, None), without(3, None)];
        let fleet = fleet(&all.iter().collect::<Vec<_>>(), 0.05);
        assert!(!fleet.has_outliers(), "{:?}", fleet.missing);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

        #[test]
        fn devices_within_the_threshold_are_no_outliers(factors in prop::collection::vec(0.98..1.02_f64, 3..8)) {
            let all: Vec<Profile> = factors.into_iter().map(scaled).collect();
            prop_assert!(!fleet(&all.iter().collect::<Vec<_>>(), 0.05).has_outliers());
        }
    }
}
