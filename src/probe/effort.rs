//! What an effort means for a single point.

use crate::profile::Effort;
use crate::units::Seconds;

/// How one point is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Sampling ends when the half-width of the median's 95 % confidence interval is below this share of the median…
    pub goal: f64,
    /// …but not before this many clean samples…
    pub least: usize,
    /// …and at the latest when this much time is spent.
    pub budget: Seconds,
    /// Time of one sample, when nothing disturbs. Long against the timer's resolution.
    pub sample: Seconds,
    /// Samples are not made shorter than this, however crowded the machine is.
    pub shortest_sample: Seconds,
    /// Warming up ends when three samples agree within 1 %, or after this much time.
    pub warm_up: Seconds,
    /// Samples of each variant before the fastest is chosen.
    pub rounds: usize,
}

/// What is left of budgets when a run is late: this share of them.
const HURRY: f64 = 0.25;

impl Settings {
    /// The settings of an effort.
    #[must_use]
    pub const fn of(effort: Effort) -> Self {
        let common = Self {
            goal: 0.01,
            least: 11,
            budget: Seconds(0.8),
            sample: Seconds(5e-3),
            shortest_sample: Seconds(0.5e-3),
            warm_up: Seconds(0.1),
            rounds: 3,
        };
        match effort {
            Effort::Quick => Self {
                goal: 0.02,
                least: 7,
                budget: Seconds(0.3),
                sample: Seconds(3e-3),
                warm_up: Seconds(0.05),
                rounds: 2,
                ..common
            },
            Effort::Normal => common,
            Effort::Thorough => Self { goal: 0.003, least: 25, budget: Seconds(4.0), warm_up: Seconds(0.3), ..common },
        }
    }

    /// The settings for operators: there are many shapes and sizes of them, and a tenth of a per cent of one decides nothing.
    #[must_use]
    pub const fn of_operators(effort: Effort) -> Self {
        match effort {
            Effort::Thorough => Self::of(Effort::Normal),
            other => Self::of(other),
        }
    }

    /// These settings for a run that takes longer than planned, because its samples scatter or its neighbours are busy: less time for what will not
    /// hold still in it either, and at most so many times what a point takes when nothing disturbs it.
    #[must_use]
    pub fn hurried(self, times: f64) -> Self {
        let budget = Seconds((self.budget * HURRY).get().min((self.typical(1) * times).get()));
        Self { budget, warm_up: self.warm_up * HURRY, ..self }
    }

    /// Time a point takes on a quiet machine, with some variants to choose from.
    #[must_use]
    pub fn typical(&self, variants: usize) -> Seconds {
        // Calibration, three samples of warm-up, the choice, the samples, and the check with twice the work.
        let tuning = if variants > 1 { variants * self.rounds } else { 0 };
        self.sample * (3 + 3 + tuning + self.least + 2) as f64
    }
}
