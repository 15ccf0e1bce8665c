//! What the sensors said, gathered over a run and over a sample. Nothing here asks a device.

use std::collections::{BTreeMap, BTreeSet};

use nvml_wrapper::bitmasks::device::ThrottleReasons;

use crate::backend::Glance;
use crate::facts::{GpuObserved, OtherProcesses, PcieLink, Reading, Restrained, Restraint, Restraints};

/// More bytes than any program holds: what drivers answer when they do not know.
const UNKNOWN: u64 = 1 << 48;

/// One look at the sensors, in the library's units: MHz, mW, °C, mJ.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    pub(super) clock: Option<u32>,
    pub(super) memory_clock: Option<u32>,
    pub(super) power: Option<u32>,
    pub(super) power_limit: Option<u32>,
    pub(super) temperature: Option<u32>,
    pub(super) reasons: Option<ThrottleReasons>,
    pub(super) generation: Option<u32>,
    pub(super) width: Option<u32>,
    pub(super) energy: Option<u64>,
}

/// A program that uses the device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    pub(super) id: u32,
    pub(super) memory: Option<u64>,
}

/// All programs but one.
pub(super) fn others(processes: &[Process], own: u32) -> OtherProcesses {
    let others = || processes.iter().filter(|process| process.id != own);
    let ids: BTreeSet<u32> = others().map(|process| process.id).collect();
    // A program that computes and draws is listed twice, with all its memory each time.
    let mut memory: BTreeMap<u32, u64> = BTreeMap::new();
    for (id, bytes) in others().filter_map(|process| Some((process.id, process.memory?))) {
        if bytes < UNKNOWN {
            let known = memory.entry(id).or_default();
            *known = bytes.max(*known);
        }
    }
    OtherProcesses { count: ids.len() as u32, memory: (!memory.is_empty()).then(|| memory.values().sum()) }
}

/// What the driver's reasons mean. Devices run at the clock that is set for applications also where that is the highest: only a lower one holds them down.
pub(super) fn restraints(reasons: ThrottleReasons, set_lower: bool) -> Restraints {
    use ThrottleReasons as Reason;
    let any = |of: Reason| reasons.intersects(of);
    let of = |restraint: Restraint| match restraint {
        Restraint::Power => any(Reason::SW_POWER_CAP),
        Restraint::Heat => any(Reason::SW_THERMAL_SLOWDOWN | Reason::HW_THERMAL_SLOWDOWN),
        Restraint::PowerBrake => any(Reason::HW_POWER_BRAKE_SLOWDOWN),
        // It is said together with the reason, where that is known.
        Restraint::Slowdown => {
            any(Reason::HW_SLOWDOWN) && !any(Reason::HW_THERMAL_SLOWDOWN | Reason::HW_POWER_BRAKE_SLOWDOWN)
        }
        Restraint::SyncBoost => any(Reason::SYNC_BOOST),
        Restraint::ApplicationClock => set_lower && any(Reason::APPLICATIONS_CLOCKS_SETTING),
    };
    Restraint::ALL.into_iter().filter(|&restraint| of(restraint)).collect()
}

/// How often each value was seen: as many entries as there are values, however long it goes on.
#[derive(Debug, Default)]
struct Histogram(BTreeMap<u32, u64>);

impl Histogram {
    fn add(&mut self, value: Option<u32>) {
        if let Some(value) = value {
            *self.0.entry(value).or_default() += 1;
        }
    }

