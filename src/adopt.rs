//! What a profile takes over from other tools: observations of hardware as values with their provenance.

use crate::facts::DeviceKind;
use crate::observe::{self, Copy, End, Observation, Source, Tool};
use crate::profile::{Imported, ImportedPoint, Origin, Unknown};
use crate::resource::{Direction, Resource};
use crate::units::{Bytes, Unit};

/// What an observation tells of the ceilings of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Adopted {
    /// The device as the tool names it.
    pub device: Option<String>,
    /// What kind of device that is, as far as the tool tells.
    pub kind: DeviceKind,
    /// The values, each with where it comes from.
    pub values: Vec<Imported>,
}

/// Why nothing follows from an observation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{file}` {what}")]
pub struct NothingToAdopt {
    file: String,
    what: &'static str,
}

/// What an observation tells of the ceilings of a device.
///
/// # Errors
/// When it is not one of hardware, or says nothing that has a counterpart among rooflab's ceilings.
pub fn adopt(observation: &Observation) -> Result<Adopted, NothingToAdopt> {
    let source = observation.sources.first();
    let rates = observation.rates.iter().map(|rate| {
        let point = ImportedPoint { at: rate.bytes.map(Bytes::get), value: rate.value, name: Some(rate.name.clone()) };
        (rate.resource, point, rate.at.as_str())
    });
    let values: Vec<Imported> = rates
        .chain(copies(observation))
        .map(|(resource, point, at)| {
            let by = origin(observation, source, resource, &point, at);
            Imported { resource, unit: resource.unit(), points: vec![point], by }
        })
        .collect();
    if values.is_empty() {
        let what = if observation.metrics.is_empty() && observation.kernels.is_empty() {
            "holds nothing that is a ceiling of a device"
        } else {
            "is of a run or of kernels, not of what a device can do; `rooflab diagnose` explains such files"
        };
        let file = source.and_then(|source| source.file.clone()).unwrap_or_else(|| "it".to_owned());
        return Err(NothingToAdopt { file, what });
    }
    let kind = if is_processor(observation) { DeviceKind::Cpu } else { DeviceKind::Gpu };
    let device = observation.subject.device.clone();
    Ok(Adopted { device, kind, values })
}

/// Whether a processor was measured: by clpeak's own way, or by mixbench, which names every device but processors.
fn is_processor(observation: &Observation) -> bool {
    let is_mixbench = observation.sources.iter().any(|source| source.tool == Tool::Mixbench);
    let is_nameless = is_mixbench && observation.subject.device.is_none();
    is_nameless || observation.rates.iter().any(|rate| rate.name.starts_with("CPU, "))
}

fn origin(
    observation: &Observation,
    source: Option<&Source>,
    resource: Resource,
    point: &ImportedPoint,
    at: &str,
) -> Origin {
    let mut lacks = vec![Unknown::Spread, Unknown::SecondVisit, Unknown::Verification, Unknown::Conditions];
    if resource.axis().is_some() && point.at.is_none() {
        lacks.push(Unknown::Size);
    }
    Origin {
        tool: source.map_or("another tool", |source| source.tool.name()).to_owned(),
        version: source.and_then(|source| source.version.clone()),
        file: at.to_owned(),
        device: observation.subject.device.clone(),
        lacks,
        caveats: observation.caveats.iter().map(ToString::to_string).collect(),
    }
}

/// Test cases of nvbandwidth whose copies are rooflab's links between host and device: one at a time, and the host's memory pinned. Engines and kernels copy, and the faster counts.
const HOST_COPIES: [(&str, Direction); 4] = [
    ("host_to_device_memcpy_ce", Direction::H2d),
    ("host_to_device_memcpy_sm", Direction::H2d),
    ("device_to_host_memcpy_ce", Direction::D2h),
    ("device_to_host_memcpy_sm", Direction::D2h),
];

fn copies(observation: &Observation) -> impl Iterator<Item = (Resource, ImportedPoint, &str)> {
    [Direction::H2d, Direction::D2h].into_iter().filter_map(|direction| {
        let cases = observation.copies.iter().filter(move |copy| {
            let is_one = |(name, way): &(&str, Direction)| *name == copy.name && *way == direction;
            HOST_COPIES.iter().any(is_one) && copy.unit == Unit::BytePerSecond && copy.rows == Some(End::Host)
        });
        let (rate, case) =
            cases.filter_map(|case| Some((slowest(case)?, case))).reduce(|a, b| if b.0 > a.0 { b } else { a })?;
        let several = case.values.iter().flatten().count() > 1;
        let of = if several { ", the slowest of several devices" } else { "" };
        let point = ImportedPoint { at: None, value: rate, name: Some(format!("{}{of}", case.name)) };
        Some((Resource::HostLink { direction }, point, case.at.as_str()))
    })
}

/// The lowest rate of a table.
fn slowest(case: &Copy) -> Option<f64> {
    let values = case.values.iter().flatten().filter_map(|value| *value);
    values.filter(|value| value.is_finite() && *value > 0.0).reduce(f64::min)
}

