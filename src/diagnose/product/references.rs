//! What a product is held against: the maker's peak, the measured one, and the ceiling of its shape, each for the cores that took part.

use super::document::{Against, Reference};
use super::{Product, ProductError, ProductInputs};
use crate::diagnose::restless::{MOVED, spread};
use crate::diagnose::waterfall::{Cause, Level};
use crate::dtype::{DType, Kind};
use crate::facts::DeviceKind;
use crate::profile::{Answer, Ceilings, Demand, Flag, How, Known, Outcome, Place, Profile};
use crate::resource::{Access, ComputeUnit, Key, MemoryLevel, Resource, Scope, StreamOp};
use crate::units::{Seconds, percent};
use crate::workload::{Shape, Work};

/// Beyond so many bytes matrices come out of main memory, also where a profile does not say how large its caches are.
const NO_CACHE: f64 = 2e9;

/// The cores that took part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Team {
    /// All of the device.
    All,
    /// One core.
    One,
    /// Some cores: so many times one core's rate, and no more than the whole device's.
    Some(u32),
}

/// A rate, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::diagnose) struct Rate {
    /// Whose it is.
    pub(in crate::diagnose) resource: Resource,
    /// Operations per second.
    pub(in crate::diagnose) value: f64,
    /// Where it comes from.
    pub(in crate::diagnose) from: String,
    /// What speaks against it.
    pub(in crate::diagnose) flags: Vec<Flag>,
}

/// The peaks, the ceiling of the shape, and how fast matrices are moved.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::diagnose) struct References {
    /// Cores that took part.
    pub(in crate::diagnose) cores: Option<u32>,
    /// The maker's peak.
    pub(in crate::diagnose) maker: Result<Rate, String>,
    /// Whether the maker's peak is a limit at the clock that was measured, and not a printed figure.
    pub(in crate::diagnose) is_limit: bool,
    /// The measured peak.
    pub(in crate::diagnose) peak: Result<Rate, String>,
    /// The ceiling of the shape.
    pub(in crate::diagnose) shape: Result<Rate, String>,
    /// What one core reaches, where more took part.
    pub(in crate::diagnose) one_core: Option<Rate>,
    /// Bytes per second out of main memory by the maker, where the matrices fit into no cache.
    claimed_memory: Option<f64>,
    /// Bytes per second at which the matrices are read from where they fit.
    memory: Option<f64>,
    /// Bytes that fit into a cache at the most.
    cache: f64,
    /// What of it was not measured at this very place.
    pub(in crate::diagnose) assumptions: Vec<String>,
}

/// A profile that is asked for a team.
struct Asked<'a> {
    inputs: &'a ProductInputs<'a>,
    ceilings: Ceilings<'a>,
    team: Team,
}

impl References {
    /// What a product is held against.
    pub(super) fn of(inputs: &ProductInputs<'_>, work: &Work) -> Result<Self, ProductError> {
        let Product { shape, dtype, .. } = inputs.product;
        let (team, cores) = team(inputs);
        let asked = Asked { inputs, ceilings: Ceilings::new(inputs.profile), team };
        let peak = asked.peak(dtype);
        let (maker, is_limit) = match asked.claim(dtype) {
            Some(rate) => (Ok(rate), false),
            None => (asked.limit(peak.as_ref().ok()), true),
        };
        let mut assumptions = Vec::new();
        let here = asked.shape(shape, dtype, work, &mut assumptions);
        if let (Err(why), Err(_), Err(_)) = (&peak, &maker, &here) {
            let profile = inputs.profile.name.clone();
            return Err(ProductError::NoPeak { profile, dtype, why: why.clone() });
        }
        assumptions.extend([&peak, &here].into_iter().filter_map(|rate| restless(rate.as_ref().ok()?)));
        let alone = Asked { team: Team::One, ..asked };
        let of_one = || alone.shape(shape, dtype, work, &mut Vec::new()).or_else(|_| alone.peak(dtype)).ok();
        let one_core = if cores.is_some_and(|cores| cores > 1) { of_one() } else { None };
        let bytes = bytes(work);
        Ok(Self {
            cores,
            maker,
            is_limit,
            peak,
            shape: here,
            one_core,
            claimed_memory: asked.claimed_memory(bytes),
            memory: asked.memory(bytes),
            cache: asked.cache(),
            assumptions,
        })
    }

