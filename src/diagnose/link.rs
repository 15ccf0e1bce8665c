//! The link between devices as it was measured: from collective operations of nccl-tests, or from copies between devices of nvbandwidth.

use schemars::JsonSchema;
use serde::Serialize;

use crate::estimate::cost::Knowledge;
use crate::estimate::link::{Link, MeasuredLink, Timings};
use crate::observe::{Collective, CollectivePoint, Copy, Direction, End, Observation, Operation};
use crate::resource::Exchange;
use crate::units::{Bytes, BytesPerSecond, Seconds, Unit};

/// What files of parts tell of the link between devices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeasuredLinks {
    /// The link; none where no file tells of it.
    pub link: Option<MeasuredLink>,
    /// Files that nothing was taken from, each with the reason.
    pub unused: Vec<String>,
}

/// The link of a run.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct LinkFacts {
    /// Time of the smallest message.
    pub latency: Seconds,
    /// Bytes that a device sends per second.
    pub bandwidth: BytesPerSecond,
    /// Where it comes from.
    pub from: String,
}

/// The link that files of parts tell of: from collective operations, which hold all that an exchange takes; or else from copies.
#[must_use]
pub fn measured_link(parts: &[Observation]) -> MeasuredLinks {
    let preferred = [
        Operation::AllReduce,
        Operation::AllGather,
        Operation::ReduceScatter,
        Operation::AllToAll,
        Operation::SendReceive,
    ];
    let curve = preferred.iter().find_map(|&operation| {
        parts.iter().enumerate().find_map(|(index, part)| {
            let curve = part.collectives.iter().find(|curve| curve.operation == Some(operation))?;
            Some((index, of_collective(part, curve, operation)?))
        })
    });
    let copies = || parts.iter().enumerate().find_map(|(index, part)| Some((index, of_copies(part)?)));
    let (used, link) = curve.or_else(copies).unzip();
    let others = parts.iter().enumerate().filter(|(index, part)| Some(*index) != used && part.kernels.is_empty());
    let unused = others.map(|(_, part)| {
        let why = unusable(part).unwrap_or_else(|| "the link is that of another file".to_owned());
        format!("nothing was taken from {}: {why}", file(part))
    });
    MeasuredLinks { unused: unused.collect(), link }
}

/// Why no link follows from a file.
fn unusable(part: &Observation) -> Option<String> {
    let Some(curve) = part.collectives.first() else {
        if !part.rates.is_empty() {
            return Some("it is of what a device can do; `rooflab profile import` takes it over".to_owned());
        }
        let why = if part.copies.is_empty() { "it holds no measurement" } else { "it has no rates between devices" };
        return of_copies(part).is_none().then(|| why.to_owned());
    };
    let Some(operation) = curve.operation else { return Some("it does not say which operation it timed".to_owned()) };
    if exchange(operation).is_none() {
        return Some(format!("no step of a model has a `{}`", word(operation)));
    }
    if curve.ranks.is_none_or(|ranks| ranks < 2) {
        return Some("it does not say that several devices took part".to_owned());
    }
    of_collective(part, curve, operation).is_none().then(|| "it has no times that a link follows from".to_owned())
}

/// The exchange of a step that an operation of nccl-tests is. Every device that sends to the next is one sender to each.
fn exchange(operation: Operation) -> Option<Exchange> {
    match operation {
        Operation::SendReceive => Some(Exchange::Send),
        others => others.exchange(),
    }
}

fn time(point: &CollectivePoint) -> Option<Seconds> {
    Some(point.out_of_place.or(point.in_place)?.time)
}

/// Latency and bandwidth whose formula comes nearest to the measured times.
fn of_collective(part: &Observation, curve: &Collective, operation: Operation) -> Option<MeasuredLink> {
    let points: Vec<(Bytes, Seconds)> =
        curve.points.iter().filter_map(|point| Some((point.size, time(point)?))).collect();
    let (exchange, devices) = (exchange(operation)?, curve.ranks?);
    MeasuredLink::through(&Timings { file: &file(part), name: word(operation), exchange, devices, points: &points })
}

/// The slowest pair's bandwidth in one direction, and the mean latency between devices.
fn of_copies(part: &Observation) -> Option<MeasuredLink> {
    let between = |copy: &&Copy| copy.rows == Some(End::Device) && copy.columns == Some(End::Device);
    let values = |copy: &Copy| -> Vec<f64> {
        copy.values
            .iter()
            .flatten()
            .filter_map(|value| *value)
            .filter(|value| *value > 0.0 && value.is_finite())
            .collect()
    };
    let mut pairs = part.copies.iter().filter(between);
    let rates = pairs.find(|copy| copy.unit == Unit::BytePerSecond && copy.direction != Some(Direction::Both))?;
    let bandwidth = values(rates).into_iter().reduce(f64::min)?;
    let times = part.copies.iter().filter(between).find(|copy| copy.unit == Unit::Second).map(values);
    let latency = times.filter(|times| !times.is_empty()).map(|times| times.iter().sum::<f64>() / times.len() as f64);
    let link = Link::new(Seconds(latency.unwrap_or(0.0)), BytesPerSecond(bandwidth)).ok()?;
    let without = if latency.is_none() { "; it says nothing of latency, which is taken as 0" } else { "" };
    let from = format!("{}: the slowest pair of `{}`{without}", file(part), rates.name);
    let devices = rates.values.first().map(|row| row.len() as u64);
    Some(MeasuredLink { link, devices, knowledge: Knowledge::Imported, from })
}