    /// The values in another unit.
    fn reading(&self, unit: f64) -> Option<Reading> {
        let total: u64 = self.0.values().sum();
        let mut below = 0;
        let median = self.0.iter().find_map(|(&value, &count)| {
            below += count;
            (2 * below >= total).then_some(value)
        })?;
        let [low, high] = [*self.0.first_key_value()?.0, *self.0.last_key_value()?.0];
        let [low, median, high] = [low, median, high].map(|value| f64::from(value) * unit);
        Some(Reading { low, median, high })
    }
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub(super) struct Tally {
    looks: u64,
    clock: Histogram,
    memory_clock: Histogram,
    /// In W: steps that are fine enough, and few enough to be counted.
    power: Histogram,
    temperature: Histogram,
    /// Looks at which the driver gave reasons while there was work to do, and how many of them had each restraint.
    reasoned: u64,
    restrained: [u64; Restraint::ALL.len()],
    generation: Option<u32>,
    width: Option<u32>,
    /// The device's count at the first look and at the last.
    energy: Option<(u64, u64)>,
    /// What was seen since somebody asked.
    glance: Option<Glance>,
}

impl Tally {
    /// Adds a look.
    pub(super) fn add(&mut self, look: &Look, set_lower: bool) {
        self.looks += 1;
        self.temperature.add(look.temperature);
        self.generation = self.generation.max(look.generation);
        self.width = self.width.max(look.width);
        if let Some(energy) = look.energy {
            self.energy = Some((self.energy.map_or(energy, |(first, _)| first), energy));
        }
        // What a device does while it has nothing to do says nothing of what it can.
        if look.reasons.is_some_and(|reasons| reasons.intersects(ThrottleReasons::GPU_IDLE)) {
            return;
        }
        self.clock.add(look.clock);
        self.memory_clock.add(look.memory_clock);
        self.power.add(look.power.map(|milliwatts| milliwatts.saturating_add(500) / 1000));
        let Some(reasons) = look.reasons else { return };
        let held = restraints(reasons, set_lower);
        self.reasoned += 1;
        for (count, restraint) in self.restrained.iter_mut().zip(Restraint::ALL) {
            *count += u64::from(held.contains(restraint));
        }
        let watts = |milliwatts: Option<u32>| milliwatts.map(|milliwatts| f64::from(milliwatts) * 1e-3);
        let glance = Glance { restraints: held, power: watts(look.power), power_limit: watts(look.power_limit) };
        self.glance = Some(match self.glance {
            None => glance,
            Some(before) => Glance { restraints: before.restraints.and(held), ..glance },
        });
    }

    /// What was seen since this was asked last.
    pub(super) fn take_glance(&mut self) -> Option<Glance> {
        self.glance.take()
    }

