//! The optimiser: Levenberg–Marquardt in the logarithms of the four parameters, from several starts. It is deterministic.

use super::PNorm;
use crate::units::Seconds;

/// One measured product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Its operations.
    ops: f64,
    /// Its bytes, loaded and stored.
    bytes: f64,
    /// Its time, in seconds.
    time: f64,
}

impl Sample {
    /// A product; none where a number, or a rate that follows from it, is not positive and finite.
    pub(super) fn new(ops: f64, bytes: f64, time: f64) -> Option<Self> {
        let usable = [ops, bytes, time, ops / time, bytes / time].iter().all(|number| number.is_normal());
        (usable && time > 0.0).then_some(Self { ops, bytes, time })
    }
}

/// Natural logarithms of peak, bandwidth, p and floor.
type Logs = [f64; 4];

/// Sharpness of the corner between adding both times and taking the larger; beyond 12 nobody sees a difference.
const SHARPNESS: (f64, f64) = (1.0, 12.0);
/// Bounds of peak and bandwidth, as shares of the best rates seen. Noise makes a seen rate exceed the true one; and where no point is
/// limited by a resource, its rate stays far above what was seen.
const RATES: (f64, f64) = (0.5, 1e3);
/// Bounds of the floor, as shares of the smallest time. The lower one stands for none.
const FLOORS: (f64, f64) = (1e-6, 1.5);
/// Where the search begins: sharpness, and floor as a share of the smallest time.
const STARTS: [(f64, f64); 6] = [(2.5, 0.5), (2.5, 0.01), (1.2, 0.1), (1.2, 0.9), (8.0, 0.1), (8.0, 0.9)];
/// Steps of one search; most end after a few dozen.
const STEPS: u32 = 200;
/// A search ends when a step lowers the cost by less than this share of it.
const SETTLED: f64 = 1e-10;

/// The formula with the least squared relative errors of its times. None where the numbers are too wild for one.
pub(super) fn solve(samples: &[Sample]) -> Option<PNorm> {
    let best = |rate: fn(&Sample) -> f64| samples.iter().map(rate).reduce(f64::max);
    let peak = best(|sample| sample.ops / sample.time)?.ln();
    let bandwidth = best(|sample| sample.bytes / sample.time)?.ln();
    let shortest = samples.iter().map(|sample| sample.time).reduce(f64::min)?.ln();
    let around = |centre: f64, (low, high): (f64, f64)| (centre + low.ln(), centre + high.ln());
    let bounds = [around(peak, RATES), around(bandwidth, RATES), around(0.0, SHARPNESS), around(shortest, FLOORS)];
    let search = |(p, floor): (f64, f64)| descend(samples, &bounds, [peak, bandwidth, p.ln(), shortest + floor.ln()]);
    let (_, logs) = STARTS
        .into_iter()
        .map(search)
        .filter(|(cost, _)| cost.is_finite())
        .reduce(|best, next| if next.0 < best.0 { next } else { best })?;
    let [peak, bandwidth, p, floor] = logs.map(f64::exp);
    Some(PNorm { peak, bandwidth, p, floor: Seconds(floor) })
}

/// Goes down from a start to a minimum inside the bounds; gives the cost there, and the place.
fn descend(samples: &[Sample], bounds: &[(f64, f64); 4], start: Logs) -> (f64, Logs) {
    let mut logs = start;
    let mut damping = 1e-3;
    let mut here = cost(samples, &logs);
    for _ in 0..STEPS {
        let (normal, gradient) = linearise(samples, &logs, bounds);
        let Some(step) = solve_damped(&normal, &gradient, damping) else { break };
        let mut next = logs;
        for ((value, step), &(low, high)) in next.iter_mut().zip(step).zip(bounds) {
            // No parameter changes by more than a factor of e at a time: far away, the linear picture says nothing.
            *value = (*value - step.clamp(-1.0, 1.0)).clamp(low, high);
        }
        let there = cost(samples, &next);
        if there < here {
            let settled = here - there <= SETTLED * here;
            (logs, here) = (next, there);
            damping = (damping / 3.0).max(1e-12);
            if settled {
                break;
            }
        } else if damping < 1e12 {
            damping *= 4.0;
        } else {
            break;
        }
    }
    (here, logs)
}

/// Sum of the squared relative errors.
fn cost(samples: &[Sample], logs: &Logs) -> f64 {
    samples.iter().map(|sample| residual(sample, logs).0.powi(2)).sum()
}

/// Relative error of a sample's time, and its derivatives by the logarithms of the parameters.
fn residual(sample: &Sample, logs: &Logs) -> (f64, Logs) {
    let [peak, bandwidth, p, floor] = logs.map(f64::exp);
    // All times are shares of the measured one.
    let compute = sample.ops / peak / sample.time;
    let memory = sample.bytes / bandwidth / sample.time;
    let floor = floor / sample.time;
    let larger = compute.max(memory);
    let powers = [(compute / larger).powf(p), (memory / larger).powf(p)];
    let sum = powers[0] + powers[1];
    let both = larger * sum.powf(1.0 / p);
    // The share of each in the p-norm is also the share of its parameter in the derivative.
    let shares = powers.map(|power| power / sum);
    let entropy: f64 = shares.iter().filter(|share| **share > 0.0).map(|share| share * share.ln()).sum();
    (both + floor - 1.0, [-both * shares[0], -both * shares[1], both * entropy / p, floor])
}

/// The normal equations of the linear picture around a place. A parameter that sits on its bound and is pushed outwards takes no part.
fn linearise(samples: &[Sample], logs: &Logs, bounds: &[(f64, f64); 4]) -> ([Logs; 4], Logs) {
    let mut normal = [[0.0; 4]; 4];
    let mut gradient = [0.0; 4];
    for sample in samples {
        let (error, slopes) = residual(sample, logs);
        for (row, &slope) in slopes.iter().enumerate() {
            gradient[row] += slope * error;
            for (column, &other) in slopes.iter().enumerate() {
                normal[row][column] += slope * other;
            }
        }
    }
    for (index, &(low, high)) in bounds.iter().enumerate() {
        let outwards = (logs[index] <= low && gradient[index] > 0.0) || (logs[index] >= high && gradient[index] < 0.0);
        if outwards {
            gradient[index] = 0.0;
            normal[index] = [0.0; 4];
            normal.iter_mut().for_each(|row| row[index] = 0.0);
        }
    }
    (normal, gradient)
}

/// Solves the damped normal equations by Gaussian elimination with pivots. None where the numbers ran away.
fn solve_damped(normal: &[Logs; 4], gradient: &Logs, damping: f64) -> Option<Logs> {
    let mut rows = [[0.0; 5]; 4];
    for index in 0..4 {
        rows[index][..4].copy_from_slice(&normal[index]);
        // The small constant keeps parameters that change nothing where they are.
        rows[index][index] += damping * normal[index][index] + 1e-12;
        rows[index][4] = gradient[index];
    }
    for column in 0..4 {
        let pivot = (column..4).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))?;
        rows.swap(column, pivot);
        let lead = rows[column];
        for row in rows.iter_mut().skip(column + 1) {
            let factor = row[column] / lead[column];
            for (value, lead) in row.iter_mut().zip(lead) {
                *value -= factor * lead;
            }
        }
    }
    let mut solution = [0.0; 4];
    for index in (0..4).rev() {
        let known: f64 = (index + 1..4).map(|other| rows[index][other] * solution[other]).sum();
        solution[index] = (rows[index][4] - known) / rows[index][index];
    }
    solution.iter().all(|value: &f64| value.is_finite()).then_some(solution)
}
