//! The formula through measured matrix products: a roofline with a soft corner and a floor.

mod solve;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Seconds;
use crate::workload::Work;

use solve::Sample;

/// Time of a matrix product: `((operations / peak)^p + (bytes / bandwidth)^p)^(1/p) + floor`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PNorm {
    /// Operations per second, when bytes cost nothing.
    pub peak: f64,
    /// Bytes per second, when operations cost nothing.
    pub bandwidth: f64,
    /// Sharpness of the corner between the two: 1 adds their times, infinity takes the larger.
    pub p: f64,
    /// Time of the smallest product, in seconds.
    pub floor: Seconds,
}

/// A formula with what it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fit {
    /// The formula, from all points.
    #[serde(flatten)]
    pub model: PNorm,
    /// Points it rests on.
    pub points: u32,
    /// Relative error of its times over its own points.
    pub error: FitError,
    /// Relative error at points that were held out: each is predicted by a formula from the others.
    pub held_out: FitError,
}

/// Relative errors of predicted times.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FitError {
    /// Mean of the absolute values.
    pub mean: f64,
    /// Largest absolute value.
    pub worst: f64,
}

/// What most of a product's time is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Its operations.
    Compute,
    /// Its bytes.
    Memory,
    /// The floor, which every product pays.
    Floor,
}

impl PNorm {
    /// The time of a product.
    #[must_use]
    pub fn time(&self, work: &Work) -> Seconds {
        let (compute, memory) = self.parts(work);
        let larger = compute.max(memory);
        if larger <= 0.0 {
            return self.floor;
        }
        // Scaled by the larger, so that no power overflows.
        let ratio = compute.min(memory) / larger;
        Seconds(larger * (1.0 + ratio.powf(self.p)).powf(1.0 / self.p)) + self.floor
    }

    /// The largest of the three times that a product's time is made of.
    #[must_use]
    pub fn bound(&self, work: &Work) -> Bound {
        let (compute, memory) = self.parts(work);
        if self.floor.get() > compute.max(memory) {
            Bound::Floor
        } else if memory > compute {
            Bound::Memory
        } else {
            Bound::Compute
        }
    }

    /// Seconds of the operations alone, and of the bytes alone.
    fn parts(&self, work: &Work) -> (f64, f64) {
        (work.ops as f64 / self.peak, moved(work) / self.bandwidth)
    }
}

/// Bytes loaded and stored, together.
fn moved(work: &Work) -> f64 {
    work.bytes_read as f64 + work.bytes_written as f64
}

/// Parameters of the formula.
const PARAMETERS: usize = 4;
/// Points beyond its parameters that a formula needs: with fewer, it would follow the noise.
const SPARE: usize = 2;
/// Below so many points, each is held out by itself.
const FEW: usize = 20;
/// Parts that many points are held out in.
const FOLDS: usize = 5;

/// The part that a point is held out in. Points come as a grid of sizes: were it every fifth, a part could be all points of one matrix. Steps
/// of the golden ratio keep no time with any grid.
fn fold(index: usize, points: usize) -> usize {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    if points < FEW { index } else { ((index as f64 * GOLDEN).fract() * FOLDS as f64) as usize }
}

/// The formula through measured products (work of one, time of one), by least squares of the relative errors of its times. None where there
/// are fewer than six points, or where a number is not positive and finite.
#[must_use]
pub fn fit(points: &[(Work, Seconds)]) -> Option<Fit> {
    if points.len() < PARAMETERS + SPARE {
        return None;
    }
    let samples: Vec<Sample> = points
        .iter()
        .map(|(work, time)| Sample::new(work.ops as f64, moved(work), time.get()))
        .collect::<Option<_>>()?;
    let model = solve::solve(&samples)?;
    let mut held_out = Vec::with_capacity(points.len());
    for part in 0..if points.len() < FEW { points.len() } else { FOLDS } {
        let is_out = |index: usize| fold(index, points.len()) == part;
        let others: Vec<Sample> =
            samples.iter().enumerate().filter(|(index, _)| !is_out(*index)).map(|(_, &sample)| sample).collect();
        let blind = solve::solve(&others)?;
        let out = points.iter().enumerate().filter(|(index, _)| is_out(*index));
        held_out.extend(out.map(|(_, point)| relative_error(&blind, point)));
    }
    let own: Vec<f64> = points.iter().map(|point| relative_error(&model, point)).collect();
    let points = u32::try_from(points.len()).unwrap_or(u32::MAX);
    let fit = Fit { model, points, error: FitError::of(&own), held_out: FitError::of(&held_out) };
    fit.problems().is_empty().then_some(fit)
}

