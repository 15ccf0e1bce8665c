//! Levels of the memory hierarchy, found in a curve. What a machine states about its caches only names them: a guest of a virtual
//! machine often gets a smaller share than it is told.

use crate::resource::MemoryLevel;

/// A level that the curve may show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Its name.
    pub level: MemoryLevel,
    /// Bytes it is said to hold; infinite for main memory.
    pub capacity: f64,
}

/// A stretch of the curve that belongs to one level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plateau {
    /// The level it is taken for.
    pub level: MemoryLevel,
    /// Index of its first point.
    pub first: usize,
    /// Index of its last point.
    pub last: usize,
    /// Index of the point that stands for it: the middle of the stretch; for main memory the largest working set.
    pub representative: usize,
}

/// A level is looked for from an eighth of its stated capacity, which may be all that a guest is given…
const LEAST_SHARE: f64 = 1.0 / 8.0;
/// …to twice of it, where even a cache that keeps part of a larger working set has no effect left.
const MOST_SHARE: f64 = 2.0;
/// The edge of a level is where the curve changes most from one point to the next, if it changes by this much at all.
const LEAST_STEP: f64 = 1.04;

/// Splits a curve (place, value in ascending order of place) at the edges of the levels. Levels are given nearest first; the last is main
/// memory. A level without an edge of its own has no plateau: its stretch goes to the level before it, or to main memory.
#[must_use]
pub fn plateaus(curve: &[(f64, f64)], levels: &[Level]) -> Vec<Plateau> {
    let usable = |&(place, value): &(f64, f64)| place > 0.0 && value > 0.0 && place.is_finite() && value.is_finite();
    let (Some(memory), true) = (levels.last(), curve.iter().all(usable)) else { return Vec::new() };
    let mut found: Vec<(MemoryLevel, usize, usize)> = Vec::new();
    let mut first = 0;
    // The level that the stretch from `first` on belongs to, until an edge ends it.
    let mut current = None;
    for level in levels.iter().filter(|level| level.capacity.is_finite()) {
        current = current.or(Some(level.level));
        if let (Some(last), Some(name)) = (edge(curve, first, level.capacity), current) {
            found.push((name, first, last));
            first = last + 1;
            current = None;
        }
    }
    if first < curve.len() {
        found.push((memory.level, first, curve.len() - 1));
    }
    let plateau = |(level, first, last)| Plateau {
        level,
        first,
        last,
        representative: representative(level, curve, first, last),
    };
    found.into_iter().map(plateau).collect()
}

/// The last point before a level's edge, if there is one at or after the point `first`.
fn edge(curve: &[(f64, f64)], first: usize, capacity: f64) -> Option<usize> {
    let in_reach = |&index: &usize| (LEAST_SHARE * capacity..=MOST_SHARE * capacity).contains(&curve[index].0);
    let step = |index: usize| (curve[index + 1].1 / curve[index].1).ln().abs();
    let steepest =
        (first..curve.len().saturating_sub(1)).filter(in_reach).max_by(|&a, &b| step(a).total_cmp(&step(b)))?;
    (step(steepest) > LEAST_STEP.ln()).then_some(steepest)
}

