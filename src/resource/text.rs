//! Resources as text, in documents and on the command line.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Resource;
use super::words::{ComputeUnit, Direction, Exchange, MemoryLevel, Overhead, Phase, RowwiseOp, Sharing};
use crate::dtype::DType;

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { level: Some(level), access } => write!(f, "memory.{level}.{access}"),
            Self::Memory { level: None, access } => write!(f, "memory.{access}"),
            Self::Compute { unit, input, accumulate } if input == accumulate => write!(f, "compute.{unit}.{input}"),
            Self::Compute { unit, input, accumulate } => write!(f, "compute.{unit}.{input}.{accumulate}"),
            Self::Gemm { input, accumulate } if input == accumulate => write!(f, "gemm.{input}"),
            Self::Gemm { input, accumulate } => write!(f, "gemm.{input}.{accumulate}"),
            Self::Gemv { weights, activations } if weights == activations => write!(f, "gemv.{weights}"),
            Self::Gemv { weights, activations } => write!(f, "gemv.{weights}.{activations}"),
            Self::Attention { phase, kv } => write!(f, "attention.{phase}.{kv}"),
            Self::Rowwise { op, dtype } => write!(f, "rowwise.{op}.{dtype}"),
            Self::Latency { level: Some(level) } => write!(f, "latency.{level}"),
            Self::Latency { level: None } => write!(f, "latency"),
            Self::Atomic { sharing } => write!(f, "atomic.{sharing}"),
            Self::HostLink { direction } => write!(f, "link.host.{direction}"),
            Self::PeerLink { exchange } => write!(f, "link.peer.{exchange}"),
            Self::Overhead { of } => write!(f, "overhead.{of}"),
        }
    }
}

/// A text that names no resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a resource this rooflab knows")]
pub struct UnknownResource(pub String);

impl FromStr for Resource {
    type Err = UnknownResource;

    fn from_str(text: &str) -> Result<Self, UnknownResource> {
        parse(text).ok_or_else(|| UnknownResource(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Resource> {
    let words: Vec<&str> = text.split('.').collect();
    Some(match words.as_slice() {
        ["memory", access] => Resource::Memory { level: None, access: access.parse().ok()? },
        ["memory", level, access] => {
            Resource::Memory { level: Some(MemoryLevel::from_word(level)?), access: access.parse().ok()? }
        }
        ["compute", unit, formats @ ..] => {
            let (input, accumulate) = pair(formats)?;
            Resource::Compute { unit: ComputeUnit::from_word(unit)?, input, accumulate }
        }
        ["gemm", formats @ ..] => {
            let (input, accumulate) = pair(formats)?;
            Resource::Gemm { input, accumulate }
        }
        ["gemv", formats @ ..] => {
            let (weights, activations) = pair(formats)?;
            Resource::Gemv { weights, activations }
        }
        ["attention", phase, kv] => Resource::Attention { phase: Phase::from_word(phase)?, kv: dtype(kv)? },
        ["rowwise", op, format] => Resource::Rowwise { op: RowwiseOp::from_word(op)?, dtype: dtype(format)? },
        ["latency"] => Resource::Latency { level: None },
        ["latency", level] => Resource::Latency { level: Some(MemoryLevel::from_word(level)?) },
        ["atomic", sharing] => Resource::Atomic { sharing: Sharing::from_word(sharing)? },
        ["link", "host", direction] => Resource::HostLink { direction: Direction::from_word(direction)? },
        ["link", "peer", exchange] => Resource::PeerLink { exchange: Exchange::from_word(exchange)? },
        ["overhead", of] => Resource::Overhead { of: Overhead::from_word(of)? },
        _ => return None,
    })
}

/// Two formats, of which the second is only written where it differs.
fn pair(formats: &[&str]) -> Option<(DType, DType)> {
    match formats {
        [both] => dtype(both).map(|both| (both, both)),
        [first, second] if first != second => Some((dtype(first)?, dtype(second)?)),
        _ => None,
    }
}

/// Documents use a format's own name, never an alias, so that every resource has one spelling.
fn dtype(word: &str) -> Option<DType> {
    word.parse::<DType>().ok().filter(|dtype| dtype.name() == word)
}

impl Serialize for Resource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Resource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Resource {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Resource")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "What the ceiling is a ceiling of: words joined by dots, from the general to the particular. Readers skip resources they do not know.",
            "pattern": "^[a-z0-9_]+(\\.[a-z0-9_]+)*$",
            "examples": ["memory.dram.read", "memory.triad_nt", "compute.vector.f32", "compute.vector.bf16.f32", "compute.matrix_sparse.bf16.f32", "gemm.bf16.f32", "gemv.int4_g128.bf16", "attention.decode.bf16", "rowwise.softmax.f32", "latency.dram", "link.host.memcpy", "link.peer.all_reduce", "overhead.launch"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{Access, StreamOp};
    use proptest::prelude::*;

    fn all() -> Vec<Resource> {
        let levels = || std::iter::once(None).chain(MemoryLevel::ALL.iter().copied().map(Some));
        let mut all = Vec::new();
        for level in levels() {
            all.push(Resource::Latency { level });
            for &op in StreamOp::ALL {
                all.push(Resource::Memory { level, access: Access::plain(op) });
                if op != StreamOp::Read {
                    all.push(Resource::Memory { level, access: Access::non_temporal(op) });
                }
            }
        }
        let formats = || crate::dtype::FORMATS.iter().map(|format| format.dtype);
        for (first, second) in formats().flat_map(|first| formats().map(move |second| (first, second))) {
            for &unit in ComputeUnit::ALL {
                all.push(Resource::Compute { unit, input: first, accumulate: second });
            }
            all.push(Resource::Gemm { input: first, accumulate: second });
            all.push(Resource::Gemv { weights: first, activations: second });
        }
        for dtype in formats() {
            all.extend(Phase::ALL.iter().map(|&phase| Resource::Attention { phase, kv: dtype }));
            all.extend(RowwiseOp::ALL.iter().map(|&op| Resource::Rowwise { op, dtype }));
        }
        all.extend(Sharing::ALL.iter().map(|&sharing| Resource::Atomic { sharing }));
        all.extend(Direction::ALL.iter().map(|&direction| Resource::HostLink { direction }));
        all.extend(Exchange::ALL.iter().map(|&exchange| Resource::PeerLink { exchange }));
        all.extend(Overhead::ALL.iter().map(|&of| Resource::Overhead { of }));
        all
    }

    #[test]
    fn every_resource_survives_the_round_trip_and_has_its_own_spelling() {
        let mut spellings = std::collections::BTreeSet::new();
        for resource in all() {
            let text = resource.to_string();
            assert_eq!(text.parse(), Ok(resource), "{text}");
            assert!(spellings.insert(text));
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            ".",
            "memory",
            "memory.read_nt",
            "memory.l9.read",
            "compute.vector.fp32",
            "compute.vector.f32.f32",
            "gemm.f32.f32",
            "gemm",
            "attention.f32",
            "Memory.read",
        ] {
            assert!(text.parse::<Resource>().is_err(), "{text}");
        }
    }

    #[test]
    fn triad_moves_three_arrays() {
        assert_eq!(StreamOp::Triad.arrays(), 3);
        assert_eq!(
            "memory.dram.triad".parse::<Resource>().unwrap().counting(),
            "8 B loaded + 4 B stored per element; write-allocate traffic not counted"
        );
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_parses_prints_back(text in "[a-z0-9_.]{0,40}|\\PC{0,20}") {
            if let Ok(resource) = text.parse::<Resource>() {
                prop_assert_eq!(resource.to_string(), text);
            }
        }
    }
}
