//! What a profile takes over from other tools: observations of hardware as values with their provenance.

use crate::facts::DeviceKind;
use crate::observe::{self, Caveat, Copy, Observation, Operation, Source};
use crate::profile::{Imported, ImportedPoint, Origin, Unknown};
use crate::resource::{Direction, Exchange, Resource};
use crate::units::Bytes;

/// What an observation tells of the ceilings of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Adopted {
    /// The file, and which entry of it.
    pub file: String,
    /// The device as the tool names it.
    pub device: Option<String>,
    /// What kind of device that is, where the tool tells.
    pub kind: Option<DeviceKind>,
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
    let readings = [rates(observation), copies(observation), collectives(observation)].into_iter().flatten();
    let values: Vec<Imported> = readings
        .map(|reading| {
            let by = origin(observation, source, &reading);
            let Reading { resource, devices, points, .. } = reading;
            Imported { resource, unit: resource.unit(), devices, points, by }
        })
        .collect();
    let file = source.and_then(|source| source.file.clone()).unwrap_or_else(|| "it".to_owned());
    if values.is_empty() {
        let what = if observation.metrics.is_empty() && observation.kernels.is_empty() {
            "holds nothing that is a ceiling of a device"
        } else {
            "is of a run or of kernels, not of what a device can do; `rooflab diagnose` explains such files"
        };
        return Err(NothingToAdopt { file, what });
    }
    let subject = &observation.subject;
    Ok(Adopted { file, device: subject.device.clone(), kind: subject.device_kind, values })
}

/// Values of a resource, and where they stand.
struct Reading<'o> {
    resource: Resource,
    /// Devices that took part, where it is of several.
    devices: Option<u64>,
    points: Vec<ImportedPoint>,
    at: &'o str,
}

/// An observation may be anybody's file.
fn usable(number: f64) -> bool {
    number.is_finite() && number > 0.0
}

/// Values that stand in the file as they are.
fn rates(observation: &Observation) -> Vec<Reading<'_>> {
    let reading = |rate: &'_ observe::Rate| {
        let (at, name) = (rate.bytes.map(Bytes::get), Some(rate.name.clone()));
        vec![ImportedPoint { at, value: rate.value, name }]
    };
    let is_usable = |rate: &&observe::Rate| usable(rate.value) && rate.bytes.is_none_or(|bytes| usable(bytes.get()));
    let rates = observation.rates.iter().filter(is_usable);
    rates.map(|rate| Reading { resource: rate.resource, devices: None, points: reading(rate), at: &rate.at }).collect()
}

fn origin(observation: &Observation, source: Option<&Source>, reading: &Reading<'_>) -> Origin {
    let mut lacks = vec![Unknown::Spread, Unknown::SecondVisit, Unknown::Verification, Unknown::Conditions];
    if reading.resource.axis().is_some() && reading.points.iter().any(|point| point.at.is_none()) {
        lacks.push(Unknown::Size);
    }
    Origin {
        tool: source.map_or("another tool", |source| source.tool.name()).to_owned(),
        version: source.and_then(|source| source.version.clone()),
        file: reading.at.to_owned(),
        device: observation.subject.device.clone(),
        lacks,
        caveats: observation.caveats.iter().map(ToString::to_string).collect(),
    }
}

/// Test cases of nvbandwidth whose copies are rooflab's links, one at a time and with the host's memory pinned: how their names begin, before what does the copying (`ce` or `sm`), of
/// which the faster counts.
const COPIES: [(&str, Resource); 6] = [
    ("host_to_device_memcpy_", Resource::HostLink { direction: Direction::H2d }),
    ("device_to_host_memcpy_", Resource::HostLink { direction: Direction::D2h }),
    ("device_to_device_memcpy_read_", Resource::PeerLink { exchange: Exchange::Send }),
    ("device_to_device_memcpy_write_", Resource::PeerLink { exchange: Exchange::Send }),
    ("device_to_device_bidirectional_memcpy_read_", Resource::PeerLink { exchange: Exchange::SendBoth }),
    ("device_to_device_bidirectional_memcpy_write_", Resource::PeerLink { exchange: Exchange::SendBoth }),
];

