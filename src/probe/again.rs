//! Second visits: what is measured again minutes later, and what of two visits counts.

use std::collections::BTreeMap;

use super::effort::Settings;
use super::measure::{Measurement, THROTTLED, is_crowded};
use crate::backend::CycleLimit;
use crate::facts::Restraints;
use crate::resource::Key;
use crate::units::{Hertz, Seconds};
use crate::workload::{Spot, Workload};

/// A workload that was measured.
pub(super) struct Visit {
    pub(super) key: Key,
    pub(super) settings: Settings,
    pub(super) workload: Workload,
    pub(super) measurement: Measurement,
    pub(super) variant: String,
    pub(super) limit: Option<CycleLimit>,
}

impl Visit {
    /// Whether it was made under worse conditions than others: with few undisturbed samples, or at a clock below the highest, for no reason that sensors tell. One that they do tell,
    /// such as a limit on power, would be there again.
    fn is_doubtful(&self, highest: &BTreeMap<u32, Hertz>) -> bool {
        let highest = highest.get(&self.workload.lanes);
        let slow =
            self.measurement.clock().zip(highest).is_some_and(|(clock, best)| clock.get() < THROTTLED * best.get());
        let explained = self.measurement.glances.iter().any(|glance| glance.restraints != Restraints::default());
        is_crowded(self.measurement.clean.len(), self.measurement.total()) || (slow && !explained)
    }
}

/// The highest clock of visits, by how many lanes worked: one core alone may well run faster than all together.
pub(super) fn highest_clocks(clocks: impl Iterator<Item = (u32, Hertz)>) -> BTreeMap<u32, Hertz> {
    let mut highest: BTreeMap<u32, Hertz> = BTreeMap::new();
    for (lanes, clock) in clocks {
        let known = highest.entry(lanes).or_insert(clock);
        *known = if clock.get() > known.get() { clock } else { *known };
    }
    highest
}

/// Second visits beside those of what stands for a ceiling take this share of the time that all steps were meant to take, at most…
const DOUBTS: f64 = 0.1;
/// …and this one on a restless machine: one on which so many of those ceilings did not come back.
const RESTLESS: f64 = 0.3;
const OFTEN: f64 = 0.25;

/// The visits of what stands for a ceiling.
pub(super) fn representative(visits: &[Visit], representatives: &[(Key, Spot)]) -> Vec<usize> {
    let stands = |&index: &usize| representatives.contains(&(visits[index].key, visits[index].workload.spot()));
    (0..visits.len()).filter(stands).collect()
}

/// What is visited a second time after what stands for a ceiling: whatever is in doubt. On a restless machine that is everything, because a point that was visited once may be of any of its moods.
/// The most doubtful come first. With them, how much time there is.
pub(super) fn doubtful(visits: &[Visit], done: &[usize], planned: Seconds) -> (Vec<usize>, Seconds) {
    let changed = done.iter().filter(|&&index| visits[index].measurement.came_back() == Some(false)).count();
    let restless = changed as f64 > OFTEN * done.len() as f64;
    let clocks = visits.iter().filter_map(|visit| Some((visit.workload.lanes, visit.measurement.clock()?)));
    let highest = highest_clocks(clocks);
    let others = (0..visits.len()).filter(|index| !done.contains(index));
    let (first, then): (Vec<usize>, Vec<usize>) = others.partition(|&index| visits[index].is_doubtful(&highest));
    let then = then.into_iter().filter(|_| restless);
    (first.into_iter().chain(then).collect(), planned * if restless { RESTLESS } else { DOUBTS })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Implementer;
    use crate::profile::{Effort, Stop};
    use crate::resource::{Access, Scope, StreamOp};
    use crate::workload::Kind;

    /// A visit of some elements at a clock, whose two medians are given where it was made twice.
    fn visit(elements: u64, clock: f64, visits: &[f64]) -> Visit {
        let kind = Kind::Stream { access: Access::plain(StreamOp::Read), elements, parts: 1 };
        let measurement = Measurement {
            variant: 0,
            by: Implementer::Open,
            devices: None,
            beside: None,
            iterations: 1,
            clean: vec![1.0; 20],
            disturbed: Vec::new(),
            untimed: 0,
            visits: visits.to_vec(),
            clocks: vec![Hertz(clock)],
            glances: Vec::new(),
            stop: Stop::Goal,
            linearity: None,
            steady: None,
        };
        Visit {
            key: Key { resource: "memory.read".parse().unwrap(), scope: Scope::Device },
            settings: Settings::of(Effort::Normal),
            workload: Workload { kind, lanes: 1 },
            measurement,
            variant: String::new(),
            limit: None,
        }
    }

    #[test]
    fn what_is_in_doubt_comes_first_and_on_a_restless_machine_everything() {
        let visits = |second: f64| vec![visit(1, 2e9, &[]), visit(2, 1e9, &[]), visit(3, 2e9, &[1.0, second])];
        let stands = |visits: &[Visit]| vec![(visits[2].key, visits[2].workload.spot())];
        let calm = visits(1.01);
        let done = representative(&calm, &stands(&calm));
        assert_eq!(done, [2]);
        let hundred = Seconds(100.0);
        assert_eq!(doubtful(&calm, &done, hundred), (vec![1], hundred * DOUBTS));
        assert_eq!(doubtful(&visits(1.3), &done, hundred), (vec![1, 0], hundred * RESTLESS));
    }
}
