//! What stands for a resource that has no value of its own: a table of rules, in order of preference. None of them scales a value, and
//! none crosses from one core to the whole device or back.

use super::answer::{How, Known};
use super::{Ceilings, Demand, Place, usable};
use crate::dtype::{DType, FORMATS};
use crate::facts::DeviceKind;
use crate::profile::document::{Ceiling, Outcome};
use crate::resource::{Access, ComputeUnit, MemoryLevel, Phase, Resource, RowwiseOp, Scope, StreamOp};
use crate::workload::{HEADS, Shape};

/// Bits of the widest formats that matrix units of all makers' GPUs multiply.
const MATRIX_BITS: u32 = 16;

/// What may stand for a resource.
struct Rule {
    /// What its values are taken from.
    from: From,
    /// Other resources and where they are asked, the best first; empty where the rule says nothing of a demand.
    stand_ins: fn(&Ceilings<'_>, &Demand) -> Vec<(Resource, Place)>,
    /// Why they may stand for it, and what that does to the value.
    why: &'static str,
}

/// What a rule takes values from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// Measured points.
    Points,
    /// The maker's figures.
    Claims,
    /// Measured points; without any, the maker's figures.
    Both,
}

/// The rules, the best first.
static RULES: &[Rule] = &[
    Rule {
        from: From::Points,
        stand_ins: |ceilings, demand| match (demand.resource.level(), demand.at) {
            (Some(_), Place::Bytes(_)) => vec![(demand.resource.at_level(None), demand.at)],
            (Some(level), _) => {
                let at = ceilings.within(level, demand.scope);
                at.map(|at| (demand.resource.at_level(None), at)).into_iter().collect()
            }
            (None, _) => Vec::new(),
        },
        why: "the curve over all levels stands for it, at a working set within that level",
    },
    Rule {
        from: From::Both,
        stand_ins: |_, demand| match demand.resource {
            Resource::Memory { level: None, access } => vec![(dram(access), Place::Anywhere)],
            _ => Vec::new(),
        },
        why: "main memory stands for the curve; a working set within the caches may be faster",
    },
    Rule {
        from: From::Both,
        stand_ins: |ceilings, demand| match demand.resource {
            Resource::Compute { unit: ComputeUnit::Matrix, input, accumulate } => {
                ceilings.peaks(&[(input, accumulate)], demand.scope)
            }
            _ => Vec::new(),
        },
        why: "the vector units stand for the matrix units, with the same formats",
    },
    Rule {
        from: From::Points,
        stand_ins: |ceilings, demand| match demand.resource {
            Resource::Gemm { input, accumulate } if input.format().bits < DType::F32.format().bits => {
                let single = Resource::Gemm { input: DType::F32, accumulate: DType::F32 };
                let lower = ceilings.has_lower_peak(DType::F32, (input, accumulate), demand.scope);
                lower.then_some((single, demand.at)).into_iter().collect()
            }
            _ => Vec::new(),
        },
        why: "products of f32, whose peak is lower, stand for it: a lower bound",
    },
    Rule {
        from: From::Both,
        stand_ins: |ceilings, demand| match demand.resource {
            Resource::Gemm { input, accumulate } => ceilings.peaks(&[(input, accumulate)], demand.scope),
            _ => Vec::new(),
        },
        why: "the peak of multiply-adds stands for it: an upper bound, in which bytes cost nothing",
    },
    Rule {
        from: From::Points,
        stand_ins: |_, demand| match demand.resource {
            Resource::Gemv { .. } => vec![(reads(None), demand.at)],
            _ => Vec::new(),
        },
        why: "pure loads stand for it: every weight is read once",
    },
    Rule {
        from: From::Both,
        stand_ins: |_, demand| match demand.resource {
            Resource::Gemv { .. } => vec![(reads(Some(MemoryLevel::Dram)), Place::Anywhere)],
            _ => Vec::new(),
        },
        why: "pure loads from main memory stand for it: every weight is read once; weights within the caches may be faster",
    },
    Rule {
        from: From::Points,
        stand_ins: |_, demand| match demand.resource {
            Resource::Attention { phase: Phase::Decode, kv } => {
                let alike = |other: &DType| *other != kv && other.format().bits == kv.format().bits;
                let others = FORMATS.iter().map(|format| format.dtype).filter(alike);
                others.map(|kv| (Resource::Attention { phase: Phase::Decode, kv }, demand.at)).collect()
            }
            _ => Vec::new(),
        },
        why: "keys and values of another format with as many bits stand for it",
    },
    Rule {
        from: From::Both,
        stand_ins: |_, demand| match demand.resource {
            Resource::Attention { phase: Phase::Decode, .. } => {
                vec![(reads(None), Place::Anywhere), (reads(Some(MemoryLevel::Dram)), Place::Anywhere)]
            }
            _ => Vec::new(),
        },
        why: "pure loads of the largest working set stand for it: keys and values are read once; an upper bound",
    },
    Rule {
        from: From::Points,
        stand_ins: |_, demand| match demand.resource {
            Resource::Attention { phase: Phase::Prefill, kv } => {
                let at = scores(demand.at);
                sums(kv).iter().map(|&(input, accumulate)| (Resource::Gemm { input, accumulate }, at)).collect()
            }
            _ => Vec::new(),
        },
        why: "a head's queries times its keys, as a matrix product, stand for it: an upper bound, without the exponentials",
    },
    Rule {
        from: From::Both,
        stand_ins: |ceilings, demand| match demand.resource {
            Resource::Attention { phase: Phase::Prefill, kv } => ceilings.peaks(&sums(kv), demand.scope),
            _ => Vec::new(),
        },
        why: "the peak of multiply-adds stands for it: an upper bound, in which bytes and exponentials cost nothing",
    },
    Rule {
        from: From::Points,
        stand_ins: |_, demand| match demand.resource {
            Resource::Rowwise { op, dtype } if dtype != DType::F32 => {
                vec![(Resource::Rowwise { op, dtype: DType::F32 }, demand.at)]
            }
            _ => Vec::new(),
        },
        why: "the same operator on f32 stands for it, byte for byte",
    },
    Rule {
        from: From::Points,
        stand_ins: |_, demand| match demand.resource {
            Resource::Rowwise { op, .. } => {
                let access = Access::plain(alike(op));
                vec![(Resource::Memory { level: None, access }, demand.at), (dram(access), Place::Anywhere)]
            }
            _ => Vec::new(),
        },
        why: "a stream with as many loads and stores stands for it, in which arithmetic costs nothing",
    },
    Rule {
        from: From::Claims,
        stand_ins: |_, demand| match demand.resource {
            Resource::Memory { level: None | Some(MemoryLevel::Dram), .. } | Resource::Rowwise { .. } => {
                vec![(reads(Some(MemoryLevel::Dram)), Place::Anywhere)]
            }
            _ => Vec::new(),
        },
        why: "the one bandwidth of main memory that a datasheet gives stands for every access to it",
    },
];

