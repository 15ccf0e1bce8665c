//! The names of weight and cache formats as people type them.

use std::str::FromStr;

use super::format::{Granularity, KvFormat, Scales, Sparsity, WeightFormat};
use crate::dtype::{DType, FORMATS, Kind};

/// Names and the formats they stand for; every name of a GGUF type stands for that type besides.
const WEIGHTS: &[(&[&str], WeightFormat)] = &[
    (&["bf16", "bfloat16"], WeightFormat::plain(DType::Bf16)),
    (&["f16", "fp16", "float16"], WeightFormat::plain(DType::F16)),
    (&["f32", "fp32", "float32"], WeightFormat::plain(DType::F32)),
    (&["fp8", "fp8_e4m3"], scaled(DType::Fp8E4m3, Granularity::Tensor, 32, 0, DType::Fp8E4m3)),
    (&["fp8-row"], scaled(DType::Fp8E4m3, Granularity::Row, 32, 0, DType::Fp8E4m3)),
    (
        &["fp8-block128"],
        scaled(DType::Fp8E4m3, Granularity::Block { outputs: 128, inputs: 128 }, 32, 0, DType::Fp8E4m3),
    ),
    (&["w8a16"], scaled(DType::Int8, Granularity::Row, 32, 0, DType::Bf16)),
    (&["w8a8", "int8"], scaled(DType::Int8, Granularity::Row, 32, 0, DType::Int8)),
    // The format that matrix–vector products are measured with; as many bits as 4-bit integers and a scale of 16 bits beside 128 of them.
    (
        &["w4a16", "w4a16-g128", "int4_g128"],
        WeightFormat { activations: DType::Bf16, ..WeightFormat::plain(DType::Int4G128) },
    ),
    (&["w4a16-g64"], scaled(DType::Int4, Granularity::Group(64), 16, 0, DType::Bf16)),
    (&["w4a16-g32"], scaled(DType::Int4, Granularity::Group(32), 16, 0, DType::Bf16)),
    (&["w4a16-zp", "w4a16-g128-zp"], scaled(DType::Int4, Granularity::Group(128), 16, 4, DType::Bf16)),
    (&["w4a16-g64-zp"], scaled(DType::Int4, Granularity::Group(64), 16, 4, DType::Bf16)),
    (&["w4a16-g32-zp"], scaled(DType::Int4, Granularity::Group(32), 16, 4, DType::Bf16)),
    (&["mxfp4"], WeightFormat { activations: DType::Bf16, ..WeightFormat::plain(DType::Mxfp4) }),
    // One f32 for the whole matrix besides, by which the small scales are scaled.
    (&["nvfp4"], scaled(DType::Nvfp4, Granularity::Tensor, 32, 0, DType::Nvfp4)),
];

/// Names of cache formats. Integers have a scale and a zero point of 16 bits for each head's vector, as LMDeploy stores them.
const CACHES: &[(&[&str], KvFormat)] = &[
    (&["bf16", "bfloat16"], KvFormat::plain(DType::Bf16)),
    (&["f16", "fp16", "float16"], KvFormat::plain(DType::F16)),
    (&["f32", "fp32", "float32"], KvFormat::plain(DType::F32)),
    (&["fp8", "fp8_e4m3"], KvFormat::plain(DType::Fp8E4m3)),
    (&["fp8_e5m2"], KvFormat::plain(DType::Fp8E5m2)),
    (&["int8"], KvFormat { element: DType::Int8, scale_bits: 32 }),
    (&["int4"], KvFormat { element: DType::Int4, scale_bits: 32 }),
    (&["q8_0"], KvFormat::plain(DType::Q8_0)),
    (&["q5_1"], KvFormat::plain(DType::Q5_1)),
    (&["q5_0"], KvFormat::plain(DType::Q5_0)),
    (&["q4_1"], KvFormat::plain(DType::Q4_1)),
    (&["q4_0"], KvFormat::plain(DType::Q4_0)),
];

/// What is written after a name of weights of which two in four are zero and not stored.
const SPARSE: &str = "+2:4";

const fn scaled(element: DType, shared_by: Granularity, bits: u32, zero_bits: u32, activations: DType) -> WeightFormat {
    WeightFormat { element, scales: Some(Scales { shared_by, bits, zero_bits }), activations, sparsity: None }
}

/// A name that stands for no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no format of {what}; known are {known}")]
pub struct UnknownFormat {
    name: String,
    what: &'static str,
    known: String,
}

impl Sparsity {
    /// Two of four elements are stored. The speed-up is what is seen in practice, of the 2 that are possible.
    pub const TWO_OF_FOUR: Self = Self { kept: 2, of: 4, index_bits: 2, speedup: 1.5 };
}

/// The types of GGUF files that are no plain numbers.
pub(super) fn is_gguf_type(dtype: DType) -> bool {
    let format = dtype.format();
    format.kind == Kind::Integer && format.block > 1 && dtype != DType::Int4G128
}

fn gguf_types() -> impl Iterator<Item = DType> {
    FORMATS.iter().map(|format| format.dtype).filter(|&dtype| is_gguf_type(dtype))
}