/// What a test case is of.
fn copied(case: &Copy) -> Option<Resource> {
    let by = ["ce", "sm"].iter().find_map(|by| case.name.strip_suffix(by))?;
    let (_, resource) = COPIES.iter().find(|(name, _)| *name == by)?;
    Some(*resource).filter(|resource| resource.unit() == case.unit)
}

/// Of each link the fastest case, and of it the slowest device or pair.
fn copies(observation: &Observation) -> Vec<Reading<'_>> {
    let mut best: Vec<Reading<'_>> = Vec::new();
    for case in &observation.copies {
        let (Some(resource), Some(value)) = (copied(case), slowest(case)) else { continue };
        let several = case.values.iter().flatten().flatten().count() > 1;
        let of = if several { ", the slowest of several" } else { "" };
        let points = vec![ImportedPoint { at: None, value, name: Some(format!("{}{of}", case.name)) }];
        keep_faster(&mut best, Reading { resource, devices: None, points, at: &case.at });
    }
    best
}

/// Collective operations over sizes: the algorithm's bandwidth, which is bytes over time. Wrong results and times of handing work over are no bandwidth.
fn collectives(observation: &Observation) -> Vec<Reading<'_>> {
    let is_void = |caveat: &Caveat| matches!(caveat, Caveat::WrongResults { .. } | Caveat::HostTimed);
    let mut best: Vec<Reading<'_>> = Vec::new();
    if observation.caveats.iter().any(is_void) {
        return best;
    }
    for curve in &observation.collectives {
        let Some(exchange) = curve.operation.and_then(Operation::exchange) else { continue };
        let Some(ranks) = curve.ranks.filter(|&ranks| ranks > 1) else { continue };
        let name = format!("{ranks} ranks");
        let mut points: Vec<ImportedPoint> = curve
            .points
            .iter()
            .filter_map(|point| {
                let time = point.out_of_place.or(point.in_place)?.time.get();
                let (at, value) = (point.size.get(), point.size.get() / time);
                (usable(at) && usable(value)).then(|| ImportedPoint { at: Some(at), value, name: Some(name.clone()) })
            })
            .collect();
        // The faster of two at one size comes first, and stays.
        points.sort_by(|a, b| {
            let places = a.at.unwrap_or(0.0).total_cmp(&b.at.unwrap_or(0.0));
            places.then(b.value.total_cmp(&a.value))
        });
        points.dedup_by(|later, first| later.at == first.at);
        let at = curve.points.first().map_or("", |point| point.at.as_str());
        let resource = Resource::PeerLink { exchange };
        keep_faster(&mut best, Reading { resource, devices: Some(ranks), points, at });
    }
    best.retain(|reading| !reading.points.is_empty());
    best
}

/// Adds a reading, unless there is one of the same resource whose last value is higher.
fn keep_faster<'o>(readings: &mut Vec<Reading<'o>>, new: Reading<'o>) {
    let last = |reading: &Reading<'_>| reading.points.last().map(|point| point.value);
    match readings.iter_mut().find(|known| known.resource == new.resource) {
        Some(known) if last(&new) > last(known) => *known = new,
        Some(_) => {}
        None => readings.push(new),
    }
}

/// The lowest rate of a table.
fn slowest(case: &Copy) -> Option<f64> {
    let values = case.values.iter().flatten().filter_map(|value| *value);
    values.filter(|value| usable(*value)).reduce(f64::min)
}

