//! What follows from what a file states: a table of formulas, which fill in what is missing and find what cannot be true.

use super::contradiction::Contradiction;
use super::document::Observation;
use super::metric::{Measured, Quantity, Stat};

/// How far a number may be from what a formula gives where both are exact but for rounding.
const CLOSE: f64 = 0.05;

/// How far where means of unequal requests are multiplied, or the run's beginning and end count.
const LOOSE: f64 = 0.15;

/// A formula that ties quantities together.
struct Rule {
    /// What it gives.
    gives: Quantity,
    /// How it reads.
    formula: &'static str,
    /// How far a stated number may be from it; none where another rule checks the same relation.
    tolerance: Option<f64>,
    /// Its value, where all that it needs is known.
    value: fn(&Observation) -> Option<f64>,
}

/// The formulas, each quantity's surest first. A request's first token comes from its prompt, so that `N` tokens take `N - 1` steps.
const RULES: &[Rule] = &[
    Rule {
        gives: Quantity::RequestRate,
        formula: "requests / duration",
        tolerance: Some(CLOSE),
        value: |run| Some(run.load.requests? as f64 / run.load.duration?),
    },
    Rule {
        gives: Quantity::OutputRate,
        formula: "request_rate * generate",
        tolerance: Some(CLOSE),
        value: |run| Some(run.typical(Quantity::RequestRate)? * run.load.generate?),
    },
    Rule {
        gives: Quantity::TotalRate,
        formula: "request_rate * (prompt + generate)",
        tolerance: Some(CLOSE),
        value: |run| Some(run.typical(Quantity::RequestRate)? * (run.load.prompt? + run.load.generate?)),
    },
    Rule {
        gives: Quantity::AcceptanceLength,
        formula: "1 + draft_length * acceptance_rate",
        tolerance: Some(CLOSE),
        value: |run| Some(1.0 + run.load.draft_length? * run.typical(Quantity::AcceptanceRate)?),
    },
    Rule {
        gives: Quantity::AcceptanceRate,
        formula: "(acceptance_length - 1) / draft_length",
        tolerance: None,
        value: |run| Some((run.typical(Quantity::AcceptanceLength)? - 1.0) / run.load.draft_length?),
    },
    Rule {
        gives: Quantity::PrefillRate,
        formula: "batch * prompt / prefill_time",
        tolerance: Some(CLOSE),
        value: |run| Some(run.load.batch? as f64 * run.load.prompt? / run.typical(Quantity::PrefillTime)?),
    },
    Rule {
        gives: Quantity::PrefillTime,
        formula: "batch * prompt / prefill_rate",
        tolerance: None,
        value: |run| Some(run.load.batch? as f64 * run.load.prompt? / run.typical(Quantity::PrefillRate)?),
    },
    Rule {
        gives: Quantity::DecodeRate,
        formula: "batch / tpot",
        tolerance: Some(CLOSE),
        value: |run| Some(run.load.batch? as f64 / run.typical(Quantity::Tpot)?),
    },
    Rule {
        gives: Quantity::Tpot,
        formula: "batch / decode_rate",
        tolerance: None,
        value: |run| Some(run.load.batch? as f64 / run.typical(Quantity::DecodeRate)?),
    },
    Rule {
        gives: Quantity::Tpot,
        formula: "(request_latency - ttft) / (generate - 1)",
        tolerance: None,
        value: |run| Some((run.typical(Quantity::RequestLatency)? - first_token(run)?) / steps(run)?),
    },
    Rule {
        gives: Quantity::RequestLatency,
        formula: "ttft + tpot * (generate - 1)",
        tolerance: Some(LOOSE),
        value: |run| {
            // A single token takes no step, and no time per step is needed to know that.
            let rest = if run.load.generate? == 1.0 { 0.0 } else { run.typical(Quantity::Tpot)? * steps(run)? };
            Some(first_token(run)? + rest)
        },
    },
    Rule {
        gives: Quantity::InFlight,
        formula: "request_rate * request_latency",
        tolerance: Some(LOOSE),
        value: |run| Some(run.typical(Quantity::RequestRate)? * run.typical(Quantity::RequestLatency)?),
    },
    Rule {
        gives: Quantity::OutputRate,
        formula: "batch * generate / request_latency",
        tolerance: Some(CLOSE),
        value: |run| Some(run.load.batch? as f64 * run.load.generate? / run.typical(Quantity::RequestLatency)?),
    },
    Rule {
        gives: Quantity::TotalRate,
        formula: "batch * (prompt + generate) / request_latency",
        tolerance: Some(CLOSE),
        value: |run| {
            let tokens = run.load.prompt? + run.load.generate?;
            Some(run.load.batch? as f64 * tokens / run.typical(Quantity::RequestLatency)?)
        },
    },
];

/// Time to the first token; for a batch that is alone, that of its prompts.
fn first_token(run: &Observation) -> Option<f64> {
    run.typical(Quantity::Ttft).or_else(|| run.typical(Quantity::PrefillTime))
}

