//! The formula through measured matrix products: a roofline with a soft corner and a floor.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Seconds;
use crate::workload::Work;

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

impl PNorm {
    /// The time of a product.
    #[must_use]
    pub fn time(&self, work: &Work) -> Seconds {
        let compute = work.ops as f64 / self.peak;
        let memory = (work.bytes_read + work.bytes_written) as f64 / self.bandwidth;
        let larger = compute.max(memory);
        let smaller = compute.min(memory);
        // Scaled by the larger, so that no power overflows.
        Seconds(larger * (1.0 + (smaller / larger).powf(self.p)).powf(1.0 / self.p)) + self.floor
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
