//! The best of some candidates under requirements, and why each of the others is not.

mod last;
mod requirement;

pub use last::{last, try_last};
pub use requirement::{Aspect, ParseRequirementError, Requirement, Statistic, parse_requirements};

use super::serving::Metrics;

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<C, R> {
    /// The candidate with the most throughput per device of those that meet every requirement; of equal ones, the
    /// first.
    pub best: Option<(C, Metrics)>,
    /// All others, in the order they came.
    pub rejected: Vec<(C, Rejection<R>)>,
}

/// Why a candidate is not the one.
#[derive(Clone, Debug, PartialEq)]
pub enum Rejection<R> {
    /// It cannot be served at all.
    Impossible(R),
    /// It misses requirements.
    Missed {
        /// What it comes to.
        metrics: Metrics,
        /// Each requirement missed, with the value instead; none where there is no such value.
        missed: Vec<(Requirement, Option<f64>)>,
    },
    /// It meets every requirement, and another has more throughput per device.
    Slower {
        /// What it comes to.
        metrics: Metrics,
    },
}

/// Evaluates every candidate and chooses.
pub fn search<C, R>(
    candidates: impl IntoIterator<Item = C>,
    requirements: &[Requirement],
    mut evaluate: impl FnMut(&C) -> Result<Metrics, R>,
) -> Found<C, R> {
    let judge = |candidate: C| {
        let verdict = match evaluate(&candidate) {
            Err(reason) => Rejection::Impossible(reason),
            Ok(metrics) => {
                let missed = requirements.iter().filter(|requirement| !requirement.is_met(&metrics));
                let missed: Vec<_> = missed.map(|&requirement| (requirement, requirement.value(&metrics))).collect();
                if missed.is_empty() { Rejection::Slower { metrics } } else { Rejection::Missed { metrics, missed } }
            }
        };
        (candidate, verdict)
    };
    let mut rejected: Vec<(C, Rejection<R>)> = candidates.into_iter().map(judge).collect();
    let speed = |index: usize| match &rejected[index].1 {
        Rejection::Slower { metrics } => Some(metrics.throughput_per_device),
        Rejection::Impossible(_) | Rejection::Missed { .. } => None,
    };
    let mut best: Option<(usize, f64)> = None;
    for index in 0..rejected.len() {
        if let Some(speed) = speed(index)
            && best.is_none_or(|(_, most)| speed > most)
        {
            best = Some((index, speed));
        }
    }
    let best = best.and_then(|(index, _)| match rejected.remove(index) {
        (candidate, Rejection::Slower { metrics }) => Some((candidate, metrics)),
        _ => None,
    });
    Found { best, rejected }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::serving::synthetic::Roofline;
    use crate::estimate::serving::{ClosedLoop, Engine, Request, ServingError, closed_loop, concurrencies};

    /// A layout and a number of clients.
    type Candidate = (u64, u64);

    fn served(&(devices, concurrency): &Candidate) -> Result<Metrics, ServingError> {
        let engine = Engine { devices, max_batch: 64 * devices, ..Engine::default() };
        // Devices share the work, and a part of it is done by each.
        let device = Roofline::SMALL.slower(0.2 + 0.8 / devices as f64);
        let clients = ClosedLoop { concurrency, requests: None };
        closed_loop(&device, &engine, &Request { prompt: 500, output: 200 }, &clients)
    }

    fn candidates() -> Vec<Candidate> {
        [1, 2, 4].into_iter().flat_map(|devices| concurrencies(128).into_iter().map(move |c| (devices, c))).collect()
    }

    #[test]
    fn the_best_meets_all_and_every_other_one_has_a_reason() {
        let requirements = parse_requirements("ttft<50ms,tpot<5ms").unwrap();
        let found = search(candidates(), &requirements, served);
        let (candidate, metrics) = found.best.unwrap();
        assert!(metrics.ttft.mean.get() < 0.05 && metrics.tpot.unwrap().get() < 0.005);
        assert_eq!(found.rejected.len() + 1, candidates().len());
        for (other, why) in &found.rejected {
            assert_ne!(*other, candidate);
            match why {
                Rejection::Impossible(reason) => panic!("{other:?}: {reason}"),
                Rejection::Missed { missed, .. } => {
                    assert!(!missed.is_empty());
                    for (requirement, value) in missed {
                        assert!(value.unwrap() >= requirement.bound());
                    }
                }
                Rejection::Slower { metrics: slower } => {
                    assert!(slower.throughput_per_device <= metrics.throughput_per_device);
                }
            }
        }
        let reasons =
            |is: fn(&Rejection<ServingError>) -> bool| found.rejected.iter().filter(|(_, why)| is(why)).count();
        assert!(reasons(|why| matches!(why, Rejection::Missed { .. })) > 3);
        assert!(reasons(|why| matches!(why, Rejection::Slower { .. })) > 3);
    }

    #[test]
    fn a_tighter_requirement_never_finds_more() {
        let mut last = f64::INFINITY;
        for bound in ["50ms", "20ms", "10ms", "7ms", "5ms", "4.5ms", "1ms"] {
            let requirements = parse_requirements(&format!("tpot<{bound}")).unwrap();
            let best = search(candidates(), &requirements, served).best;
            let speed = best.map_or(0.0, |(_, metrics)| metrics.throughput_per_device);
            assert!(speed <= last, "{bound}");
            last = speed;
        }
        assert_eq!(last, 0.0);
    }

    #[test]
    fn what_is_impossible_says_why() {
        let found = search([(0, 1), (1, 0), (1, 1)], &[], served);
        assert_eq!(found.best.map(|(candidate, _)| candidate), Some((1, 1)));
        let reasons: Vec<String> = found
            .rejected
            .iter()
            .map(|(_, why)| match why {
                Rejection::Impossible(reason) => reason.to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(reasons[0], "`max_batch` is 0; expected 1 to 1048576");
        assert_eq!(reasons[1], "`concurrency` is 0; expected 1 to 1048576");
        assert!(search(Vec::<Candidate>::new(), &[], served).best.is_none());
    }
}
