//! Ceilings that are curves: bandwidth and latency against the working set, weights against the size of their matrix, attention against the context.

use super::super::chart::{Axis, Chart, Hue, Mark, Measure, Point, Rule, Scale, Series, Spread, Stroke};
use super::{device_name, sound, told, usable};
use crate::profile::{Ceiling, Profile};
use crate::resource::{Phase, Resource, Scope, StreamOp};
use crate::units::{Unit, binary_bytes};

/// Curves that are shown together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Bandwidth of loads and stores against the working set.
    Bandwidth,
    /// Time of a dependent load against the working set.
    Latency,
    /// Matrix–vector products against the bytes of the matrix.
    Weights,
    /// Decode attention against the context.
    Attention,
}

/// Points from which on a curve is one.
const CURVE: usize = 3;
/// Kernels that are shown of one device; of several, reads alone.
const KERNELS: [StreamOp; 4] = [StreamOp::Read, StreamOp::Write, StreamOp::Copy, StreamOp::Triad];

impl Family {
    /// Whether a resource belongs to it.
    fn has(self, resource: Resource, several: bool) -> bool {
        match (self, resource) {
            (Self::Bandwidth, Resource::Memory { level: None, access }) => {
                if several {
                    access.op == StreamOp::Read
                } else {
                    KERNELS.contains(&access.op)
                }
            }
            (Self::Latency, Resource::Latency { level: None })
            | (Self::Weights, Resource::Gemv { .. })
            | (Self::Attention, Resource::Attention { phase: Phase::Decode, .. }) => true,
            _ => false,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Bandwidth => "Bandwidth by working set",
            Self::Latency => "Latency by working set",
            Self::Weights => "Weights read by matrix–vector products",
            Self::Attention => "Keys and values read by decode attention",
        }
    }

    const fn subtitle(self) -> &'static str {
        match self {
            Self::Bandwidth => {
                "bytes that programs load and store, over the whole device; bands hold 80 % of the samples"
            }
            Self::Latency => "time of a load whose address depends on the load before",
            Self::Weights => "by the size of the matrix, for each format of weights",
            Self::Attention => "by tokens of context, for each format of the cache",
        }
    }
}

/// The curves of a family over the whole of some devices.
#[must_use]
pub fn curves(family: Family, profiles: &[&Profile]) -> Chart {
    let several = profiles.len() > 1;
    let mut series = Vec::new();
    for profile in profiles {
        for ceiling in &profile.ceilings {
            let fits = ceiling.scope == Scope::Device && ceiling.points().len() >= CURVE;
            if fits && family.has(ceiling.resource, several) {
                let hue = if several { position(profiles, profile) } else { series.len() };
                series.extend(curve(family, profile, ceiling, several, hue));
            }
        }
    }
    let devices: Vec<String> = profiles.iter().map(|profile| device_name(profile)).collect();
    let (x_title, x_measure) = match family {
        Family::Bandwidth | Family::Latency => ("working set", Measure::Binary),
        Family::Weights => ("matrix", Measure::Binary),
        Family::Attention => ("tokens of context", Measure::Count("tokens")),
    };
    let (y_title, y_unit) = match family {
        Family::Latency => ("latency", Unit::Second),
        _ => ("bandwidth", Unit::BytePerSecond),
    };
    let axis = |title: &str, measure| Axis { title: title.to_owned(), measure, scale: Scale::Log, range: None };
    let rules = match (family, profiles) {
        (Family::Bandwidth | Family::Latency, [only]) => caches(only, family == Family::Latency),
        _ => Vec::new(),
    };
    Chart {
        title: family.title().to_owned(),
        subtitle: format!("{}: {}", devices.join(", "), family.subtitle()),
        x: axis(x_title, x_measure),
        y: axis(y_title, Measure::Of(y_unit)),
        series,
        rules,
    }
}

fn position(profiles: &[&Profile], profile: &Profile) -> usize {
    profiles.iter().position(|other| std::ptr::eq(*other, profile)).unwrap_or(0)
}

fn curve(family: Family, profile: &Profile, ceiling: &Ceiling, several: bool, hue: usize) -> Option<Series> {
    let resource = ceiling.resource.to_string();
    let what = match family {
        Family::Latency => "latency",
        _ => resource
            .rsplit_once("decode.")
            .or_else(|| resource.split_once('.'))
            .map_or(resource.as_str(), |(_, rest)| rest),
    };
    let what = what.replace("_nt", ", non-temporal");
    let name = match (several, family) {
        (false, _) => what,
        (true, Family::Latency) => device_name(profile),
        (true, _) => format!("{} {what}", device_name(profile)),
    };
    let measured = || ceiling.points().iter().filter_map(|point| Some((point.at?, point)));
    let at = |at: f64| match family {
        Family::Attention => format!("{at:.0} tokens"),
        _ => binary_bytes(at.max(0.0) as u64),
    };
    let points = measured().map(|(x, point)| Point::new(x, point.value, told(&name, point, ceiling.unit, &at(x))));
    let points = points.collect();
    let band = measured().map(|(x, point)| Spread { x, low: point.p10.min(point.p90), high: point.p90.max(point.p10) });
    let mark = Mark::Line { points, stroke: Stroke::Dotted, band: band.collect() };
    sound(Series { name, label: None, hue: Hue::Of(hue), mark })
}

/// Where the caches end, as the machine states them: of all cores, or of the one that follows a chain of loads.
fn caches(profile: &Profile, of_one: bool) -> Vec<Rule> {
    let device = &profile.device;
    let lanes = if of_one { 1 } else { profile.conditions.threads.unwrap_or(device.cores).max(1) };
    let rule = |cache: &crate::facts::Cache| {
        let bytes = device.capacity(cache, lanes);
        Rule { at: bytes as f64, label: format!("L{} {}", cache.level, binary_bytes(bytes)) }
    };
    device.caches.iter().map(rule).filter(|rule| usable(rule.at)).collect()
}