/// By how much a formula misses a measured time, as a share of it, without the sign.
fn relative_error(model: &PNorm, (work, time): &(Work, Seconds)) -> f64 {
    (model.time(work) / *time - 1.0).abs()
}

impl FitError {
    /// Sums up absolute relative errors.
    fn of(errors: &[f64]) -> Self {
        let worst = errors.iter().copied().fold(0.0, f64::max);
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        // Of equal errors, rounding may put the mean above the worst.
        Self { mean: mean.min(worst), worst }
    }
}

impl Fit {
    /// What is wrong with it. Empty for a good one.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let PNorm { peak, bandwidth, p, floor } = self.model;
        let positive = |number: f64| number.is_finite() && number > 0.0;
        let mut problems = Vec::new();
        if !(positive(peak) && positive(bandwidth) && positive(p) && floor.get() >= 0.0 && floor.get().is_finite()) {
            problems.push("its fit has a parameter that is not a positive number".to_owned());
        }
        for error in [self.error, self.held_out] {
            if !(error.mean >= 0.0 && error.mean <= error.worst && error.worst.is_finite()) {
                problems.push("its fit's errors contradict each other".to_owned());
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::workload::Shape;
    use proptest::prelude::*;

    const TRUE: PNorm = PNorm { peak: 450e9, bandwidth: 40e9, p: 2.5, floor: Seconds(20e-6) };

    /// Products of a language model's layers at some numbers of tokens.
    fn works() -> Vec<Work> {
        let sizes = [(4096, 4096), (14336, 4096), (4096, 14336), (1024, 4096), (256, 256)];
        let tokens = [1, 4, 16, 64, 256, 1024];
        let shapes = tokens.iter().flat_map(|&m| sizes.iter().map(move |&(n, k)| Shape { m, n, k }));
        shapes.map(|shape| shape.work(DType::Bf16, DType::F32)).collect()
    }

    /// What a formula gives for the works, each time multiplied by a factor that depends on its index.
    fn points(model: &PNorm, noise: impl Fn(usize) -> f64) -> Vec<(Work, Seconds)> {
        works().into_iter().enumerate().map(|(index, work)| (work, model.time(&work) * noise(index))).collect()
    }

    fn close(a: f64, b: f64, tolerance: f64) -> bool {
        (a / b - 1.0).abs() < tolerance
    }

    #[test]
    fn known_parameters_are_found_again() {
        for (p, floor) in [(2.5, 20e-6), (1.2, 4e-6), (8.0, 1e-6), (3.0, 200e-6)] {
            let model = PNorm { p, floor: Seconds(floor), ..TRUE };
            let found = fit(&points(&model, |_| 1.0)).unwrap();
            let PNorm { peak, bandwidth, p, floor } = found.model;
            assert!(close(peak, model.peak, 0.02) && close(bandwidth, model.bandwidth, 0.02), "{found:?}");
            assert!(close(p, model.p, 0.02) && close(floor.get(), model.floor.get(), 0.02), "{found:?}");
            assert!(found.error.worst < 1e-3 && found.held_out.worst < 0.02, "{found:?}");
        }
    }

    #[test]
    fn no_floor_is_found_as_hardly_any() {
        let found = fit(&points(&PNorm { floor: Seconds(0.0), ..TRUE }, |_| 1.0)).unwrap();
        assert!(found.error.worst < 0.01, "{found:?}");
        assert!(close(found.model.peak, TRUE.peak, 0.02) && close(found.model.bandwidth, TRUE.bandwidth, 0.02));
    }

    #[test]
    fn noise_is_not_followed() {
        // ±5 % without a pattern that the formula could take up.
        let noise = |index: usize| if (index * 7 + index / 3).is_multiple_of(2) { 1.05 } else { 0.95 };
        let found = fit(&points(&TRUE, noise)).unwrap();
        assert!(found.held_out.mean < 0.08 && found.held_out.mean >= found.error.mean, "{found:?}");
        assert!(close(found.model.peak, TRUE.peak, 0.1) && close(found.model.bandwidth, TRUE.bandwidth, 0.1));
    }

    #[test]
    fn no_part_is_held_out_together_with_its_neighbours_in_a_grid() {
        for period in 2..12 {
            // Whatever the period of a grid, the points of one column are spread over the parts.
            let column: std::collections::BTreeSet<usize> = (0..8).map(|row| fold(row * period, 100)).collect();
            assert!(column.len() >= 3, "{period}: {column:?}");
        }
        assert!((0..100).all(|index| fold(index, 100) < FOLDS));
        assert!((0..19).all(|index| fold(index, 19) == index));
    }

    #[test]
    fn half_the_time_is_twice_the_rates() {
        let slow = fit(&points(&TRUE, |_| 1.0)).unwrap().model;
        let fast = fit(&points(&TRUE, |_| 0.5)).unwrap().model;
        assert!(close(fast.peak, 2.0 * slow.peak, 1e-6) && close(fast.bandwidth, 2.0 * slow.bandwidth, 1e-6));
        assert!(close(fast.floor.get(), 0.5 * slow.floor.get(), 1e-6) && close(fast.p, slow.p, 1e-6));
    }

    #[test]
    fn a_formula_needs_six_good_points() {
        let good = points(&TRUE, |_| 1.0);
        assert!(fit(&[]).is_none() && fit(&good[..5]).is_none() && fit(&good[..6]).is_some());
        for time in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let mut bad = good.clone();
            bad[3].1 = Seconds(time);
            assert!(fit(&bad).is_none(), "{time}");
        }
        let mut bad = good;
        bad[3].0 = Work::default();
        assert!(fit(&bad).is_none());
    }

    #[test]
    fn the_largest_part_is_the_bound() {
        let work = |m| Shape { m, n: 4096, k: 4096 }.work(DType::Bf16, DType::F32);
        assert_eq!(TRUE.bound(&work(1)), Bound::Memory);
        assert_eq!(TRUE.bound(&work(4096)), Bound::Compute);
        assert_eq!(TRUE.bound(&Shape::square(64).work(DType::Bf16, DType::F32)), Bound::Floor);
        assert_eq!(TRUE.time(&Work::default()), TRUE.floor);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn whatever_was_measured_parameters_are_numbers(
            points in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), prop::num::f64::ANY), 0..12),
            times in prop::collection::vec(1e-9..1e3_f64, 12),
            wild in any::<bool>(),
        ) {
            let points: Vec<(Work, Seconds)> = points
                .iter()
                .zip(times)
                .map(|(&(ops, bytes_read, bytes_written, any), time)| {
                    (Work { ops, bytes_read, bytes_written, events: 0 }, Seconds(if wild { any.abs() } else { time }))
                })
                .collect();
            if let Some(found) = fit(&points) {
                prop_assert_eq!(found.problems(), Vec::<String>::new());
                prop_assert!(points.iter().all(|(work, _)| found.model.time(work).get().is_finite()));
            } else {
                // Ordinary numbers always have a formula.
                let good = points.iter().all(|(work, _)| work.ops > 0 && moved(work) > 0.0);
                prop_assert!(wild || points.len() < 6 || !good);
            }
        }
    }
}
