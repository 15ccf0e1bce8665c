//! The link between devices as it was measured: the formula that comes nearest to the times of an exchange, or else copies between two devices.

use super::Link;
use crate::estimate::cost::Knowledge;
use crate::graph::Collective;
use crate::profile::{Ceilings, Demand, Imported, Known, Place, Point, Profile};
use crate::resource::{Exchange, Key, Overhead, Resource, Scope};
use crate::units::{Bytes, BytesPerSecond, Seconds, Unit, human};

/// A link that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredLink {
    /// Its latency and its bandwidth.
    pub link: Link,
    /// The devices that it was measured between, where that is known.
    pub devices: Option<u64>,
    /// How it is known.
    pub knowledge: Knowledge,
    /// Where it comes from, and how well the formula fits.
    pub from: String,
}

/// Times of one exchange at several sizes.
#[derive(Clone, Copy, Debug)]
pub struct Timings<'a> {
    /// Where they stand.
    pub file: &'a str,
    /// What the tool calls the exchange.
    pub name: &'a str,
    /// What it is.
    pub exchange: Exchange,
    /// Devices that took part.
    pub devices: u64,
    /// Bytes, counted as the exchange's formula counts them, and how long they took.
    pub points: &'a [(Bytes, Seconds)],
}

/// Steps of each number that are tried for the formula.
const STEPS: u32 = 24;

/// Exchanges that a link follows from, the one that inference needs most first.
const TELLING: [Exchange; 4] = [Exchange::AllReduce, Exchange::AllGather, Exchange::ReduceScatter, Exchange::AllToAll];

impl MeasuredLink {
    /// The link that a profile tells of: from exchanges that rooflab or another tool timed, which hold all that they take; or else from copies between two devices.
    #[must_use]
    pub fn of_profile(profile: &Profile) -> Option<Self> {
        let timed = TELLING.iter().flat_map(|&exchange| {
            let resource = Resource::PeerLink { exchange };
            let own = profile.ceiling(Key { resource, scope: Scope::Device });
            let own = own.and_then(|ceiling| of_points(ceiling.points(), exchange));
            let imported = profile.imported_of(resource).filter_map(move |imported| of_imported(imported, exchange));
            own.into_iter().chain(imported)
        });
        timed.into_iter().next().or_else(|| of_copies(profile))
    }

    /// Latency and bandwidth whose formula comes nearest to measured times. None where they are of one device, or no times.
    #[must_use]
    pub fn through(timings: &Timings<'_>) -> Option<Self> {
        let Timings { file, name, exchange, devices, points } = *timings;
        let positive = |number: f64| number > 0.0 && number.is_finite();
        let times: Vec<(Bytes, Collective, f64)> = points
            .iter()
            .filter(|(bytes, time)| positive(bytes.get()) && positive(time.get()))
            .map(|&(bytes, time)| (bytes, collective(exchange, devices, bytes), time.get()))
            .collect();
        if devices < 2 {
            return None;
        }
        // What goes over the wire of a link of one byte per second is as many bytes.
        let wire = Link::new(Seconds(0.0), BytesPerSecond(1.0)).ok()?;
        let quickest = times.iter().map(|(.., time)| *time).reduce(f64::min)?;
        let fastest = times.iter().map(|(_, exchange, time)| wire.time(exchange).get() / time).reduce(f64::max)?;
        let error = |link: &Link| {
            let off = times.iter().map(|(_, exchange, time)| (link.time(exchange).get() / time).ln().abs());
            off.sum::<f64>() / times.len() as f64
        };
        // The smallest message may take several steps of the link, and the largest one may be too small to fill it.
        let step = |from: f64, to: f64, index: u32| from * (to / from).powf(f64::from(index) / f64::from(STEPS));
        let candidates = (0..=STEPS).flat_map(|latency| (0..=STEPS).map(move |bandwidth| (latency, bandwidth)));
        let links = candidates.filter_map(|(latency, bandwidth)| {
            let latency = Seconds(quickest * step(0.1, 1.2, latency));
            Link::new(latency, BytesPerSecond(fastest * step(1.0, 4.0, bandwidth))).ok()
        });
        let (link, error) = links
            .map(|link| (link, error(&link)))
            .filter(|(_, error)| error.is_finite())
            .reduce(|a, b| if b.1 < a.1 { b } else { a })?;
        let sizes = times.iter().map(|(bytes, ..)| bytes.get());
        let (smallest, largest) = sizes.fold((f64::INFINITY, 0.0_f64), |(a, b), size| (a.min(size), b.max(size)));
        let from = format!(
            "{file}: `{name}` between {devices} devices at {} sizes from {} to {}, which the model meets within {:.0} % on average",
            times.len(),
            human(smallest, Unit::Byte),
            human(largest, Unit::Byte),
            error.exp_m1() * 100.0
        );
        Some(Self { link, devices: Some(devices), knowledge: Knowledge::Imported, from })
    }
}

