//! The shape of a set of samples: does it drift, has it two modes?

use super::{Summary, median};

/// Two groups of samples that are far apart for how wide they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Modes {
    /// Median of the lower group.
    pub low: f64,
    /// Median of the upper group.
    pub high: f64,
    /// Share of the samples in the lower group.
    pub low_share: f64,
}

/// Relative change from the first to the last third of the samples, in the order they were taken; none when it is small
/// (less than 2 %) or no larger than the scatter explains.
#[must_use]
pub fn drift(samples: &[f64]) -> Option<f64> {
    let third = samples.len() / 3;
    if third < 3 {
        return None;
    }
    let (first, last) = (Summary::of(&samples[..third])?, Summary::of(&samples[samples.len() - third..])?);
    let change = last.median / first.median - 1.0;
    let apart = first.max < last.min || last.max < first.min;
    (change.abs() > 0.02 && apart).then_some(change)
}

/// Splits the samples where the split explains most of their variance; two modes are reported when both groups hold at
/// least 15 % of the samples, their medians differ by more than 5 %, and at least four fifths of that distance is an empty gap.
///
/// The gap is what tells two modes from one wide one: by simulation, the best split of 11 samples of one normal distribution leaves
/// a gap of 0.34 of the distance at the median and of 0.8 in one case of a thousand; of more samples, less.
#[must_use]
pub fn two_modes(samples: &[f64]) -> Option<Modes> {
    let sorted = super::sorted(samples);
    let n = sorted.len();
    let least = (n * 15).div_ceil(100).max(3);
    let split = (least..=n.checked_sub(least)?).max_by(|&a, &b| between(&sorted, a).total_cmp(&between(&sorted, b)))?;
    let (low, high) = sorted.split_at(split);
    let (low_median, high_median) = (median(low)?, median(high)?);
    let gap = high.first()? - low.last()?;
    let apart = high_median > 1.05 * low_median && gap > 0.8 * (high_median - low_median);
    apart.then_some(Modes { low: low_median, high: high_median, low_share: split as f64 / n as f64 })
}

/// Variance between the two groups of a split (Otsu's criterion).
fn between(sorted: &[f64], split: usize) -> f64 {
    let (low, high) = sorted.split_at(split);
    low.len() as f64 * high.len() as f64 * (mean(high) - mean(low)).powi(2)
}

fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Seed, signed_f64};

    /// Nearly normal noise: the sum of twelve uniform values.
    fn noise(seed: u32, count: u32, center: f64, width: f64) -> Vec<f64> {
        (0..count)
            .map(|i| center + width * (0..12).map(|j| signed_f64(Seed(seed), i * 12 + j)).sum::<f64>() / 2.0)
            .collect()
    }

    #[test]
    fn one_mode_is_one_mode() {
        for seed in 0..200 {
            assert_eq!(two_modes(&noise(seed, 15 + seed % 40, 100.0, 5.0)), None, "seed {seed}");
        }
        assert_eq!(two_modes(&[1.0; 30]), None);
        assert_eq!(two_modes(&[1.0, 2.0]), None);
        assert_eq!(two_modes(&[]), None);
    }

    #[test]
    fn two_modes_are_found_with_their_shares() {
        let mut samples = noise(1, 20, 40.0, 0.4);
        samples.extend(noise(2, 10, 60.0, 0.4));
        let modes = two_modes(&samples).unwrap();
        assert!((modes.low - 40.0).abs() < 1.0 && (modes.high - 60.0).abs() < 1.0);
        assert!((modes.low_share - 2.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_single_outlier_is_not_a_mode() {
        let mut samples = noise(1, 20, 40.0, 0.4);
        samples.push(90.0);
        assert_eq!(two_modes(&samples), None);
    }

    #[test]
    fn drift_is_a_trend_beyond_the_scatter() {
        let falling: Vec<f64> = (0..30).map(|i| 100.0 - f64::from(i)).collect();
        assert!(drift(&falling).unwrap() < -0.15);
        for seed in 0..100 {
            assert_eq!(drift(&noise(seed, 30, 100.0, 2.0)), None);
        }
        assert_eq!(drift(&[1.0, 2.0, 3.0]), None);
    }
}
