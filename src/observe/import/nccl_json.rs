//! nccl-tests, JSON (`-J`). The source of the fields is `src/util.cu` of nccl-tests.
//!
//! The file holds the whole environment, which is skipped while reading, and the names of hosts. Of the command line only the program's name is looked at, because
//! the operation stands nowhere else.

use super::{GIGA, Importer, MICRO, each, observation};
use crate::facts::DeviceKind;
use crate::observe::caveat::Caveat;
use crate::observe::document::{Format, Observation, Tool};
use crate::observe::error::ReadError;
use crate::observe::object::Object;
use crate::observe::part::{Collective, CollectivePoint, CollectiveTiming, Operation};
use crate::units::{Bytes, BytesPerSecond, Seconds};

pub(super) const IMPORTER: Importer = Importer {
    name: "nccl-tests (JSON)",
    gives: "times of collective operations over message sizes",
    hardware: true,
    sniff: |input| input.has(&["nccl_version", "config", "results"]),
    read: |input| each(input, run),
};

fn run(object: &Object<'_>) -> Result<Observation, ReadError> {
    let config = object.needed_object("config")?;
    let devices = config.objects("devices")?;
    let program = object.list("args")?.first().and_then(|program| program.as_str());
    let operation = program.and_then(Operation::of_program);
    // Each process lists its first rank only.
    let processes = devices.len().max(1) as u64;
    let (threads, devices_of_each) = (config.some("nthreads")?.unwrap_or(1), config.some("ngpus")?.unwrap_or(1));
    let ranks = processes.checked_mul(threads).and_then(|ranks| ranks.checked_mul(devices_of_each));
    let mut observation =
        observation(Tool::NcclTests, object.count("version")?.map(|version| version.to_string()), object.at());
    observation.subject.engine = Some("nccl".to_owned());
    observation.subject.engine_version = object.count("nccl_version")?.map(version);
    observation.subject.device = devices.first().and_then(|device| device.word("device_info"));
    observation.subject.device_kind = Some(DeviceKind::Gpu);
    observation.subject.devices = ranks;
    for result in object.objects("results")? {
        let point = point(&mut observation, &result)?;
        if point.out_of_place.is_none() && point.in_place.is_none() {
            return Err(ReadError::at(result.place("out_of_place"), "expected a time, here or in `in_place`"));
        }
        add(
            &mut observation,
            Collective {
                operation,
                ranks,
                format: result.raw("type").and_then(Format::named),
                reduction: result.word("redop").filter(|name| name != "none"),
                points: vec![point],
            },
        );
    }
    Ok(observation)
}

/// Adds a point to the curve it belongs to: one file may hold several formats and reductions, one after the other.
pub(super) fn add(observation: &mut Observation, one: Collective) {
    let same = |other: &&mut Collective| {
        (other.operation, other.ranks, &other.format, &other.reduction)
            == (one.operation, one.ranks, &one.format, &one.reduction)
    };
    match observation.collectives.last_mut().filter(same) {
        Some(curve) => curve.points.extend(one.points),
        None => observation.collectives.push(one),
    }
}

/// `22807` is 2.28.7; before 2.9 there was a digit less for the second number.
pub(super) fn version(code: u64) -> String {
    let (major, minor) = if code >= 10_000 { (10_000, 100) } else { (1000, 100) };
    format!("{}.{}.{}", code / major, code % major / minor, code % minor)
}

fn point(observation: &mut Observation, result: &Object<'_>) -> Result<CollectivePoint, ReadError> {
    let mut timing = |field: &str| -> Result<Option<CollectiveTiming>, ReadError> {
        let Some(timing) = result.object(field)? else { return Ok(None) };
        let is_host = !timing.has("time") && timing.has("cpu_time");
        let time = timing.needed(if is_host { "cpu_time" } else { "time" })? * MICRO;
        if is_host {
            observation.note(Caveat::HostTimed);
        }
        if let Some(elements) = timing.positive("nwrong")? {
            observation.note(Caveat::WrongResults { elements });
        }
        let rate = |field: &str| timing.positive(field).map(|rate| rate.map(|rate| BytesPerSecond(rate * GIGA)));
        Ok(Some(CollectiveTiming { time: Seconds(time), algorithm_rate: rate("alg_bw")?, bus_rate: rate("bus_bw")? }))
    };
    Ok(CollectivePoint {
        out_of_place: timing("out_of_place")?,
        in_place: timing("in_place")?,
        size: result
            .number("size")?
            .filter(|&size| size >= 0.0)
            .map(Bytes)
            .ok_or_else(|| ReadError::at(result.place("size"), "expected a number of bytes"))?,
        at: result.at().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_coded_in_two_ways() {
        assert_eq!(version(22_807), "2.28.7");
        assert_eq!(version(2708), "2.7.8");
        assert_eq!(version(0), "0.0.0");
    }
}