/// What a step of a model exchanges, for bytes as tools count them: of what all get, the whole.
const fn collective(exchange: Exchange, devices: u64, bytes: Bytes) -> Collective {
    match exchange {
        Exchange::AllReduce => Collective::AllReduce { devices, bytes },
        // A sum of which every device keeps a part takes as long as gathering the parts.
        Exchange::AllGather | Exchange::ReduceScatter => Collective::AllGather { devices, bytes },
        Exchange::AllToAll => Collective::AllToAll { devices, bytes },
        Exchange::Send | Exchange::SendBoth => Collective::Send { bytes },
    }
}

/// The link that a measured curve tells of, of points with as many devices as the first.
fn of_points(points: &[Point], exchange: Exchange) -> Option<MeasuredLink> {
    let devices = points.first()?.devices?;
    let of_all = points.iter().filter(|point| point.devices == Some(devices));
    let points: Vec<(Bytes, Seconds)> = of_all.filter_map(|point| Some((Bytes(point.at?), point.time))).collect();
    let name = exchange.to_string();
    let timings =
        Timings { file: "measured by rooflab", name: &name, exchange, devices: devices.into(), points: &points };
    Some(MeasuredLink { knowledge: Knowledge::Fitted, ..MeasuredLink::through(&timings)? })
}

/// The link that an imported curve tells of.
fn of_imported(imported: &Imported, exchange: Exchange) -> Option<MeasuredLink> {
    let time = |at: f64, value: f64| (Bytes(at), Seconds(at / value));
    let points: Vec<(Bytes, Seconds)> =
        imported.points.iter().filter_map(|point| Some(time(point.at?, point.value))).collect();
    let (file, name) = (format!("{}, `{}`", imported.by.who(), imported.by.file), exchange.to_string());
    MeasuredLink::through(&Timings { file: &file, name: &name, exchange, devices: imported.devices?, points: &points })
}