/// Steps that generate a request's tokens after the first.
fn steps(run: &Observation) -> Option<f64> {
    run.load.generate.map(|tokens| tokens - 1.0).filter(|&steps| steps > 0.0)
}

impl Rule {
    /// Its value, unless that could not be measured.
    fn apply(&self, run: &Observation) -> Option<f64> {
        (self.value)(run).filter(|value| value.is_finite() && *value > 0.0)
    }
}

impl Observation {
    /// Fills in what follows from what is stated. Each number says the formula it was computed by.
    pub(super) fn derive(&mut self) {
        // A rule that gives a new quantity may be what another waits for. Each round adds one at least, so that it ends.
        let mut added = true;
        while added {
            added = false;
            for rule in RULES {
                if self.metrics.contains_key(&rule.gives) {
                    continue;
                }
                if let Some(value) = rule.apply(self) {
                    self.metrics.insert(rule.gives, Measured::derived(rule.gives, value, rule.formula));
                    added = true;
                }
            }
        }
    }

    /// What in it cannot all be true.
    #[must_use]
    pub fn contradictions(&self) -> Vec<Contradiction> {
        let mut found = Vec::new();
        for rule in RULES {
            let Some(tolerance) = rule.tolerance else { continue };
            let stated = self.metrics.get(&rule.gives).filter(|measured| measured.derived.is_none());
            let Some((stated, gives)) = stated.and_then(|measured| measured.values.typical()).zip(rule.apply(self))
            else {
                continue;
            };
            if apart(stated, gives) > tolerance {
                found.push(Contradiction::Formula { quantity: rule.gives, stated, formula: rule.formula, gives });
            }
        }
        self.out_of_order(&mut found);
        self.beyond_limits(&mut found);
        self.bus_rates(&mut found);
        found
    }

    /// Statistics of one quantity that stand in an order which no values have.
    fn out_of_order(&self, found: &mut Vec<Contradiction>) {
        const ORDER: [Stat; 6] = [Stat::Min, Stat::Median, Stat::P90, Stat::P95, Stat::P99, Stat::Max];
        for (&quantity, measured) in &self.metrics {
            let given = |stat| measured.values.get(stat).map(|value| (stat, value));
            let present: Vec<_> = ORDER.into_iter().filter_map(given).collect();
            let mean = given(Stat::Mean);
            let around = [given(Stat::Min).zip(mean), mean.zip(given(Stat::Max))];
            let pairs = present.windows(2).map(|pair| (pair[0], pair[1])).chain(around.into_iter().flatten());
            for ((smaller, low), (larger, high)) in pairs {
                if low > high * (1.0 + 1e-6) {
                    found.push(Contradiction::Order { quantity, smaller, larger });
                }
            }
        }
    }

    /// Quantities that something else limits.
    fn beyond_limits(&self, found: &mut Vec<Contradiction>) {
        let concurrency = self.load.concurrency.map(|count| count as f64);
        let limits = [
            (Quantity::InFlight, concurrency, "concurrency"),
            (Quantity::Ttft, self.typical(Quantity::RequestLatency), "request_latency"),
            (Quantity::AcceptanceRate, Some(1.0), "all of it"),
            (Quantity::CacheHitRate, Some(1.0), "all of it"),
            (Quantity::AcceptanceLength, self.load.draft_length.map(|tokens| tokens + 1.0), "draft_length + 1"),
        ];
        for (quantity, limit, what) in limits {
            if let Some((value, limit)) =
                self.typical(quantity).zip(limit).filter(|(value, limit)| *value > limit * (1.0 + CLOSE))
            {
                found.push(Contradiction::Beyond { quantity, value, what, limit });
            }
        }
    }

    /// Bus bandwidths that do not belong to the number of ranks.
    fn bus_rates(&self, found: &mut Vec<Contradiction>) {
        for curve in &self.collectives {
            let Some(factor) = curve.operation.zip(curve.ranks).map(|(operation, ranks)| operation.bus_factor(ranks))
            else {
                continue;
            };
            // The fastest point has the most digits.
            let timings = curve.points.iter().flat_map(|point| [point.out_of_place, point.in_place]).flatten();
            let rates = timings.filter_map(|timing| timing.algorithm_rate.zip(timing.bus_rate));
            let Some((algorithm, bus)) = rates.max_by(|one, other| one.0.get().total_cmp(&other.0.get())) else {
                continue;
            };
            if apart(bus / algorithm, factor) > CLOSE {
                found.push(Contradiction::BusRate { ranks: curve.ranks.unwrap_or(0), factor, found: bus / algorithm });
            }
        }
    }
}

/// How far two numbers are apart, as a share of the second.
pub(super) fn apart(one: f64, other: f64) -> f64 {
    if one == other { 0.0 } else { ((one - other) / other).abs() }
}