impl Ceilings<'_> {
    /// The first substitute that was measured.
    pub(super) fn substitute(&self, demand: &Demand, absent: &str) -> Option<Known> {
        self.first(demand, absent, From::Points, |stand_in| self.measured(stand_in))
    }

    /// The first substitute that another tool measured, or else the first that the maker gives a figure for.
    pub(super) fn claimed_substitute(&self, demand: &Demand, absent: &str) -> Option<Known> {
        [From::Points, From::Claims]
            .into_iter()
            .find_map(|from| self.first(demand, absent, from, |stand_in| self.imported(stand_in)))
            .or_else(|| self.first(demand, absent, From::Claims, |stand_in| self.claimed(stand_in)))
    }

    fn first(
        &self,
        demand: &Demand,
        absent: &str,
        from: From,
        ask: impl Fn(&Demand) -> Option<Known>,
    ) -> Option<Known> {
        RULES.iter().filter(|rule| rule.from == from || rule.from == From::Both).find_map(|rule| {
            let demands = (rule.stand_ins)(self, demand)
                .into_iter()
                .filter(|(resource, _)| *resource != demand.resource && resource.unit() == demand.resource.unit())
                .map(|(resource, at)| Demand { resource, scope: demand.scope, at });
            let (from, known) = demands.into_iter().find_map(|stand_in| Some((stand_in.key(), ask(&stand_in)?)))?;
            let why = format!("{absent}; {}", rule.why);
            let how = How::Substituted { from, why, known: Box::new(known.how) };
            // What the substitute's error says of the resource itself, nobody knows.
            Some(Known { how, error: None, ..known })
        })
    }

    /// A working set within a level: the middle of the stretch that another access found; of main memory, the largest.
    fn within(&self, level: MemoryLevel, scope: Scope) -> Option<Place> {
        if level == MemoryLevel::Dram {
            return Some(Place::Anywhere);
        }
        let stretch = |ceiling: &Ceiling| match &ceiling.outcome {
            Outcome::Ok { plateau: Some(range), .. } if usable(range.from) && usable(range.to) => Some(*range),
            _ => None,
        };
        let there = self.profile.ceilings.iter().filter(|ceiling| {
            matches!(ceiling.resource, Resource::Memory { level: Some(other), .. } if other == level)
                && ceiling.scope == scope
        });
        let middle = there.filter_map(stretch).map(|range| ((range.from.ln() + range.to.ln()) / 2.0).exp()).next()?;
        Some(Place::Bytes(middle))
    }

    /// Whether the peak of multiply-adds in one format is known to be below that in others.
    fn has_lower_peak(&self, format: DType, others: (DType, DType), scope: Scope) -> bool {
        let best = |resource| self.measured(&Demand { resource, scope, at: Place::Anywhere }).map(|known| known.value);
        let peak =
            |formats| self.peaks(&[formats], scope).into_iter().filter_map(|(peak, _)| best(peak)).reduce(f64::max);
        matches!((peak((format, format)), peak(others)), (Some(lower), Some(higher)) if lower < higher)
    }

    /// Peaks of multiply-adds: matrix units with any of the formats, then vector units. Where there are matrix units of which nothing was
    /// measured, vector units would understate them many times over, and stand for nothing.
    fn peaks(&self, formats: &[(DType, DType)], scope: Scope) -> Vec<(Resource, Place)> {
        let peak = |unit, &(input, accumulate): &(DType, DType)| Resource::Compute { unit, input, accumulate };
        // A GPU of which neither the maker's sheet nor the device says that it has none is taken to have some.
        let unknown = self.profile.device.kind == DeviceKind::Gpu && !self.has_claimed_peaks();
        let presumed = |&(input, _): &(DType, DType)| unknown && input.format().bits <= MATRIX_BITS;
        let unmeasured = |formats: &(DType, DType)| {
            let demand = Demand { resource: peak(ComputeUnit::Matrix, formats), scope, at: Place::Anywhere };
            match self.profile.ceiling(demand.key()).map(|ceiling| &ceiling.outcome) {
                Some(Outcome::Unsupported { .. }) => false,
                Some(Outcome::Ok { points, .. }) if !points.is_empty() => false,
                _ => self.claimed(&demand).is_some() || presumed(formats),
            }
        };
        let mut peaks: Vec<Resource> = formats.iter().map(|formats| peak(ComputeUnit::Matrix, formats)).collect();
        if !formats.iter().any(unmeasured) {
            peaks.extend(formats.iter().map(|formats| peak(ComputeUnit::Vector, formats)));
        }
        peaks.into_iter().map(|peak| (peak, Place::Anywhere)).collect()
    }
}

/// A format with what it may be summed in.
fn sums(format: DType) -> Vec<(DType, DType)> {
    let mut sums = vec![(format, DType::F32), (format, format)];
    sums.dedup();
    sums
}

/// The product of a head's queries and keys for a prompt.
fn scores(at: Place) -> Place {
    match at {
        // A number of tokens was found to be positive; beyond what fits, it saturates.
        Place::Tokens(tokens) => {
            let tokens = (tokens.round() as u64).max(1);
            Place::Shape(Shape { m: tokens, n: tokens, k: HEADS.dim })
        }
        _ => Place::Anywhere,
    }
}

/// The stream that loads and stores as much as an operator.
const fn alike(op: RowwiseOp) -> StreamOp {
    if op.elements_read() > 1 { StreamOp::Triad } else { StreamOp::Copy }
}

const fn reads(level: Option<MemoryLevel>) -> Resource {
    Resource::Memory { level, access: Access::plain(StreamOp::Read) }
}

const fn dram(access: Access) -> Resource {
    Resource::Memory { level: Some(MemoryLevel::Dram), access }
}