/// Names of the kinds of files that something is taken over from.
pub fn sources() -> impl Iterator<Item = &'static str> {
    let is_hardware = |name: &&str| ["nvbandwidth", "clpeak", "mixbench"].contains(name);
    observe::IMPORTERS.iter().map(|importer| importer.name).filter(is_hardware)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::from_bytes;
    use crate::profile::{Answer, Ceilings, Demand, How, Place, Profile, bundled_named};
    use crate::resource::Scope;

    fn adopted(file: &str, text: &str) -> Vec<Adopted> {
        from_bytes(text.as_bytes(), file).unwrap().iter().map(|observation| adopt(observation).unwrap()).collect()
    }

    const NVBANDWIDTH: &str = r#"{"nvbandwidth": {"GPU Device list": ["0: NVIDIA H200 (00000000:19:00): (node)"], "testcases": [
        {"name": "host_to_device_memcpy_ce", "status": "Passed", "bandwidth_description": "memcpy CE CPU(row) -> GPU(column) bandwidth (GB/s)", "bandwidth_matrix": [["55.31", "55.29"]]},
        {"name": "all_to_host_memcpy_ce", "status": "Passed", "bandwidth_description": "memcpy CE CPU(row) <- GPU(column) bandwidth (GB/s)", "bandwidth_matrix": [["20.0", "20.0"]]},
        {"name": "device_to_host_memcpy_ce", "status": "Passed", "bandwidth_description": "memcpy CE CPU(row) <- GPU(column) bandwidth (GB/s)", "bandwidth_matrix": [["N/A", "54.0"]]},
        {"name": "device_to_host_memcpy_sm", "status": "Passed", "bandwidth_description": "memcpy SM CPU(row) <- GPU(column) bandwidth (GB/s)", "bandwidth_matrix": [["54.5", "54.4"]]}]}}"#;

    #[test]
    fn copies_one_at_a_time_are_the_link_to_the_host() {
        let found = &adopted("nv.json", NVBANDWIDTH)[0];
        let values: Vec<(String, f64)> =
            found.values.iter().map(|value| (value.resource.to_string(), value.points[0].value)).collect();
        assert_eq!(values, [("link.host.h2d".to_owned(), 55.29e9), ("link.host.d2h".to_owned(), 54.4e9)]);
        assert_eq!((found.device.as_deref(), found.kind), (Some("NVIDIA H200"), DeviceKind::Gpu));
        let by = &found.values[1].by;
        assert_eq!((by.tool.as_str(), by.file.as_str()), ("nvbandwidth", "nv.json.nvbandwidth.testcases[3]"));
        assert!(by.lacks.contains(&Unknown::Spread) && by.lacks.contains(&Unknown::Size), "{:?}", by.lacks);
        assert!(found.values[1].points[0].name.as_deref().is_some_and(|name| name.contains("slowest")));
    }

    #[test]
    fn a_run_has_no_ceilings() {
        let text = r#"{"elapsed_time": 42.5, "num_requests": 1000, "requests_per_second": 23.5294, "tokens_per_second": 30117.65}"#;
        let error = adopt(&from_bytes(text.as_bytes(), "run.json").unwrap()[0]).unwrap_err().to_string();
        assert!(error.starts_with("`run.json` ") && error.contains("rooflab diagnose"), "{error}");
    }

    /// What is imported answers by its tool's name, and never in the place of what was measured.
    #[test]
    fn answers_name_the_tool() {
        let mut profile: Profile = bundled_named("amd-epyc-zen4-2c-kvm.cpu").and_then(|b| b.profile()).unwrap().clone();
        let text = "Device: x\n  Global memory bandwidth (GBPS)\n    float : 999.0\n\n  Transfer bandwidth (GBPS)\n    h2d : 25.5\n";
        for value in adopted("clpeak.txt", text).remove(0).values {
            profile.take_over(value);
        }
        let ask = |profile: &Profile, key: &str, at| {
            let demand = Demand { resource: key.parse().unwrap(), scope: Scope::Device, at };
            match Ceilings::new(profile).ask(&demand) {
                Answer::Known(known) => known,
                Answer::Missing { why } => panic!("{key}: {why}"),
            }
        };
        assert!(matches!(ask(&profile, "memory.dram.read", Place::Anywhere).how, How::Measured { .. }));
        for (at, wanted) in [(Place::Anywhere, true), (Place::Bytes(1e6), true)] {
            let known = ask(&profile, "link.host.h2d", at);
            assert_eq!(known.value, 25.5e9);
            assert_eq!(
                matches!(&known.how, How::Imported { tool, file, .. } if tool == "clpeak" && file == "clpeak.txt:6"),
                wanted,
                "{:?}",
                known.how
            );
            assert_eq!(known.how.word(), "imported");
        }
        // Without rooflab's own, the imported bandwidth stands for products with a vector.
        profile.ceilings.clear();
        let known = ask(&profile, "gemv.bf16", Place::Anywhere);
        assert!(
            matches!(&known.how, How::Substituted { known, .. } if matches!(**known, How::Imported { .. })),
            "{:?}",
            known.how
        );
        assert_eq!(profile.kind(), "measured");
        profile.instrument = None;
        assert_eq!((profile.kind(), crate::profile::check(&profile)), ("imported", Vec::new()));
    }
}
