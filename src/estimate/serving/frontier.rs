//! Throughput against latency: the choices that no other one beats in both.

use schemars::JsonSchema;
use serde::Serialize;

use super::Metrics;

/// A number of clients and what it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FrontierPoint {
    /// Clients, each with a request under way; all of them run.
    pub concurrency: u64,
    /// What they see.
    pub metrics: Metrics,
}

/// Numbers of clients from 1 to the most, two for each doubling: 1, 2, 3, 4, 6, 8, 12 … and the most.
#[must_use]
pub fn concurrencies(most: u64) -> Vec<u64> {
    let steps = (0..u64::BITS).flat_map(|power| [1_u64 << power, (1_u64 << power).saturating_add(1_u64 << power >> 1)]);
    let mut found: Vec<u64> = steps.skip_while(|&step| step < 1).take_while(|&step| step < most).collect();
    found.push(most);
    found.dedup();
    found.retain(|&step| step > 0);
    found
}

/// The frontier of throughput per device against throughput per user, over concurrency from 1 to what is admitted.
///
/// # Errors
/// Those of the closed loops.
pub fn frontier<E>(admitted: u64, closed_loop: impl Fn(u64) -> Result<Metrics, E>) -> Result<Vec<FrontierPoint>, E> {
    let at = |concurrency| Ok(FrontierPoint { concurrency, metrics: closed_loop(concurrency)? });
    let all = concurrencies(admitted.max(1)).into_iter().map(at).collect::<Result<Vec<_>, E>>()?;
    Ok(pareto(all, |point| (point.metrics.throughput_per_device, point.metrics.throughput_per_user)))
}

/// The items that no other one equals or exceeds in both values and exceeds in one; of equal items, the first. They
/// keep their order.
pub fn pareto<T>(items: Vec<T>, values: impl Fn(&T) -> (f64, f64)) -> Vec<T> {
    let all: Vec<(f64, f64)> = items.iter().map(&values).collect();
    let mut order: Vec<usize> = (0..all.len()).collect();
    // The largest first value first, then the largest second: whoever comes later must exceed the second value of all
    // before.
    order.sort_by(|&a, &b| all[b].0.total_cmp(&all[a].0).then(all[b].1.total_cmp(&all[a].1)).then(a.cmp(&b)));
    let mut best = f64::NEG_INFINITY;
    let mut keep = vec![false; all.len()];
    for index in order {
        if all[index].1 > best {
            best = all[index].1;
            keep[index] = true;
        }
    }
    items.into_iter().zip(keep).filter_map(|(item, keep)| keep.then_some(item)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::serving::synthetic::Roofline;
    use crate::estimate::serving::{ClosedLoop, Engine, Request, closed_loop};
    use proptest::prelude::*;

    #[test]
    fn concurrencies_rise_to_the_most() {
        assert_eq!(concurrencies(1), [1]);
        assert_eq!(concurrencies(13), [1, 2, 3, 4, 6, 8, 12, 13]);
        assert_eq!(concurrencies(8), [1, 2, 3, 4, 6, 8]);
        assert_eq!(concurrencies(u64::MAX).last(), Some(&u64::MAX));
        assert!(concurrencies(u64::MAX).is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn more_throughput_costs_each_user_speed() {
        let engine = Engine { max_batch: 300, ..Engine::default() };
        let request = Request { prompt: 1000, output: 200 };
        let at =
            |concurrency| closed_loop(&Roofline::SMALL, &engine, &request, &ClosedLoop { concurrency, requests: None });
        let points = frontier(engine.admitted(), at).unwrap();
        assert!(points.len() > 5 && points[0].concurrency == 1);
        for pair in points.windows(2) {
            assert!(pair[1].metrics.throughput_per_device > pair[0].metrics.throughput_per_device);
            assert!(pair[1].metrics.throughput_per_user < pair[0].metrics.throughput_per_user);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_left_out_is_beaten_and_nothing_that_is_kept(
            points in prop::collection::vec((0..20_u8, 0..20_u8), 0..40),
        ) {
            let points: Vec<(f64, f64)> = points.into_iter().map(|(a, b)| (f64::from(a), f64::from(b))).collect();
            let kept = pareto(points.clone(), |&point| point);
            let beats = |a: &(f64, f64), b: &(f64, f64)| a.0 >= b.0 && a.1 >= b.1;
            for (index, point) in kept.iter().enumerate() {
                prop_assert!(kept.iter().enumerate().all(|(other, by)| other == index || !beats(by, point)));
            }
            prop_assert!(points.iter().all(|point| kept.iter().any(|by| beats(by, point))));
        }
    }
}