/// The point that stands for a stretch: for main memory the last; else the one nearest to its middle, on the scale of octaves.
pub(super) fn representative(level: MemoryLevel, curve: &[(f64, f64)], first: usize, last: usize) -> usize {
    if level == MemoryLevel::Dram {
        return last;
    }
    let middle = (curve[first].0.ln() + curve[last].0.ln()) / 2.0;
    let distance = |&index: &usize| (curve[index].0.ln() - middle).abs();
    // Of two that are equally near, the larger: it has less of the loop's beginning and end in it.
    (first..=last).rev().min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KI: f64 = 1024.0;
    const MI: f64 = 1024.0 * KI;

    fn levels() -> Vec<Level> {
        [
            (MemoryLevel::L1, 32.0 * KI),
            (MemoryLevel::L2, MI),
            (MemoryLevel::L3, 32.0 * MI),
            (MemoryLevel::Dram, f64::INFINITY),
        ]
        .map(|(level, capacity)| Level { level, capacity })
        .to_vec()
    }

    fn curve(speed: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        (0..16).map(|step| 10.0 * KI * f64::powi(2.0, step)).map(|place| (place, speed(place))).collect()
    }

    fn named(curve: &[(f64, f64)]) -> Vec<(MemoryLevel, f64)> {
        plateaus(curve, &levels()).iter().map(|p| (p.level, curve[p.representative].1)).collect()
    }

    #[test]
    fn four_clear_levels() {
        let speed = |place: f64| match place {
            p if p <= 32.0 * KI => 215.0,
            p if p <= MI => 115.0,
            p if p <= 32.0 * MI => 95.0,
            _ => 35.0,
        };
        assert_eq!(
            named(&curve(speed)),
            [(MemoryLevel::L1, 215.0), (MemoryLevel::L2, 115.0), (MemoryLevel::L3, 95.0), (MemoryLevel::Dram, 35.0)]
        );
    }

    #[test]
    fn a_guest_with_a_small_share_of_the_l3_and_a_soft_edge() {
        // Latencies seen on a machine that states 32 MiB of L3.
        let latency = |place: f64| match place {
            p if p <= 32.0 * KI => 1.0,
            p if p <= 700.0 * KI => 3.6,
            p if p <= 5.0 * MI => 12.5,
            p if p <= 12.0 * MI => 60.0,
            p if p <= 50.0 * MI => 120.0,
            _ => 150.0,
        };
        assert_eq!(
            named(&curve(latency)),
            [(MemoryLevel::L1, 1.0), (MemoryLevel::L2, 3.6), (MemoryLevel::L3, 12.5), (MemoryLevel::Dram, 150.0)]
        );
    }

    #[test]
    fn a_guest_whose_main_memory_changes_while_it_is_measured() {
        // Bandwidths seen on two cores of a shared machine: caches hold still, main memory does not.
        let places =
            [20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10240, 20480, 40960, 81920, 163_840, 327_680, 524_288];
        let speeds = [430., 428., 244., 235., 235., 235., 222., 197., 196., 195., 178., 115., 55., 38., 38., 65.];
        let curve: Vec<(f64, f64)> =
            places.iter().zip(speeds).map(|(&kib, speed)| (f64::from(kib) * KI, speed)).collect();
        let two_lanes: Vec<Level> = levels()
            .into_iter()
            .map(|level| Level {
                capacity: if level.level < MemoryLevel::L3 { 2.0 } else { 1.0 } * level.capacity,
                ..level
            })
            .collect();
        let found: Vec<(MemoryLevel, f64)> =
            plateaus(&curve, &two_lanes).iter().map(|p| (p.level, curve[p.representative].1)).collect();
        assert_eq!(
            found,
            [(MemoryLevel::L1, 428.0), (MemoryLevel::L2, 235.0), (MemoryLevel::L3, 195.0), (MemoryLevel::Dram, 65.0)]
        );
    }

    #[test]
    fn levels_without_a_plateau_of_their_own_are_missing() {
        let speed = |place: f64| if place <= 32.0 * KI { 200.0 } else { 40.0 };
        let found: Vec<MemoryLevel> = named(&curve(speed)).into_iter().map(|(level, _)| level).collect();
        assert_eq!(found, [MemoryLevel::L1, MemoryLevel::Dram]);
        let flat: Vec<MemoryLevel> = named(&curve(|_| 28.5)).into_iter().map(|(level, _)| level).collect();
        assert_eq!(flat, [MemoryLevel::Dram]);
    }

    #[test]
    fn a_single_far_point_is_main_memory() {
        assert_eq!(named(&[(512.0 * MI, 38.0)]), [(MemoryLevel::Dram, 38.0)]);
        assert_eq!(plateaus(&[], &levels()), []);
        assert_eq!(plateaus(&[(1.0, f64::NAN)], &levels()), []);
    }

    proptest! {
        #[test]
        fn plateaus_tile_the_curve_in_order(values in prop::collection::vec(1e-3..1e3_f64, 1..24), scale in 1.0..1e6_f64) {
            let curve: Vec<(f64, f64)> =
                values.iter().enumerate().map(|(i, &v)| (scale * f64::powi(1.7, i as i32 + 1), v)).collect();
            let found = plateaus(&curve, &levels());
            prop_assert!(!found.is_empty());
            prop_assert_eq!(found[0].first, 0);
            prop_assert_eq!(found[found.len() - 1].last, curve.len() - 1);
            for pair in found.windows(2) {
                prop_assert_eq!(pair[0].last + 1, pair[1].first);
                prop_assert!(pair[0].level < pair[1].level);
            }
            for p in &found {
                prop_assert!(p.first <= p.representative && p.representative <= p.last);
            }
        }
    }
}
