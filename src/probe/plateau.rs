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

/// A stretch of the curve with one speed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plateau {
    /// The level it is taken for.
    pub level: MemoryLevel,
    /// Index of its first point.
    pub first: usize,
    /// Index of its last point.
    pub last: usize,
    /// Index of the point that stands for it: the median of its values; for main memory the largest working set.
    pub representative: usize,
}

/// What one more plateau must explain, as a sum of squared differences of logarithms. Two plateaus of two points each that differ by a
/// quarter explain 0.05.
const COST_OF_A_PLATEAU: f64 = 0.03;

/// Splits a curve (place, value in ascending order of place) into as many plateaus as pay for themselves, at most one for each level, and
/// names them. Levels are given nearest first; the last is main memory.
#[must_use]
pub fn plateaus(curve: &[(f64, f64)], levels: &[Level]) -> Vec<Plateau> {
    let usable =
        curve.iter().all(|&(place, value)| place > 0.0 && value > 0.0 && place.is_finite() && value.is_finite());
    if curve.is_empty() || levels.is_empty() || !usable {
        return Vec::new();
    }
    let logs: Vec<f64> = curve.iter().map(|(_, value)| value.ln()).collect();
    let segments = segment(&logs, levels.len());
    let names = name(curve, &segments, levels);
    segments
        .iter()
        .zip(names)
        .map(|(&(first, last), level)| Plateau {
            level,
            first,
            last,
            representative: representative(level, curve, first, last),
        })
        .collect()
}

/// The point that stands for a stretch of the curve: for main memory the last, else the (lower) median of the values.
pub(super) fn representative(level: MemoryLevel, curve: &[(f64, f64)], first: usize, last: usize) -> usize {
    if level == MemoryLevel::Dram {
        return last;
    }
    let mut order: Vec<usize> = (first..=last).collect();
    order.sort_by(|&a, &b| curve[a].1.total_cmp(&curve[b].1));
    order[(order.len() - 1) / 2]
}

/// The best division into at most `most` stretches, by dynamic programming over their ends.
fn segment(values: &[f64], most: usize) -> Vec<(usize, usize)> {
    let n = values.len();
    // best[k][end]: least cost of the first `end` values in k + 1 stretches, and where the last of them starts.
    let mut best = vec![vec![(f64::INFINITY, 0_usize); n + 1]; most];
    for end in 1..=n {
        best[0][end] = (scatter(&values[..end]), 0);
    }
    for count in 1..most {
        for end in count + 1..=n {
            let candidates = (count..end).map(|start| (best[count - 1][start].0 + scatter(&values[start..end]), start));
            if let Some(least) = candidates.min_by(|a, b| a.0.total_cmp(&b.0)) {
                best[count][end] = least;
            }
        }
    }
    let cost = |count: usize| best[count][n].0 + count as f64 * COST_OF_A_PLATEAU;
    let count = (0..most).min_by(|&a, &b| cost(a).total_cmp(&cost(b))).unwrap_or(0);
    let mut segments = Vec::new();
    let mut end = n;
    for count in (0..=count).rev() {
        let start = best[count][end].1;
        segments.push((start, end - 1));
        end = start;
    }
    segments.reverse();
    segments
}

/// Squared differences from the middle value, which transitions between plateaus do not pull along.
fn scatter(values: &[f64]) -> f64 {
    let Some(middle) = crate::stats::median(values) else { return 0.0 };
    values.iter().map(|value| (value - middle).powi(2)).sum()
}

/// Gives stretches their levels, in order: the assignment with the least distance (in octaves) between a stretch and the working sets
/// the level is said to serve. A last stretch that reaches beyond twice the last cache is main memory.
fn name(curve: &[(f64, f64)], segments: &[(usize, usize)], levels: &[Level]) -> Vec<MemoryLevel> {
    let center = |&(first, last): &(usize, usize)| ((curve[first].0.ln()) + (curve[last].0.ln())) / 2.0;
    let smallest = curve[0].0;
    let home = |index: usize| {
        let below = if index == 0 { smallest } else { levels[index - 1].capacity.max(smallest) };
        let above = if levels[index].capacity.is_finite() { levels[index].capacity } else { below * 16.0 };
        (below.ln() + above.max(below).ln()) / 2.0
    };
    let caches_end = levels.iter().map(|level| level.capacity).filter(|bytes| bytes.is_finite()).fold(0.0, f64::max);
    let reaches_memory = curve.last().is_some_and(|(place, _)| *place > 2.0 * caches_end);
    let mut best: Option<(f64, Vec<usize>)> = None;
    for choice in choices(levels.len(), segments.len()) {
        if reaches_memory && choice.last() != Some(&(levels.len() - 1)) {
            continue;
        }
        let distance =
            segments.iter().zip(&choice).map(|(segment, &level)| (center(segment) - home(level)).abs()).sum();
        if best.as_ref().is_none_or(|(least, _)| distance < *least) {
            best = Some((distance, choice));
        }
    }
    best.map_or_else(Vec::new, |(_, choice)| choice.into_iter().map(|index| levels[index].level).collect())
}

/// All ways to pick `count` of `total` indices, in ascending order.
fn choices(total: usize, count: usize) -> Vec<Vec<usize>> {
    (0_u32..1 << total)
        .filter(|mask| mask.count_ones() as usize == count)
        .map(|mask| (0..total).filter(|index| mask >> index & 1 == 1).collect())
        .collect()
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
        let found = named(&curve(latency));
        assert_eq!(found.iter().map(|(level, _)| *level).collect::<Vec<_>>(), MemoryLevel::ALL);
        assert_eq!(found[2].1, 12.5);
        assert_eq!(found[3].1, 150.0);
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