    /// The time of a product with one cause after another.
    pub(super) fn levels(&self, work: &Work) -> Vec<Level> {
        let level = |rate: &Result<Rate, String>, moved: Option<Seconds>| match rate {
            Ok(rate) => Ok(Seconds((work.ops as f64 / rate.value).max(moved.unwrap_or_default().get()))),
            Err(why) => Err(why.clone()),
        };
        let claimed = self.claimed_memory.map(|rate| Seconds(bytes(work) / rate));
        vec![
            (Cause::Product, level(&self.maker, claimed)),
            (Cause::Ceilings, level(&self.peak, self.moved_as_measured(work))),
            (Cause::Shapes, level(&self.shape, None)),
        ]
    }

    /// How long the matrices are moved at the measured bandwidth of where they fit.
    pub(super) fn moved_as_measured(&self, work: &Work) -> Option<Seconds> {
        self.memory.map(|rate| Seconds(bytes(work) / rate))
    }

    /// How long main memory is busy at the least by the maker's bandwidth: from one product to the next, a cache may keep as much as it holds.
    pub(super) fn moved_at_least(&self, work: &Work) -> Option<Seconds> {
        self.claimed_memory.map(|rate| Seconds((bytes(work) - self.cache).max(0.0) / rate))
    }

    /// Whether moving the matrices takes longer than the operations, by what was measured, or else by the maker's figures.
    pub(super) fn is_memory_bound(&self, work: &Work) -> bool {
        let (ops, bytes) = (work.ops as f64, bytes(work));
        let longer = |rate: &Result<Rate, String>, memory: Option<f64>| match (rate, memory) {
            (Ok(rate), Some(memory)) => Some(bytes / memory > ops / rate.value),
            _ => None,
        };
        longer(&self.peak, self.memory).or_else(|| longer(&self.maker, self.claimed_memory)).unwrap_or(false)
    }

    /// The rates beside the one that was reached.
    pub(super) fn against(&self, reached: f64) -> Vec<Against> {
        let rates = [(Reference::Maker, &self.maker), (Reference::Peak, &self.peak), (Reference::Shape, &self.shape)];
        let known = rates.into_iter().filter_map(|(what, rate)| Some((what, rate.as_ref().ok()?)));
        known
            .map(|(what, rate)| Against {
                what,
                resource: rate.resource,
                rate: rate.value,
                share: reached / rate.value,
                from: rate.from.clone(),
            })
            .collect()
    }
}

/// The team, and how many cores that are where a device has cores of its own.
fn team(inputs: &ProductInputs<'_>) -> (Team, Option<u32>) {
    let device = &inputs.profile.device;
    if device.kind != DeviceKind::Cpu || device.cores == 0 {
        return (Team::All, None);
    }
    let threads = inputs.product.threads.and_then(|threads| u32::try_from(threads).ok());
    let cores = threads.unwrap_or(device.cores).min(device.cores);
    let team = match cores {
        cores if cores == device.cores => Team::All,
        1 => Team::One,
        cores => Team::Some(cores),
    };
    (team, Some(cores))
}

/// The format that products of a format are summed in.
pub(super) const fn accumulated(dtype: DType) -> DType {
    match (dtype, dtype.format().kind) {
        (DType::F64, _) => DType::F64,
        (_, Kind::Integer) => DType::Int32,
        (_, Kind::Float) => DType::F32,
    }
}

/// The peaks that products of a format may run at: of matrix and of vector units, summed in 32 bits or in the format itself; and for 16-bit formats that of f32, because
/// factors can be widened first. The highest counts.
fn peaks(dtype: DType) -> Vec<Resource> {
    let compute = |unit, input, accumulate| Resource::Compute { unit, input, accumulate };
    let mut sums = vec![accumulated(dtype), dtype];
    sums.dedup();
    let units = [ComputeUnit::Matrix, ComputeUnit::Vector];
    let mut peaks: Vec<Resource> =
        units.iter().flat_map(|&unit| sums.iter().map(move |&sum| compute(unit, dtype, sum))).collect();
    if matches!(dtype, DType::Bf16 | DType::F16 | DType::Tf32) {
        peaks.push(compute(ComputeUnit::Vector, DType::F32, DType::F32));
    }
    peaks
}

/// Why nothing measured is known.
const NOTHING_MEASURED: &str = "nothing was measured on this device: the profile holds the maker's figures alone";

