//! How a time is distributed over requests: its mean and three percentiles.

use schemars::JsonSchema;
use serde::Serialize;

use crate::units::Seconds;

/// A time over many requests (or intervals).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Spread {
    /// The mean.
    pub mean: Seconds,
    /// Half are not longer.
    pub p50: Seconds,
    /// Nine of ten are not longer.
    pub p90: Seconds,
    /// 99 of 100 are not longer.
    pub p99: Seconds,
}

impl Spread {
    /// The same for all.
    #[must_use]
    pub const fn constant(time: Seconds) -> Self {
        Self { mean: time, p50: time, p90: time, p99: time }
    }

    /// Each longer by a time.
    #[must_use]
    pub fn plus(self, time: Seconds) -> Self {
        Self { mean: self.mean + time, p50: self.p50 + time, p90: self.p90 + time, p99: self.p99 + time }
    }

    /// Of values in seconds with weights, in any order. A percentile is the least value that is not exceeded by that
    /// share.
    pub(crate) fn of(mut atoms: Vec<(f64, f64)>) -> Self {
        atoms.sort_by(|a, b| a.0.total_cmp(&b.0));
        let weight: f64 = atoms.iter().map(|atom| atom.1).sum();
        let mean = atoms.iter().map(|(value, weight)| value * weight).sum::<f64>() / weight;
        let quantile = |share: f64| {
            let mut below = 0.0;
            let reached = |atom: &&(f64, f64)| {
                below += atom.1;
                // What rounding may take from a sum of weights does not move a percentile.
                below >= share * weight * (1.0 - 1e-12)
            };
            Seconds(atoms.iter().find(reached).or(atoms.last()).map_or(0.0, |atom| atom.0))
        };
        Self { mean: Seconds(mean), p50: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99) }
    }

    /// Of a wait with this chance to be longer than a time.
    pub(crate) fn of_tail(mean: f64, longer: impl Fn(f64) -> f64) -> Self {
        let quantile = |share: f64| {
            let is_beyond = |time: f64| longer(time) <= 1.0 - share;
            if is_beyond(0.0) {
                return Seconds(0.0);
            }
            let (mut low, mut high) = (0.0, mean);
            while !is_beyond(high) && high < f64::MAX / 4.0 {
                (low, high) = (high, 2.0 * high);
            }
            for _ in 0..60 {
                let middle = low + (high - low) / 2.0;
                if is_beyond(middle) { high = middle } else { low = middle }
            }
            Seconds(high)
        };
        Self { mean: Seconds(mean), p50: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99) }
    }
}

/// Above this mean, a binomial distribution is taken for a normal one.
const MANY: f64 = 100.0;

/// How many of some independent events happen, all equally likely, when so many do in the mean: counts with their
/// chances. Infinitely many events are Poisson's distribution.
pub(crate) fn binomial(events: f64, mean: f64) -> Vec<(f64, f64)> {
    if mean <= 0.0 {
        return vec![(0.0, 1.0)];
    }
    let likely = (mean / events).clamp(0.0, 1.0);
    let none = if events.is_finite() { (events * (-likely).ln_1p()).exp() } else { (-mean).exp() };
    if mean > MANY || none < f64::MIN_POSITIVE {
        let deviation = (mean * (1.0 - likely)).sqrt();
        let normal = |step: i32| {
            let z = f64::from(step) / 10.0;
            ((mean + z * deviation).max(0.0), (-z * z / 2.0).exp())
        };
        return (-45..=45).map(normal).collect();
    }
    let mut atoms = Vec::new();
    let (mut count, mut chance) = (0.0, none);
    while count <= events && (count <= mean || chance > 1e-12) {
        atoms.push((count, chance));
        let odds = if events.is_finite() { (events - count) * likely / (1.0 - likely) } else { mean };
        count += 1.0;
        chance *= odds / count;
    }
    atoms
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_of_ranks() {
        let spread = Spread::of((1..=100).rev().map(|rank| (f64::from(rank), 1.0)).collect());
        assert_eq!(spread, Spread { mean: Seconds(50.5), p50: Seconds(50.0), p90: Seconds(90.0), p99: Seconds(99.0) });
        assert_eq!(Spread::of(vec![(3.0, 0.25)]), Spread::constant(Seconds(3.0)));
    }

    #[test]
    fn an_exponential_tail_has_the_known_percentiles() {
        let spread = Spread::of_tail(2.0, |time| (-time / 2.0).exp());
        assert!((spread.p50.get() - 2.0 * 2.0_f64.ln()).abs() < 1e-9);
        assert!((spread.p99.get() - 2.0 * 100.0_f64.ln()).abs() < 1e-9);
        // Nobody of the first half waits.
        assert_eq!(Spread::of_tail(1.0, |time| 0.4 * (-time).exp()).p50, Seconds(0.0));
    }

    #[test]
    fn counts_have_their_mean_and_variance() {
        let infinite = [0.0, 0.01, 3.0, 99.0, 101.0, 1e6].map(|mean| (f64::INFINITY, mean));
        let finite = [(1.0, 0.3), (7.0, 7.0), (63.0, 0.5), (63.0, 62.0), (1e6, 50.0), (1e6, 1e5), (100.0, 99.999_999)];
        for (events, mean) in infinite.into_iter().chain(finite) {
            let atoms = binomial(events, mean);
            let total: f64 = atoms.iter().map(|atom| atom.1).sum();
            let found = atoms.iter().map(|(count, chance)| count * chance).sum::<f64>() / total;
            let square = atoms.iter().map(|(count, chance)| (count - mean).powi(2) * chance).sum::<f64>() / total;
            let variance = mean * (1.0 - mean / events);
            assert!((found - mean).abs() <= 1e-6 * mean, "{events} {mean}: {found}");
            assert!((square - variance).abs() <= 2e-3 * variance + 1e-9, "{events} {mean}: {square}");
        }
    }

    proptest! {
        #[test]
        fn percentiles_are_ordered(atoms in prop::collection::vec((0.0..1e6_f64, 1e-6..1.0_f64), 1..50)) {
            let spread = Spread::of(atoms);
            prop_assert!(spread.p50 <= spread.p90 && spread.p90 <= spread.p99);
        }
    }
}
