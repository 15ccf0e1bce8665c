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

/// The visits that are made a second time: first whatever stands for a ceiling, then what is in doubt, as far as a time for doubts goes.
pub(super) fn chosen(visits: &[Visit], representatives: &[(Key, Spot)], doubts: Seconds) -> Vec<usize> {
    let (first, others): (Vec<usize>, Vec<usize>) = (0..visits.len())
        .partition(|&index| representatives.contains(&(visits[index].key, visits[index].workload.spot())));
    let clocks = visits.iter().filter_map(|visit| Some((visit.workload.lanes, visit.measurement.clock()?)));
    let highest = highest_clocks(clocks);
    let mut spent = Seconds(0.0);
    let doubtful = others.into_iter().filter(|&index| visits[index].is_doubtful(&highest)).take_while(|&index| {
        spent = spent + visits[index].settings.typical(1);
        spent <= doubts
    });
    first.into_iter().chain(doubtful).collect()
}