fn file(part: &Observation) -> String {
    let file = part.sources.first().and_then(|source| source.file.as_deref());
    file.map_or_else(|| "a measured link".to_owned(), |file| format!("`{file}`"))
}

const fn word(operation: Operation) -> &'static str {
    match operation {
        Operation::AllReduce => "all_reduce",
        Operation::AllGather => "all_gather",
        Operation::ReduceScatter => "reduce_scatter",
        Operation::AllToAll => "alltoall",
        Operation::Broadcast => "broadcast",
        Operation::Reduce => "reduce",
        Operation::Gather => "gather",
        Operation::Scatter => "scatter",
        Operation::SendReceive => "sendrecv",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::CollectiveTiming;

    fn curve(operation: Operation, ranks: u64, times: &[(f64, f64)]) -> Observation {
        let mut part = Observation::new(Vec::new());
        let point = |&(size, time): &(f64, f64)| CollectivePoint {
            size: Bytes(size),
            out_of_place: Some(CollectiveTiming { time: Seconds(time), algorithm_rate: None, bus_rate: None }),
            in_place: None,
            at: String::new(),
        };
        let points = times.iter().map(point).collect();
        let (format, reduction) = (None, None);
        part.collectives.push(Collective { operation: Some(operation), ranks: Some(ranks), format, reduction, points });
        part
    }

    fn copies(name: &str, unit: Unit, values: &[&[Option<f64>]]) -> Copy {
        Copy {
            name: name.to_owned(),
            rows: Some(End::Device),
            columns: Some(End::Device),
            direction: Some(Direction::RowToColumn),
            unit,
            values: values.iter().map(|row| row.to_vec()).collect(),
            at: String::new(),
        }
    }

    #[test]
    fn sums_count_before_other_operations_and_copies() {
        let gather = curve(Operation::AllGather, 4, &[(1e3, 1e-5), (1e8, 1e-3)]);
        let sum = curve(Operation::AllReduce, 8, &[(1e3, 1e-5), (1e8, 1e-3)]);
        let mut pairs = Observation::new(Vec::new());
        pairs.copies.push(copies("read", Unit::BytePerSecond, &[&[None, Some(4e11)], &[Some(3.9e11), None]]));
        let of = |parts: &[Observation]| measured_link(parts).link.map(|link| link.devices);
        assert_eq!(of(&[pairs.clone(), gather.clone(), sum]), Some(Some(8)));
        assert_eq!(of(&[pairs.clone(), gather]), Some(Some(4)));
        let link = measured_link(&[pairs]).link.unwrap();
        assert_eq!(link.link, Link::new(Seconds(0.0), BytesPerSecond(3.9e11)).unwrap());
        assert!(link.from.contains("latency"), "{}", link.from);
        assert_eq!(of(&[Observation::new(Vec::new())]), None);
    }

    #[test]
    fn latencies_of_copies_are_taken_along() {
        let mut pairs = Observation::new(Vec::new());
        pairs.copies.push(copies("read", Unit::BytePerSecond, &[&[None, Some(4e11)], &[Some(4e11), None]]));
        pairs.copies.push(copies("latency", Unit::Second, &[&[None, Some(1e-6)], &[Some(3e-6), None]]));
        let link = measured_link(&[pairs]).link.unwrap().link;
        assert_eq!(link, Link::new(Seconds(2e-6), BytesPerSecond(4e11)).unwrap());
    }

    #[test]
    fn one_device_and_no_times_are_no_link() {
        assert_eq!(measured_link(&[curve(Operation::AllReduce, 1, &[(1e3, 1e-5)])]).link, None);
        assert_eq!(measured_link(&[curve(Operation::AllReduce, 8, &[(0.0, 1e-5), (1e3, f64::NAN)])]).link, None);
        assert_eq!(measured_link(&[curve(Operation::Broadcast, 8, &[(1e3, 1e-5)])]).link, None);
    }

    #[test]
    fn files_that_are_not_used_are_named_with_the_reason() {
        let sum = curve(Operation::AllReduce, 8, &[(1e3, 1e-5), (1e8, 1e-3)]);
        let mut host = Observation::new(Vec::new());
        host.copies.push(Copy { rows: Some(End::Host), ..copies("write", Unit::BytePerSecond, &[&[Some(5e10)]]) });
        let parts = [
            curve(Operation::Broadcast, 8, &[(1e3, 1e-5)]),
            curve(Operation::AllReduce, 1, &[(1e3, 1e-5)]),
            sum.clone(),
            curve(Operation::AllGather, 4, &[(1e3, 1e-5), (1e8, 1e-3)]),
            curve(Operation::AllToAll, 8, &[(0.0, 1e-5)]),
            host,
        ];
        let links = measured_link(&parts);
        assert_eq!(links.link.and_then(|link| link.devices), Some(8));
        let reasons = ["`broadcast`", "several devices", "another file", "no times", "between devices"];
        assert_eq!(links.unused.len(), reasons.len(), "{:?}", links.unused);
        for (unused, reason) in links.unused.iter().zip(reasons) {
            assert!(unused.starts_with("nothing was taken from ") && unused.contains(reason), "{unused}");
        }
        assert_eq!(measured_link(&[sum]).unused, Vec::<String>::new());
    }
}