impl Asked<'_> {
    fn profile(&self) -> &Profile {
        self.inputs.profile
    }

    /// The answer for the team, with the words for whose it is.
    fn ask(&self, resource: Resource, at: Place) -> (Answer, String) {
        let of = |scope| self.ceilings.ask(&Demand { resource, scope, at });
        let key = |scope| Key { resource, scope };
        let (answer, whose) = match self.team {
            Team::All => (of(Scope::Device), format!("`{resource}`")),
            Team::One => (of(Scope::Core), format!("`{}`", key(Scope::Core))),
            Team::Some(cores) => {
                let whole = of(Scope::Device).known().map_or(f64::INFINITY, |known| known.value);
                let answer = match of(Scope::Core) {
                    Answer::Known(known) => {
                        let value = (known.value * f64::from(cores)).min(whole);
                        Answer::Known(Known { value, error: None, ..known })
                    }
                    missing @ Answer::Missing { .. } => missing,
                };
                (answer, format!("{cores} times `{}` and at most all cores'", key(Scope::Core)))
            }
        };
        (answer, format!("profile `{}`, {whose}", self.profile().name))
    }

    /// The highest measured peak that products of a format may run at.
    fn peak(&self, dtype: DType) -> Result<Rate, String> {
        let measured = |resource| match self.ask(resource, Place::Anywhere) {
            (Answer::Known(Known { value, how: How::Measured { .. }, flags, .. }), from) => {
                Some(Rate { resource, value, from, flags })
            }
            _ => None,
        };
        let best = peaks(dtype).into_iter().filter_map(measured).reduce(|a, b| if b.value > a.value { b } else { a });
        best.ok_or_else(|| {
            if self.profile().ceilings.is_empty() {
                NOTHING_MEASURED.to_owned()
            } else {
                format!("no peak of multiply-adds in {dtype} was measured")
            }
        })
    }

    /// The highest peak that the maker prints, which is that of the whole device.
    fn claim(&self, dtype: DType) -> Option<Rate> {
        if self.team != Team::All {
            return None;
        }
        let sheets = || [Some(self.inputs.profile), self.inputs.datasheet].into_iter().flatten();
        let claims = peaks(dtype).into_iter().filter_map(|resource| {
            let claim = sheets().find_map(|sheet| sheet.claim(resource))?;
            (claim.value > 0.0 && claim.value.is_finite() && claim.unit == resource.unit()).then(|| Rate {
                resource,
                value: claim.value,
                from: claim.source.clone(),
                flags: Vec::new(),
            })
        });
        claims.reduce(|a, b| if b.value > a.value { b } else { a })
    }

    /// What the data paths of the units that reach the highest peak allow: width × units × clock.
    fn limit(&self, peak: Option<&Rate>) -> Result<Rate, String> {
        let Some(peak) = peak else { return Err("the maker's peak is not known".to_owned()) };
        let resource = peak.resource;
        let (scope, times) = match self.team {
            Team::All => (Scope::Device, 1),
            Team::One => (Scope::Core, 1),
            Team::Some(cores) => (Scope::Core, cores),
        };
        let ceiling = self.profile().ceiling(Key { resource, scope });
        let limit = match ceiling.map(|ceiling| &ceiling.outcome) {
            Some(Outcome::Ok { limit: Some(limit), .. }) if limit.value > 0.0 && limit.value.is_finite() => limit,
            _ => return Err(format!("the maker gives no figure for `{resource}`")),
        };
        let formula = if times > 1 { format!("{times} × {}", limit.formula) } else { limit.formula.clone() };
        Ok(Rate { resource, value: limit.value * f64::from(times), from: formula, flags: Vec::new() })
    }

    /// The ceiling of a shape: of products; for one row or column, also of matrix-vector products, unless that very shape was measured as a product.
    fn shape(&self, shape: Shape, dtype: DType, work: &Work, assumptions: &mut Vec<String>) -> Result<Rate, String> {
        let product = Resource::Gemm { input: dtype, accumulate: accumulated(dtype) };
        let (answer, from) = self.ask(product, Place::Shape(shape));
        let is_measured = matches!(&answer, Answer::Known(Known { how: How::Measured { .. }, .. }));
        if shape.m.min(shape.n) == 1 && !is_measured {
            let vector = Resource::Gemv { weights: dtype, activations: dtype };
            let bytes = dtype.bytes_per_element() * (shape.m.max(shape.n) as f64) * shape.k as f64;
            if let (Answer::Known(known), from) = self.ask(vector, Place::Bytes(bytes))
                && !matches!(known.how, How::Substituted { .. } | How::Datasheet { .. } | How::Imported { .. })
            {
                let value = work.ops as f64 * known.value / bytes;
                return Ok(Rate { resource: vector, value, from, flags: known.flags });
            }
        }
        match answer {
            Answer::Missing { why } => Err(format!("no product in {dtype}: {why}")),
            Answer::Known(Known { how: How::Datasheet { .. } | How::Imported { .. }, .. }) => {
                Err(NOTHING_MEASURED.to_owned())
            }
            Answer::Known(Known {
                how: How::Substituted { from: Key { resource: Resource::Compute { .. }, .. }, why, .. },
                ..
            }) => {
                let only_claims = self.profile().ceilings.is_empty();
                Err(if only_claims { NOTHING_MEASURED.to_owned() } else { format!("no product in {dtype}: {why}") })
            }
            Answer::Known(known) => {
                let (resource, word) = (stand_in(&known.how).unwrap_or(product), known.how.word());
                match &known.how {
                    How::Substituted { from, why, .. } => {
                        assumptions.push(format!("`{}` for `{product}`: {why}", from.resource));
                    }
                    How::Measured { .. } => {}
                    _ => assumptions.push(format!("`{product}` at {shape} is {word}, not measured{}", error(&known))),
                }
                Ok(Rate { resource, value: known.value, from: format!("{from}, {word}"), flags: known.flags })
            }
        }
    }

    /// The maker's bandwidth of main memory, where some bytes fit into no cache.
    fn claimed_memory(&self, bytes: f64) -> Option<f64> {
        let reads = Resource::Memory { level: Some(MemoryLevel::Dram), access: Access::plain(StreamOp::Read) };
        let sheets = [Some(self.inputs.profile), self.inputs.datasheet].into_iter().flatten();
        let claim = sheets.filter_map(|sheet| sheet.claim(reads)).map(|claim| claim.value).find(|value| *value > 0.0);
        claim.filter(|_| self.is_far(bytes))
    }

    /// The measured bandwidth of pure loads from where some bytes fit.
    fn memory(&self, bytes: f64) -> Option<f64> {
        let access = Access::plain(StreamOp::Read);
        let of = |level, at| self.ask(Resource::Memory { level, access }, at).0.known().cloned();
        let near = of(None, Place::Bytes(bytes));
        let near = near.filter(|known| matches!(known.how, How::Measured { .. } | How::Interpolated { .. }));
        let far = || of(Some(MemoryLevel::Dram), Place::Anywhere).filter(|_| self.is_far(bytes));
        let far = || far().filter(|known| !matches!(known.how, How::Datasheet { .. } | How::Imported { .. }));
        near.or_else(far).map(|known| known.value)
    }

    /// Whether some bytes fit into no cache.
    fn is_far(&self, bytes: f64) -> bool {
        bytes > self.cache()
    }

    /// Bytes that fit into a cache at the most.
    fn cache(&self) -> f64 {
        let device = &self.profile().device;
        let cache = device.last_level_cache(device.cores.max(1)) as f64;
        if cache > 0.0 { cache } else { NO_CACHE }
    }
}

/// Bytes of all three matrices.
const fn bytes(work: &Work) -> f64 {
    (work.bytes_read + work.bytes_written) as f64
}

/// What speaks against a rate, in words.
fn restless(rate: &Rate) -> Option<String> {
    let mut words: Vec<&str> = rate.flags.iter().map(Flag::word).collect();
    words.dedup();
    let (resource, words) = (rate.resource, words.join(", "));
    let moved = rate.flags.iter().map(spread).fold(0.0, f64::max);
    if moved >= MOVED {
        let by = percent(moved);
        return Some(format!(
            "`{resource}` moved by {by} while it was measured ({words}): measure it again on a quiet machine"
        ));
    }
    (!words.is_empty()).then(|| format!("`{resource}` is flagged: {words}"))
}

/// The resource that stands for another.
fn stand_in(how: &How) -> Option<Resource> {
    match how {
        How::Substituted { from, .. } => Some(from.resource),
        _ => None,
    }
}

/// How far off a value may be, in words.
fn error(known: &Known) -> String {
    known.error.map(|error| format!(", by ±{:.0} %", error * 100.0)).unwrap_or_default()
}
