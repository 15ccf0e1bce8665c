//! The table of number formats: bits, block structure and the names other tools give them.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the bits of one element are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A floating-point number; operations on it are FLOPs.
    Float,
    /// An integer; operations on it are OPs.
    Integer,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// The format.
    pub dtype: DType,
    /// Its name in rooflab's documents.
    pub name: &'static str,
    /// Float or integer.
    pub kind: Kind,
    /// Bits stored per element, without shared scales.
    pub bits: u32,
    /// Elements that share scales; 1 when every element stands alone.
    pub block: u32,
    /// Bits of scales and offsets stored per block.
    pub scale_bits: u32,
    /// Names other tools use.
    pub aliases: &'static [&'static str],
}

macro_rules! formats {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $kind:ident, $bits:literal, $block:literal, $scale:literal, $aliases:expr;)*) => {
        /// A number format.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum DType {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        /// Every format, in the order of [`DType`].
        pub const FORMATS: &[Format] = &[
            $(Format { dtype: DType::$variant, name: $name, kind: Kind::$kind, bits: $bits, block: $block, scale_bits: $scale, aliases: &$aliases },)*
        ];
    };
}

formats! {
    /// IEEE 754 binary64.
    F64 = "f64", Float, 64, 1, 0, ["fp64", "float64", "double"];
    /// IEEE 754 binary32.
    F32 = "f32", Float, 32, 1, 0, ["fp32", "float32", "float"];
    /// NVIDIA TF32: binary32 storage, 10 mantissa bits in the multiply.
    Tf32 = "tf32", Float, 32, 1, 0, ["tfloat32"];
    /// IEEE 754 binary16.
    F16 = "f16", Float, 16, 1, 0, ["fp16", "float16", "half"];
    /// bfloat16: the upper half of binary32.
    Bf16 = "bf16", Float, 16, 1, 0, ["bfloat16"];
    /// FP8 with 4 exponent bits (OCP E4M3).
    Fp8E4m3 = "fp8_e4m3", Float, 8, 1, 0, ["fp8", "e4m3", "float8_e4m3fn", "f8_e4m3"];
    /// FP8 with 5 exponent bits (OCP E5M2).
    Fp8E5m2 = "fp8_e5m2", Float, 8, 1, 0, ["e5m2", "float8_e5m2", "f8_e5m2"];
    /// OCP microscaling FP4: E2M1 elements, one E8M0 scale per 32.
    Mxfp4 = "mxfp4", Float, 4, 32, 8, ["mx_fp4"];
    /// NVIDIA FP4: E2M1 elements, one FP8 scale per 16.
    Nvfp4 = "nvfp4", Float, 4, 16, 8, ["fp4"];
    /// 64-bit integer.
    Int64 = "int64", Integer, 64, 1, 0, ["i64"];
    /// 32-bit integer.
    Int32 = "int32", Integer, 32, 1, 0, ["i32"];
    /// 8-bit integer.
    Int8 = "int8", Integer, 8, 1, 0, ["i8", "s8", "u8"];
    /// 4-bit integer.
    Int4 = "int4", Integer, 4, 1, 0, ["i4", "s4", "u4"];
    /// 4-bit integers with one 16-bit scale per 128 (GPTQ and AWQ, symmetric).
    Int4G128 = "int4_g128", Integer, 4, 128, 16, ["w4g128", "gptq-4bit", "awq"];
    /// GGUF Q8_0: 8-bit integers, one f16 scale per 32.
    Q8_0 = "q8_0", Integer, 8, 32, 16, ["Q8_0"];
    /// GGUF Q4_0: 4-bit integers, one f16 scale per 32.
    Q4_0 = "q4_0", Integer, 4, 32, 16, ["Q4_0"];
}

impl DType {
    /// The format's row of the table.
    #[must_use]
    pub const fn format(self) -> &'static Format {
        &FORMATS[self as usize]
    }

    /// The format's name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.format().name
    }

    /// Stored bytes per element, scales included: `(bits + scale_bits / block) / 8`.
    #[must_use]
    pub fn bytes_per_element(self) -> f64 {
        let format = self.format();
        (f64::from(format.bits) + f64::from(format.scale_bits) / f64::from(format.block)) / 8.0
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is in no row of the table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a number format rooflab knows")]
pub struct UnknownDType(String);

impl FromStr for DType {
    type Err = UnknownDType;

    /// Reads rooflab's name or an alias, without regard to case.
    fn from_str(text: &str) -> Result<Self, UnknownDType> {
        FORMATS
            .iter()
            .find(|format| {
                std::iter::once(&format.name).chain(format.aliases).any(|name| name.eq_ignore_ascii_case(text))
            })
            .map(|format| format.dtype)
            .ok_or_else(|| UnknownDType(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn table_is_complete_and_names_are_unique() {
        let mut names = BTreeSet::new();
        for (index, format) in FORMATS.iter().enumerate() {
            assert_eq!(format.dtype as usize, index);
            assert_eq!(serde_json::to_value(format.dtype).unwrap(), format.name);
            let folded = std::iter::once(&format.name).chain(format.aliases).map(|name| name.to_lowercase());
            for name in folded.collect::<BTreeSet<_>>() {
                assert_eq!(name.parse::<DType>(), Ok(format.dtype));
                assert!(names.insert(name.clone()), "{name} names two formats");
            }
        }
        assert!("f17".parse::<DType>().is_err());
    }

    #[test]
    fn scales_are_counted() {
        assert_eq!(DType::Bf16.bytes_per_element(), 2.0);
        assert_eq!(DType::Q4_0.bytes_per_element(), 18.0 / 32.0);
        assert_eq!(DType::Q8_0.bytes_per_element(), 34.0 / 32.0);
        assert_eq!(DType::Mxfp4.bytes_per_element(), 17.0 / 32.0);
        assert_eq!(DType::Nvfp4.bytes_per_element(), 9.0 / 16.0);
        assert_eq!(DType::Int4G128.bytes_per_element(), 4.125 / 8.0);
    }
}