impl WeightFormat {
    /// The names that [`FromStr`] reads, one of each format.
    pub fn known_names() -> impl Iterator<Item = &'static str> {
        WEIGHTS.iter().filter_map(|(names, _)| names.first().copied()).chain(gguf_types().map(DType::name))
    }
}

impl WeightFormat {
    /// The name that it is read by; that of its elements where it has none.
    #[must_use]
    pub fn name(&self) -> String {
        let dense = Self { sparsity: None, ..*self };
        let known = WEIGHTS.iter().find(|(_, format)| *format == dense).and_then(|(names, _)| names.first());
        let name = known.copied().unwrap_or_else(|| self.element.name());
        format!("{name}{}", if self.sparsity.is_some() { SPARSE } else { "" })
    }
}

impl FromStr for WeightFormat {
    type Err = UnknownFormat;

    /// Reads a name without regard to case; `+2:4` after it makes the format a sparse one.
    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let (name, sparsity) = match text.strip_suffix(SPARSE) {
            Some(name) => (name, Some(Sparsity::TWO_OF_FOUR)),
            None => (text, None),
        };
        let gguf = || {
            let dtype = gguf_types().find(|dtype| dtype.name().eq_ignore_ascii_case(name))?;
            Some(Self { activations: DType::Bf16, ..Self::plain(dtype) })
        };
        let format = find(WEIGHTS, name).or_else(gguf).ok_or_else(|| UnknownFormat {
            name: text.chars().take(64).collect(),
            what: "weights",
            known: Self::known_names().collect::<Vec<_>>().join(", "),
        })?;
        Ok(Self { sparsity, ..format })
    }
}

impl KvFormat {
    /// The names that [`FromStr`] reads, one of each format.
    pub fn known_names() -> impl Iterator<Item = &'static str> {
        CACHES.iter().filter_map(|(names, _)| names.first().copied())
    }
}

impl FromStr for KvFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        find(CACHES, text).ok_or_else(|| UnknownFormat {
            name: text.chars().take(64).collect(),
            what: "keys and values",
            known: Self::known_names().collect::<Vec<_>>().join(", "),
        })
    }
}

fn find<T: Copy>(table: &[(&[&str], T)], wanted: &str) -> Option<T> {
    table
        .iter()
        .find(|(names, _)| names.iter().any(|name| name.eq_ignore_ascii_case(wanted)))
        .map(|&(_, format)| format)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(name: &str) -> f64 {
        name.parse::<WeightFormat>().unwrap().bytes(4096, 4096).get() * 8.0 / (4096.0 * 4096.0)
    }

    #[test]
    fn names_are_read_and_bits_counted() {
        let row = 32.0 / 4096.0;
        for (name, expected) in [
            ("bf16", 16.0),
            ("FP8", 8.0 + row / 4096.0),
            ("fp8-block128", 8.0 + 32.0 / 16_384.0),
            ("w8a16", 8.0 + row),
            ("int8", 8.0 + row),
            ("w4a16", 4.125),
            ("w4a16-g64", 4.25),
            ("w4a16-g32", 4.5),
            ("w4a16-zp", 4.0 + 20.0 / 128.0),
            ("mxfp4", 4.25),
            ("nvfp4", 4.5 + row / 4096.0),
            ("q4_k", 4.5),
            ("Q6_K", 6.5625),
            ("q8_0", 8.5),
        ] {
            assert_eq!(bits(name), expected, "{name}");
        }
        for name in WeightFormat::known_names() {
            assert!(name.parse::<WeightFormat>().is_ok(), "{name}");
        }
        for name in KvFormat::known_names() {
            assert!(name.parse::<KvFormat>().is_ok(), "{name}");
        }
        for name in WeightFormat::known_names() {
            assert_eq!(name.parse::<WeightFormat>().unwrap().name(), name);
        }
        assert_eq!("bf16+2:4".parse::<WeightFormat>().unwrap().name(), "bf16+2:4");
        let error = "w5a16".parse::<WeightFormat>().unwrap_err().to_string();
        assert!(error.starts_with("`w5a16` is no format of weights; known are bf16, "), "{error}");
        assert!("q4_k_m".parse::<WeightFormat>().is_err(), "a mixture is known from a file only");
        assert!("w4".parse::<KvFormat>().is_err());
    }

    /// C32: the printed "about 43 %" is that of 16 bits alone.
    #[test]
    fn two_of_four_saves_less_the_fewer_bits_there_are() {
        let saved = |element| {
            let dense = WeightFormat::plain(element);
            let sparse = WeightFormat { sparsity: Some(Sparsity::TWO_OF_FOUR), ..dense };
            1.0 - sparse.bytes(512, 512) / dense.bytes(512, 512)
        };
        assert_eq!(saved(DType::Bf16), 0.4375);
        assert_eq!(saved(DType::Int8), 0.375);
        assert_eq!(saved(DType::Int4), 0.25);
        assert_eq!("bf16+2:4".parse::<WeightFormat>().unwrap().sparsity, Some(Sparsity::TWO_OF_FOUR));
    }
}
