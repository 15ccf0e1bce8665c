//! What a GPU's settings and sensors come to, in a line.

use crate::facts::{GpuConditions, GpuObserved, GpuVirtualisation, OtherProcesses, PcieLink, Reading};
use crate::units::{Hertz, Unit, human, percent};

/// Settings, and what the sensors said: at work where that was seen, else at the beginning. Empty where nothing is known.
#[must_use]
pub fn gpu(conditions: Option<&GpuConditions>, observed: Option<&GpuObserved>) -> String {
    let mut facts = Vec::new();
    let at_work = |of: fn(&GpuObserved) -> Option<Reading>| observed.and_then(of);
    let before = |of: fn(&GpuConditions) -> Option<f64>| conditions.and_then(of);
    let limit = before(|gpu| gpu.power_limit).map_or(String::new(), |limit| format!(" of {limit:.0}"));
    let power =
        at_work(|gpu| gpu.power).map(whole).or_else(|| before(|gpu| gpu.power).map(|power| format!("{power:.0}")));
    facts.extend(power.map(|power| format!("{power}{limit} W")));
    let degrees = at_work(|gpu| gpu.temperature).map(whole);
    let degrees = degrees.or_else(|| before(|gpu| gpu.temperature).map(|temperature| format!("{temperature:.0}")));
    facts.extend(degrees.map(|degrees| format!("{degrees} °C")));
    let clock =
        at_work(|gpu| gpu.clock).map(|clock| range(&Hertz(clock.low).to_string(), &Hertz(clock.high).to_string()));
    let highest = conditions.and_then(|gpu| gpu.highest_clock);
    facts.extend(match (clock, highest) {
        (Some(clock), _) => Some(clock),
        (None, Some(highest)) => Some(format!("at most {highest}")),
        (None, None) => None,
    });
    let link = observed.and_then(|gpu| gpu.link).or_else(|| conditions.and_then(|gpu| gpu.highest_link));
    facts.extend(link.map(pcie));
    if let Some(gpu) = conditions {
        facts.extend(gpu.ecc.map(|ecc| if ecc { "ECC" } else { "no ECC" }.to_owned()));
        facts.extend(gpu.mig.filter(|&mig| mig).map(|_| "MIG".to_owned()));
        facts.extend(gpu.virtualisation.and_then(shared).map(str::to_owned));
        facts.extend(gpu.others.and_then(others));
        facts.extend(gpu.driver.as_ref().map(|driver| format!("driver {driver}")));
    }
    if let Some(gpu) = observed {
        facts.extend(gpu.energy.filter(|&energy| energy > 0.0).map(joules));
        let restraints = gpu.restraints.iter().filter(|restrained| restrained.share >= WORTH_A_WORD);
        facts.extend(
            restraints.map(|held| format!("limited by {} {} of the time", held.by.words(), percent(held.share))),
        );
    }
    facts.join(" · ")
}

/// A PCIe link as people write it.
pub(super) fn pcie(link: PcieLink) -> String {
    format!("PCIe {} ×{}", link.generation, link.width)
}

/// Other programs that use the device, if there are any.
pub(super) fn others(others: OtherProcesses) -> Option<String> {
    let memory = others.memory.filter(|&bytes| bytes > 0);
    let memory = memory.map_or(String::new(), |bytes| format!(" with {}", human(bytes as f64, Unit::Byte)));
    match others.count {
        0 => None,
        1 => Some(format!("used by another program{memory}")),
        several => Some(format!("used by {several} other programs{memory}")),
    }
}

/// Share of the looks below which a restraint came and went.
const WORTH_A_WORD: f64 = 0.01;

const fn shared(virtualisation: GpuVirtualisation) -> Option<&'static str> {
    match virtualisation {
        GpuVirtualisation::None => None,
        GpuVirtualisation::PassThrough => Some("passed through"),
        GpuVirtualisation::Virtual => Some("a virtual share"),
        GpuVirtualisation::Host => Some("shared out to virtual machines"),
    }
}

fn whole(reading: Reading) -> String {
    range(&format!("{:.0}", reading.low), &format!("{:.0}", reading.high))
}

fn range(low: &str, high: &str) -> String {
    if low == high { low.to_owned() } else { format!("{low} to {high}") }
}

fn joules(energy: f64) -> String {
    if energy < 1e4 { format!("{energy:.0} J") } else { format!("{:.0} kJ", energy * 1e-3) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Restrained, Restraint};

    #[test]
    fn a_gpu_at_rest_and_at_work() {
        assert_eq!(gpu(None, None), "");
        assert_eq!(gpu(Some(&GpuConditions::default()), None), "");
        let conditions = GpuConditions {
            driver: Some("580.82.07".to_owned()),
            highest_clock: Some(Hertz(1.98e9)),
            power: Some(75.2),
            power_limit: Some(700.0),
            temperature: Some(31.0),
            ecc: Some(true),
            mig: Some(false),
            others: Some(OtherProcesses { count: 1, memory: Some(70_000_000_000) }),
            ..GpuConditions::default()
        };
        let line = gpu(Some(&conditions), None);
        let rest =
            "75 of 700 W · 31 °C · at most 1.98 GHz · ECC · used by another program with 70.0 GB · driver 580.82.07";
        assert_eq!(line, rest);
        let observed = GpuObserved {
            looks: 900,
            clock: Some(Reading { low: 1.41e9, median: 1.6e9, high: 1.98e9 }),
            memory_clock: None,
            power: Some(Reading { low: 120.0, median: 400.0, high: 699.0 }),
            temperature: Some(Reading { low: 31.0, median: 50.0, high: 62.0 }),
            restraints: vec![
                Restrained { by: Restraint::Power, share: 0.25 },
                Restrained { by: Restraint::Heat, share: 0.001 },
            ],
            link: Some(PcieLink { generation: 5, width: 16 }),
            energy: Some(18_300.0),
        };
        let line = gpu(None, Some(&observed));
        let work = "120 to 699 W · 31 to 62 °C · 1.41 GHz to 1.98 GHz · PCIe 5 ×16 · 18 kJ · limited by power 25 % of the time";
        assert_eq!(line, work);
    }
}
