//! Samples to summary: order statistics, a distribution-free confidence interval of the median, drift and two modes.

mod shape;

pub use shape::{Modes, drift, two_modes};

/// What a set of samples says about the quantity behind them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Number of samples.
    pub count: usize,
    /// Smallest sample.
    pub min: f64,
    /// Largest sample.
    pub max: f64,
    /// Middle of the sorted samples.
    pub median: f64,
    /// Median absolute deviation from the median, unscaled.
    pub mad: f64,
    /// 10th percentile.
    pub p10: f64,
    /// 90th percentile.
    pub p90: f64,
    /// Bounds of the 95 % confidence interval of the median; the extremes where there are too few samples for one.
    pub confidence: (f64, f64),
}

impl Summary {
    /// Summarises finite samples; none when there are no samples.
    #[must_use]
    pub fn of(samples: &[f64]) -> Option<Self> {
        let sorted = sorted(samples);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let median = quantile(&sorted, 0.5);
        let deviations: Vec<f64> = sorted.iter().map(|sample| (sample - median).abs()).collect();
        Some(Self {
            count: sorted.len(),
            min,
            max,
            median,
            mad: quantile(&self::sorted(&deviations), 0.5),
            p10: quantile(&sorted, 0.1),
            p90: quantile(&sorted, 0.9),
            confidence: median_interval(&sorted).unwrap_or((min, max)),
        })
    }

    /// Half the confidence interval's width, relative to the median.
    #[must_use]
    pub fn uncertainty(&self) -> f64 {
        (self.confidence.1 - self.confidence.0) / 2.0 / self.median.abs()
    }
}

/// The median of some samples; none when there are none.
#[must_use]
pub fn median(samples: &[f64]) -> Option<f64> {
    if samples.is_empty() { None } else { Some(quantile(&sorted(samples), 0.5)) }
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = samples.iter().copied().filter(|sample| sample.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Quantile by linear interpolation between order statistics (Hyndman and Fan's type 7, the default of R and NumPy).
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = last as f64 * q;
    let (low, high) = (position.floor() as usize, position.ceil() as usize);
    sorted[low] + (position - low as f64) * (sorted[high] - sorted[low])
}

/// The 95 % confidence interval of the median from order statistics: the k-th smallest and k-th largest sample, for the
/// largest k with P(Binomial(n, ½) < k) ≤ 2.5 %. It assumes nothing of the distribution. None below six samples, where no
/// such k exists.
fn median_interval(sorted: &[f64]) -> Option<(f64, f64)> {
    let n = sorted.len();
    let mut below = 0.0; // P(Binomial(n, ½) ≤ k − 1)
    let mut term = 0.5_f64.powi(i32::try_from(n).ok()?); // P(Binomial(n, ½) = k)
    if term == 0.0 {
        return normal_median_interval(sorted);
    }
    let mut k = 0;
    while below + term <= 0.025 {
        below += term;
        term *= (n - k) as f64 / (k + 1) as f64;
        k += 1;
    }
    if k == 0 { None } else { Some((sorted[k - 1], sorted[n - k])) }
}

/// The same by the normal approximation, for sample counts whose binomial terms underflow (more than about 1000).
fn normal_median_interval(sorted: &[f64]) -> Option<(f64, f64)> {
    let n = sorted.len();
    let k = (n as f64 / 2.0 - 1.96 * (n as f64).sqrt() / 2.0).floor() as usize;
    Some((*sorted.get(k.checked_sub(1)?)?, *sorted.get(n - k)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn summary_of_known_samples() {
        let samples: Vec<f64> = (1..=11).map(f64::from).collect();
        let summary = Summary::of(&samples).unwrap();
        assert_eq!((summary.median, summary.mad, summary.min, summary.max), (6.0, 3.0, 1.0, 11.0));
        assert_eq!((summary.p10, summary.p90), (2.0, 10.0));
        // Tables of the sign test: n = 11, 95 % → second smallest and second largest.
        assert_eq!(summary.confidence, (2.0, 10.0));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn interval_ranks_agree_with_published_tables() {
        // n and the rank k of the lower bound, from tables of the distribution-free interval of the median at 95 %.
        for (n, k) in [(6, 1), (9, 2), (15, 4), (20, 6), (25, 8), (50, 18), (100, 40)] {
            let samples: Vec<f64> = (1..=n).map(f64::from).collect();
            assert_eq!(median_interval(&samples), Some((f64::from(k), f64::from(n - k + 1))), "n = {n}");
        }
        assert_eq!(median_interval(&[1.0; 5]), None);
        let many: Vec<f64> = (0..5000).map(f64::from).collect();
        let (low, high) = median_interval(&many).unwrap();
        assert!((2428.0..2434.0).contains(&low) && (2565.0..2571.0).contains(&high), "{low} {high}");
    }

    #[test]
    fn interval_covers_the_median_as_often_as_it_says() {
        let mut covered = 0;
        for trial in 0..1000 {
            let samples: Vec<f64> = (0..21).map(|i| crate::data::signed_f64(crate::data::Seed(trial), i)).collect();
            let (low, high) = Summary::of(&samples).unwrap().confidence;
            covered += usize::from(low <= 0.0 && 0.0 <= high);
        }
        assert!((940..=995).contains(&covered), "{covered} of 1000");
    }

    proptest! {
        #[test]
        fn order_holds(samples in prop::collection::vec(1e-9..1e9_f64, 1..200)) {
            let s = Summary::of(&samples).unwrap();
            prop_assert!(s.min <= s.p10 && s.p10 <= s.median && s.median <= s.p90 && s.p90 <= s.max);
            prop_assert!(s.confidence.0 <= s.median && s.median <= s.confidence.1);
            prop_assert!(s.mad >= 0.0);
        }

        #[test]
        fn order_of_samples_does_not_matter(mut samples in prop::collection::vec(-1e9..1e9_f64, 1..60)) {
            let before = Summary::of(&samples);
            samples.reverse();
            prop_assert_eq!(before, Summary::of(&samples));
        }
    }
}
