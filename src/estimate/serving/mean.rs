//! Sums of the times of many steps from the times of few.

use std::ops::RangeInclusive;

use crate::graph::Step;
use crate::units::Seconds;

use super::error::in_words;
use super::{Request, ServingError, StepTimes, Untimed};

/// What a step may take, in seconds: outside of it, sums and rates would no longer be numbers.
const POSSIBLE: RangeInclusive<f64> = 1e-15..=1e12;

/// The time of a step, which must be a possible one.
pub(in crate::estimate) fn time(times: &impl StepTimes, step: &Step) -> Result<f64, ServingError> {
    let untimed = |reason| ServingError::Untimed { step: in_words(step), reason };
    let seconds = times.step(step).map_err(untimed)?.get();
    if POSSIBLE.contains(&seconds) {
        Ok(seconds)
    } else {
        Err(untimed(Untimed(format!("its time is {seconds} s; expected 1e-15 s to 1e12 s"))))
    }
}

/// The mean time of the decode steps of equal requests that go together, their contexts growing by a token each step.
/// None where a request has no decode step.
pub(crate) fn mean_decode(
    times: &impl StepTimes,
    batch: u64,
    request: &Request,
) -> Result<Option<Seconds>, ServingError> {
    let steps = request.decode_steps();
    if steps == 0 {
        return Ok(None);
    }
    let sum = sum(steps, |index| time(times, &Step::decode(batch, request.prompt + 1 + index)))?;
    Ok(Some(Seconds(sum / steps as f64)))
}

/// Up to so many terms are simply added.
const FEW: u64 = 9;
/// A sum is good once its error is estimated below this share of it.
const TOLERANCE: f64 = 1e-6;
/// So many stretches are enough for whatever bends: two evaluations each.
const MOST_STRETCHES: usize = 40;

/// Terms `from..to`, thought to be linear on either side of the middle.
struct Stretch {
    from: (u64, f64),
    middle: (u64, f64),
    to: (u64, f64),
}

/// The sum of `term(0) … term(terms − 1)`.
///
/// Linear stretches are summed exactly. Whichever stretch departs most from a line is halved, until what is left
/// changes nothing: exact up to a millionth for piecewise-linear terms with few corners. Two corners that undo each
/// other can hide where they are closer than the stretches to begin with are wide, and then matter little. Seven terms
/// are evaluated where all is linear, and never more than a hundred.
pub(crate) fn sum<E>(terms: u64, term: impl Fn(u64) -> Result<f64, E>) -> Result<f64, E> {
    if terms <= FEW {
        return (0..terms).map(term).sum();
    }
    // Unequal stretches to begin with: a curve that is symmetric about its middle still departs from a line in one of
    // them.
    let last = terms - 1;
    let cuts = [0, last * 2 / 7, last * 5 / 8, last];
    let values = cuts.iter().map(|&index| term(index)).collect::<Result<Vec<_>, E>>()?;
    let stretch = |from: (u64, f64), to: (u64, f64)| {
        let middle = from.0 + (to.0 - from.0) / 2;
        let at_middle = if middle == from.0 { from.1 } else { term(middle)? };
        Ok(Stretch { from, middle: (middle, at_middle), to })
    };
    let mut stretches = Vec::with_capacity(MOST_STRETCHES);
    for index in 0..3 {
        stretches.push(stretch((cuts[index], values[index]), (cuts[index + 1], values[index + 1]))?);
    }
    loop {
        let total = stretches.iter().map(Stretch::sum).sum::<f64>() + values[3];
        let error: f64 = stretches.iter().map(Stretch::error).sum();
        let worst = (0..stretches.len()).max_by(|&a, &b| stretches[a].error().total_cmp(&stretches[b].error()));
        let Some(worst) = worst.filter(|_| error > TOLERANCE * total && stretches.len() < MOST_STRETCHES) else {
            return Ok(total);
        };
        let Stretch { from, middle, to } = stretches.swap_remove(worst);
        stretches.push(stretch(from, middle)?);
        stretches.push(stretch(middle, to)?);
    }
}

/// The sum of a line's values at whole places, the last place not included.
fn line((from, first): (u64, f64), (to, last): (u64, f64)) -> f64 {
    let places = (to - from) as f64;
    if to == from { 0.0 } else { places * first + (last - first) * (places - 1.0) / 2.0 }
}

impl Stretch {
    fn sum(&self) -> f64 {
        line(self.from, self.middle) + line(self.middle, self.to)
    }

    fn error(&self) -> f64 {
        (self.sum() - line(self.from, self.to)).abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::Cell;

    /// The sum, the exact sum, and how many terms were evaluated.
    fn summed(terms: u64, term: impl Fn(u64) -> f64) -> (f64, f64, u64) {
        let evaluated = Cell::new(0);
        let counted = |index| {
            evaluated.set(evaluated.get() + 1);
            Ok::<f64, ()>(term(index))
        };
        (sum(terms, counted).unwrap(), (0..terms).map(&term).sum(), evaluated.get())
    }

    #[test]
    fn lines_are_exact_and_cheap() {
        for terms in [1, 2, 9, 10, 11, 1023, 100_000] {
            let (found, exact, evaluated) = summed(terms, |index| 0.01 + 1e-6 * index as f64);
            assert!((found / exact - 1.0).abs() < 1e-12, "{terms}");
            assert!(evaluated <= 9, "{evaluated} of {terms}");
        }
        assert_eq!(summed(0, |_| 1.0).0, 0.0);
        // More terms than could be visited.
        let sum = sum(1 << 40, |index| Ok::<f64, ()>(1.0 + index as f64)).unwrap();
        assert!((sum / (2.0_f64.powi(79) + 2.0_f64.powi(39)) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn curves_and_stairs_stay_cheap() {
        let (found, exact, evaluated) = summed(8000, |index| (1000.0 + index as f64).powf(0.8));
        assert!((found / exact - 1.0).abs() < 1e-5 && evaluated < 100, "{evaluated}");
        // A cache in blocks of 128 tokens: more corners than are looked for.
        let (found, exact, evaluated) = summed(32_000, |index| 1.0 + 0.001 * (index / 128) as f64);
        assert!((found / exact - 1.0).abs() < 1e-3 && evaluated < 100, "{found} {exact} {evaluated}");
    }

    proptest! {
        #[test]
        fn corners_are_found(
            terms in 10..20_000_u64, at in 0.0..1.0_f64, then in prop_oneof![Just(0.0), 0.0..1.0_f64], slopes in prop::array::uniform3(0.0..1e-3_f64),
        ) {
            let corners = [at * terms as f64, (at + then * (1.0 - at)) * terms as f64];
            let term = |index: u64| {
                let x = index as f64;
                let beyond = |corner: f64| (x - corner).max(0.0);
                1.0 + slopes[0] * x + (slopes[1] - slopes[0]) * beyond(corners[0]) + (slopes[2] - slopes[1]) * beyond(corners[1])
            };
            let (found, exact, evaluated) = summed(terms, term);
            // One corner cannot hide.
            let tolerance = if then == 0.0 { 1e-5 } else { 5e-3 };
            prop_assert!((found / exact - 1.0).abs() < tolerance, "{} {}", found, exact);
            prop_assert!(evaluated < 100);
        }
    }
}