    /// What was seen so far; nothing if nobody looked.
    pub(super) fn observed(&self) -> Option<GpuObserved> {
        if self.looks == 0 {
            return None;
        }
        let share = |count: u64| count as f64 / self.reasoned as f64;
        let restrained = self.restrained.iter().zip(Restraint::ALL).filter(|(count, _)| **count > 0);
        Some(GpuObserved {
            looks: self.looks,
            clock: self.clock.reading(1e6),
            memory_clock: self.memory_clock.reading(1e6),
            power: self.power.reading(1.0),
            temperature: self.temperature.reading(1.0),
            restraints: restrained.map(|(&count, by)| Restrained { by, share: share(count) }).collect(),
            link: self.generation.zip(self.width).map(|(generation, width)| PcieLink { generation, width }),
            // The count starts anew when the driver is loaded.
            energy: self.energy.and_then(|(first, last)| Some(last.checked_sub(first)? as f64 * 1e-3)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn busy(clock: u32, watts: u32, reasons: ThrottleReasons) -> Look {
        Look {
            clock: Some(clock),
            power: Some(watts * 1000),
            power_limit: Some(700_000),
            reasons: Some(reasons),
            ..Look::default()
        }
    }

    #[test]
    fn reasons_become_restraints() {
        use ThrottleReasons as Reason;
        let found = |reasons, set_lower| {
            let set = restraints(reasons, set_lower);
            Restraint::ALL.into_iter().filter(|&one| set.contains(one)).collect::<Vec<_>>()
        };
        assert_eq!(found(Reason::empty(), true), []);
        assert_eq!(found(Reason::GPU_IDLE | Reason::DISPLAY_CLOCK_SETTING, true), []);
        assert_eq!(found(Reason::SW_POWER_CAP, false), [Restraint::Power]);
        assert_eq!(found(Reason::SW_THERMAL_SLOWDOWN, false), [Restraint::Heat]);
        assert_eq!(found(Reason::HW_SLOWDOWN, false), [Restraint::Slowdown]);
        assert_eq!(found(Reason::HW_SLOWDOWN | Reason::HW_THERMAL_SLOWDOWN, false), [Restraint::Heat]);
        assert_eq!(found(Reason::HW_SLOWDOWN | Reason::HW_POWER_BRAKE_SLOWDOWN, false), [Restraint::PowerBrake]);
        assert_eq!(found(Reason::SYNC_BOOST | Reason::SW_POWER_CAP, false), [Restraint::Power, Restraint::SyncBoost]);
        assert_eq!(found(Reason::APPLICATIONS_CLOCKS_SETTING, true), [Restraint::ApplicationClock]);
        assert_eq!(found(Reason::APPLICATIONS_CLOCKS_SETTING, false), []);
    }

    #[test]
    fn looks_are_merged() {
        let mut tally = Tally::default();
        assert_eq!(tally.observed(), None);
        let idle = Look { temperature: Some(31), ..busy(345, 75, ThrottleReasons::GPU_IDLE) };
        let at = |energy, generation| Look { energy: Some(energy), generation: Some(generation), ..idle };
        tally.add(&Look { width: Some(16), ..at(1_000, 1) }, false);
        tally.add(&busy(1980, 400, ThrottleReasons::empty()), false);
        for clock in [1500, 1410, 1420] {
            tally.add(&busy(clock, 700, ThrottleReasons::SW_POWER_CAP), false);
        }
        tally.add(&Look { temperature: Some(64), width: Some(8), ..at(5_500, 5) }, false);
        let observed = tally.observed().unwrap();
        assert_eq!(observed.looks, 6);
        assert_eq!(observed.clock, Some(Reading { low: 1.41e9, median: 1.42e9, high: 1.98e9 }));
        assert_eq!(observed.memory_clock, None);
        assert_eq!(observed.power, Some(Reading { low: 400.0, median: 700.0, high: 700.0 }));
        assert_eq!(observed.temperature, Some(Reading { low: 31.0, median: 31.0, high: 64.0 }));
        assert_eq!(observed.restraints, [Restrained { by: Restraint::Power, share: 0.75 }]);
        assert_eq!(observed.link, Some(PcieLink { generation: 5, width: 16 }));
        assert_eq!(observed.energy, Some(4.5));
    }

    #[test]
    fn a_count_of_energy_that_starts_anew_says_nothing() {
        let mut tally = Tally::default();
        for energy in [1_000, 10] {
            tally.add(&Look { energy: Some(energy), ..Look::default() }, false);
        }
        assert_eq!(tally.observed().unwrap().energy, None);
    }

    #[test]
    fn answers_that_mean_nothing_do_no_harm() {
        let most = Some(u32::MAX);
        let look = Look {
            clock: most,
            memory_clock: most,
            power: most,
            power_limit: most,
            temperature: most,
            reasons: Some(ThrottleReasons::all()),
            generation: most,
            width: most,
            energy: Some(u64::MAX),
        };
        let mut tally = Tally::default();
        tally.add(&Look { reasons: Some(ThrottleReasons::NONE), ..look }, true);
        tally.add(&look, true);
        assert_eq!(tally.observed().unwrap().looks, 2);
    }

    #[test]
    fn a_glance_is_of_what_was_seen_since_the_last() {
        let mut tally = Tally::default();
        assert_eq!(tally.take_glance(), None);
        tally.add(&busy(1500, 690, ThrottleReasons::SW_POWER_CAP), false);
        tally.add(&busy(1500, 700, ThrottleReasons::SYNC_BOOST), false);
        let restraints = Restraints::from_iter([Restraint::Power, Restraint::SyncBoost]);
        let glance = Glance { restraints, power: Some(700.0), power_limit: Some(700.0) };
        assert_eq!(tally.take_glance(), Some(glance));
        assert_eq!(tally.take_glance(), None);
        tally.add(&busy(345, 75, ThrottleReasons::GPU_IDLE), false);
        tally.add(&Look::default(), false);
        assert_eq!(tally.take_glance(), None);
    }

    #[test]
    fn other_programs_are_counted_once_each() {
        let process = |id, memory| Process { id, memory };
        let listed = [process(7, Some(9)), process(8, Some(100)), process(8, Some(80)), process(9, None)];
        assert_eq!(others(&listed, 7), OtherProcesses { count: 2, memory: Some(100) });
        assert_eq!(others(&listed[..1], 7), OtherProcesses { count: 0, memory: None });
        assert_eq!(others(&[process(1, Some(u64::MAX))], 7), OtherProcesses { count: 1, memory: None });
    }

    proptest! {
        #[test]
        fn readings_are_those_of_the_sorted_values(mut values in prop::collection::vec(any::<u32>(), 1..40)) {
            let mut histogram = Histogram::default();
            values.iter().for_each(|&value| histogram.add(Some(value)));
            values.sort_unstable();
            let at = |index: usize| f64::from(values[index]);
            let (last, middle) = (values.len() - 1, (values.len() - 1) / 2);
            let reading = Reading { low: at(0), median: at(middle), high: at(last) };
            prop_assert_eq!(histogram.reading(1.0), Some(reading));
        }
    }
}