/// Names of the kinds of files that something is taken over from.
pub fn sources() -> impl Iterator<Item = &'static str> {
    observe::IMPORTERS.iter().filter(|importer| importer.hardware).map(|importer| importer.name)
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
        assert_eq!((found.device.as_deref(), found.kind), (Some("NVIDIA H200"), Some(DeviceKind::Gpu)));
        let by = &found.values[1].by;
        assert_eq!((by.tool.as_str(), by.file.as_str()), ("nvbandwidth", "nv.json.nvbandwidth.testcases[3]"));
        assert!(by.lacks.contains(&Unknown::Spread) && by.lacks.contains(&Unknown::Size), "{:?}", by.lacks);
        assert!(found.values[1].points[0].name.as_deref().is_some_and(|name| name.contains("slowest")));
    }

    const NCCL: &str = "\
# Collective test starting: all_reduce_perf
#  Rank  0 Group  0 Pid 1 on node device  0 [0000:19:00] NVIDIA H200
#  Rank  1 Group  0 Pid 2 on node device  1 [0000:3b:00] NVIDIA H200
#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
        1024           256     float     sum      -1    10.00    0.10    0.10      0    10.00    0.10    0.10      0
     1048576        262144     float     sum      -1    20.00   52.43   52.43      0    20.00   52.43   52.43      0
        1024           512      half     sum      -1     8.00    0.13    0.13      0     8.00    0.13    0.13      0
     1048576        524288      half     sum      -1    16.00   65.54   65.54      0    16.00   65.54   65.54      0
";

    #[test]
    fn collectives_are_curves_of_the_algorithms_bandwidth() {
        let found = adopted("nccl.txt", NCCL).remove(0);
        let [curve] = &found.values[..] else { panic!("{:?}", found.values) };
        assert_eq!(curve.resource.to_string(), "link.peer.all_reduce");
        // Of two formats the faster; size over value is the time.
        let points: Vec<(Option<f64>, f64)> = curve.points.iter().map(|point| (point.at, point.value)).collect();
        assert_eq!(points, [(Some(1024.0), 1024.0 / 8e-6), (Some(1_048_576.0), 1_048_576.0 / 16e-6)]);
        assert_eq!(curve.points[0].name.as_deref(), Some("2 ranks"));
        assert!(!curve.by.lacks.contains(&Unknown::Size), "{:?}", curve.by.lacks);
        assert_eq!(found.device.as_deref(), Some("NVIDIA H200"));
        // Between two sizes it is interpolated.
        let mut profile = bundled_named("nvidia-h200-sxm").and_then(|bundled| bundled.profile()).unwrap().clone();
        profile.take_over(curve.clone());
        let demand = Demand { resource: curve.resource, scope: Scope::Device, at: Place::Bytes(32_768.0) };
        let answer = Ceilings::new(&profile).ask(&demand);
        let known = answer.known().unwrap();
        assert!((1e9..60e9).contains(&known.value), "{known:?}");
        assert!(matches!(&known.how, How::Imported { known, .. } if known.word() == "interpolated"), "{known:?}");
    }

    #[test]
    fn wrong_results_and_lone_ranks_are_no_links() {
        let nothing = |text: &str| adopt(&from_bytes(text.as_bytes(), "nccl.txt").unwrap()[0]).is_err();
        assert!(nothing(&NCCL.replace("65.54      0", "65.54      3")));
        assert!(nothing(&NCCL.replace("all_reduce_perf", "sendrecv_perf")));
        assert!(nothing(&NCCL.replace("#  Rank  1 Group", "#  Group")));
        assert!(!nothing(&NCCL.replace("all_reduce_perf", "alltoall_perf")));
    }

    #[test]
    fn copies_between_devices_are_links_of_peers() {
        let text = NVBANDWIDTH.replace("host_to_device_memcpy_ce", "device_to_device_memcpy_read_ce");
        let text = text.replace("all_to_host_memcpy_ce", "device_to_device_bidirectional_memcpy_write_sm");
        let found = adopted("nv.json", &text).remove(0);
        let keys: Vec<String> = found.values.iter().map(|value| value.resource.to_string()).collect();
        assert_eq!(keys, ["link.peer.send", "link.peer.send_both", "link.host.d2h"]);
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