/// Copies between two devices stand for exchanges: what drives those adds to the time, and several links at once may be faster than one.
fn of_copies(profile: &Profile) -> Option<MeasuredLink> {
    let ceilings = Ceilings::new(profile);
    let ask = |resource| -> Option<Known> {
        ceilings.ask(&Demand { resource, scope: Scope::Device, at: Place::Anywhere }).known().cloned()
    };
    let resource = Resource::PeerLink { exchange: Exchange::Send };
    let bandwidth = ask(resource)?;
    let latency = ask(Resource::Overhead { of: Overhead::PeerSend });
    let seconds = latency.as_ref().map_or(0.0, |known| known.value);
    let link = Link::new(Seconds(seconds), BytesPerSecond(bandwidth.value)).ok()?;
    let ways = std::iter::once(&bandwidth).chain(&latency).map(|known| Knowledge::from(&known.how));
    // Of something else that was measured, at best.
    let knowledge = ways.fold(Knowledge::Substituted, Knowledge::max);
    let without = if latency.is_none() { "; nothing is known of latency, which is taken as 0" } else { "" };
    let from = format!("`{resource}`, copies between two devices, for every exchange{without}");
    Some(MeasuredLink { link, devices: Some(2), knowledge, from })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Ceiling, ImportedPoint, Origin, Outcome, bundled_named};
    use proptest::prelude::*;

    fn sheet() -> Profile {
        bundled_named("nvidia-h100-sxm").and_then(|bundled| bundled.profile()).unwrap().clone()
    }

    fn imported(exchange: Exchange, devices: Option<u64>, points: &[(Option<f64>, f64)]) -> Imported {
        let resource = Resource::PeerLink { exchange };
        let by = Origin {
            tool: "nccl-tests".to_owned(),
            version: None,
            file: "sum.txt".to_owned(),
            device: None,
            lacks: Vec::new(),
            caveats: Vec::new(),
        };
        let points = points.iter().map(|&(at, value)| ImportedPoint { at, value, name: None }).collect();
        Imported { resource, unit: resource.unit(), devices, points, by }
    }

    #[test]
    fn a_profile_without_links_tells_of_none() {
        assert_eq!(MeasuredLink::of_profile(&sheet()), None);
    }

    #[test]
    fn sums_count_before_copies_and_need_to_say_how_many_took_part() {
        let mut profile = sheet();
        profile.take_over(imported(Exchange::Send, None, &[(None, 25e9)]));
        let copies = MeasuredLink::of_profile(&profile).unwrap();
        assert_eq!(copies.link, Link::new(Seconds(0.0), BytesPerSecond(25e9)).unwrap());
        assert_eq!((copies.knowledge, copies.from.contains("latency")), (Knowledge::Substituted, true));
        let curve = [(Some(1e3), 1e8), (Some(1e8), 1e11)];
        profile.take_over(imported(Exchange::AllReduce, None, &curve));
        assert_eq!(MeasuredLink::of_profile(&profile), Some(copies));
        profile.take_over(imported(Exchange::AllReduce, Some(8), &curve));
        let sums = MeasuredLink::of_profile(&profile).unwrap();
        assert_eq!((sums.devices, sums.knowledge), (Some(8), Knowledge::Imported));
        assert!(
            sums.from.starts_with("nccl-tests, `sum.txt`: `all_reduce` between 8 devices at 2 sizes"),
            "{}",
            sums.from
        );
        let sum = sums.link.time(&Collective::AllReduce { devices: 8, bytes: Bytes(1e8) }).get();
        assert!((sum / 1e-3).ln().abs() < 0.15, "{sum}");
    }

    #[test]
    fn sums_that_rooflab_measured_itself_count_first() {
        let mut profile = sheet();
        let curve = [(Some(1e3), 1e8), (Some(1e8), 1e11)];
        profile.take_over(imported(Exchange::AllReduce, Some(8), &curve));
        let point = |&(at, value): &(Option<f64>, f64), devices| {
            let time = Seconds(at.unwrap() / value);
            Point { devices, time, ..Point::exact(at, value) }
        };
        let put = |devices| {
            let points = curve.iter().map(|place| point(place, devices)).collect();
            let outcome = Outcome::Ok { points, limit: None, plateau: None, fit: None };
            let resource = Resource::PeerLink { exchange: Exchange::AllReduce };
            let ceilings = vec![Ceiling::new(Key { resource, scope: Scope::Device }, outcome)];
            MeasuredLink::of_profile(&Profile { ceilings, ..profile.clone() }).unwrap()
        };
        let own = put(Some(4));
        assert_eq!((own.devices, own.knowledge), (Some(4), Knowledge::Fitted));
        assert!(own.from.starts_with("measured by rooflab: `all_reduce` between 4 devices at 2 sizes"), "{}", own.from);
        // Without the number of devices, times say nothing of a link.
        assert_eq!(put(None).devices, Some(8));
    }

    #[test]
    fn one_device_and_no_times_are_no_link() {
        let of = |devices, points: &[(Bytes, Seconds)]| {
            MeasuredLink::through(&Timings { file: "f", name: "n", exchange: Exchange::AllReduce, devices, points })
        };
        assert_eq!(of(1, &[(Bytes(1e3), Seconds(1e-5))]), None);
        assert_eq!(of(8, &[(Bytes(0.0), Seconds(1e-5)), (Bytes(1e3), Seconds(f64::NAN))]), None);
        assert!(of(8, &[(Bytes(1e3), Seconds(1e-5))]).is_some());
    }

    proptest! {
        #[test]
        fn a_link_is_found_again_in_its_own_times(latency in 1e-6..1e-4_f64, bandwidth in 1e10..1e12_f64, devices in 2_u64..16) {
            let link = Link::new(Seconds(latency), BytesPerSecond(bandwidth)).unwrap();
            let sum = |bytes| Collective::AllReduce { devices, bytes };
            let sizes = (10..31).map(|power| Bytes(f64::from(1_u32 << power)));
            let points: Vec<(Bytes, Seconds)> = sizes.map(|size| (size, link.time(&sum(size)))).collect();
            let timings = Timings { file: "f", name: "n", exchange: Exchange::AllReduce, devices, points: &points };
            let found = MeasuredLink::through(&timings).unwrap();
            for (size, time) in points {
                let again = found.link.time(&sum(size));
                prop_assert!((again / time).ln().abs() < 0.15, "{size:?}: {again:?} instead of {time:?}");
            }
        }
    }
}
