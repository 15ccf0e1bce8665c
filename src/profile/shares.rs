//! Why a value lies below the maker's figure: a share of it is lost to a lower clock, the rest to cycles in which less was done than can be.

use super::document::{Ceiling, Outcome, Profile};
use crate::resource::Scope;

/// A value as a share of the maker's figure, which is the product of the other two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    /// Value over the maker's figure.
    pub whole: f64,
    /// Clock of the samples over the one that the maker's figure rests on.
    pub clock: f64,
    /// Value over what the hardware can do at the clock of the samples: the share of cycles in which it did what it can.
    pub issue: f64,
}

/// The clock that a maker's figure rests on, over the highest that the device can have: makers state a boost clock, and some devices go beyond it. Outside of this the
/// figure is not one of clock and width.
const RATED: std::ops::RangeInclusive<f64> = 0.7..=1.02;

impl Profile {
    /// The shares of a single value whose limit at the clock of its samples is known, as are the maker's figure and the device's highest clock.
    #[must_use]
    pub fn shares(&self, ceiling: &Ceiling) -> Option<Shares> {
        let Outcome::Ok { limit: Some(limit), .. } = &ceiling.outcome else { return None };
        let claim = self.claim_above(ceiling.resource).filter(|_| ceiling.scope == Scope::Device)?;
        let highest = self.conditions.gpu.as_ref()?.highest_clock?;
        let point = ceiling.single()?;
        shares(point.value, limit.value, claim.value, point.clock? / highest)
    }
}

/// The shares of a value with its limit at the clock of its samples, the maker's figure, and that clock over the device's highest.
fn shares(value: f64, limit: f64, claim: f64, of_highest: f64) -> Option<Shares> {
    let shares = Shares { whole: value / claim, clock: limit / claim, issue: value / limit };
    let sound = [shares.whole, shares.clock, shares.issue].into_iter().all(|share| share.is_finite() && share > 0.0);
    let rated = of_highest / shares.clock;
    (sound && RATED.contains(&rated)).then_some(shares)
}

#[cfg(test)]
mod tests {
    use super::super::datasheet::bundled_named;
    use super::super::document::Limit;
    use super::super::point::Point;
    use super::*;
    use crate::facts::GpuConditions;
    use crate::resource::Key;
    use crate::units::Hertz;
    use proptest::prelude::*;

    /// f32 on an H200: 132 multiprocessors with 256 operations per cycle, at most 1.98 GHz; the datasheet says 67 TFLOP/s.
    fn measured(value: f64, clock: f64) -> (Profile, Ceiling) {
        let mut profile = bundled_named("nvidia-h200-sxm").and_then(|bundled| bundled.profile()).unwrap().clone();
        profile.conditions.gpu = Some(GpuConditions { highest_clock: Some(Hertz(1.98e9)), ..GpuConditions::default() });
        let resource = "compute.vector.f32".parse().unwrap();
        let limit = Limit { value: 132.0 * 256.0 * clock, formula: String::new(), source: "".into() };
        let points = vec![Point { clock: Some(Hertz(clock)), ..Point::exact(None, value) }];
        let outcome = Outcome::Ok { points, limit: Some(limit), plateau: None, fit: None };
        (profile, Ceiling::new(Key { resource, scope: Scope::Device }, outcome))
    }

    #[test]
    fn a_value_below_the_datasheet_is_broken_into_clock_and_issue() {
        let (mut profile, mut ceiling) = measured(53.5e12, 1.635e9);
        let found = profile.shares(&ceiling).unwrap();
        assert!((found.clock - 1.635 / 1.98).abs() < 0.005, "{found:?}");
        assert!((found.issue - 0.968).abs() < 0.001 && (found.whole - 53.5 / 67.0).abs() < 0.001, "{found:?}");
        ceiling.scope = Scope::Core;
        assert_eq!(profile.shares(&ceiling), None, "a datasheet is about the whole device");
        ceiling.scope = Scope::Device;
        profile.conditions.gpu = None;
        assert_eq!(profile.shares(&ceiling), None);
    }

    #[test]
    fn a_figure_that_is_not_of_this_clock_and_width_explains_nothing() {
        // Half of the multiprocessors, as an instance of a divided GPU has them.
        assert_eq!(shares(25e12, 66.0 * 256.0 * 1.98e9, 67e12, 1.0), None);
        assert_eq!(shares(1.0, 0.0, 1.0, 1.0), None);
        assert_eq!(shares(f64::NAN, 1.0, 1.0, 1.0), None);
        assert_eq!(shares(1.0, 1.0, 1.0, f64::INFINITY), None);
    }

    proptest! {
        #[test]
        fn the_shares_make_the_whole(issue in 0.01..1.0_f64, clock in 0.1..1.2_f64, rated in 0.71..1.01_f64) {
            let claim = 67e12;
            let found = shares(claim * clock * issue, claim * clock, claim, rated * clock).unwrap();
            prop_assert!((found.whole - found.clock * found.issue).abs() < 1e-12);
            prop_assert!((found.issue - issue).abs() < 1e-12 && (found.clock - clock).abs() < 1e-12);
        }
    }
}
