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
    /// 3-bit integer.
    Int3 = "int3", Integer, 3, 1, 0, ["i3", "s3", "u3"];
    /// 2-bit integer.
    Int2 = "int2", Integer, 2, 1, 0, ["i2", "s2", "u2"];
    /// 4-bit code for normally distributed weights (bitsandbytes NF4); its scales are stored beside it.
    Nf4 = "nf4", Float, 4, 1, 0, ["normal_float4"];
    /// 4-bit integers with one 16-bit scale per 128 (GPTQ and AWQ, symmetric).
    Int4G128 = "int4_g128", Integer, 4, 128, 16, ["w4g128", "gptq-4bit", "awq"];
    /// GGUF Q8_0: 8-bit integers, one f16 scale per 32.
    Q8_0 = "q8_0", Integer, 8, 32, 16, ["Q8_0"];
    /// GGUF Q4_0: 4-bit integers, one f16 scale per 32.
    Q4_0 = "q4_0", Integer, 4, 32, 16, ["Q4_0"];
    /// GGUF Q4_1: 4-bit integers, f16 scale and minimum per 32.
    Q4_1 = "q4_1", Integer, 4, 32, 32, [];
    /// GGUF Q5_0: 5-bit integers, one f16 scale per 32.
    Q5_0 = "q5_0", Integer, 5, 32, 16, [];
    /// GGUF Q5_1: 5-bit integers, f16 scale and minimum per 32.
    Q5_1 = "q5_1", Integer, 5, 32, 32, [];
    /// GGUF Q8_1: 8-bit integers, f16 scale and sum per 32.
    Q8_1 = "q8_1", Integer, 8, 32, 32, [];
    /// GGUF Q2_K: 2-bit integers, 84 bytes per 256.
    Q2K = "q2_k", Integer, 2, 256, 160, [];
    /// GGUF Q3_K: 3-bit integers, 110 bytes per 256.
    Q3K = "q3_k", Integer, 3, 256, 112, [];
    /// GGUF Q4_K: 4-bit integers, 144 bytes per 256.
    Q4K = "q4_k", Integer, 4, 256, 128, [];
    /// GGUF Q5_K: 5-bit integers, 176 bytes per 256.
    Q5K = "q5_k", Integer, 5, 256, 128, [];
    /// GGUF Q6_K: 6-bit integers, 210 bytes per 256.
    Q6K = "q6_k", Integer, 6, 256, 144, [];
    /// GGUF Q8_K: 8-bit integers, 292 bytes per 256.
    Q8K = "q8_k", Integer, 8, 256, 288, [];
    /// GGUF IQ1_S: indices into a table, 50 bytes per 256.
    Iq1S = "iq1_s", Integer, 1, 256, 144, [];
    /// GGUF IQ1_M: indices into a table, 56 bytes per 256.
    Iq1M = "iq1_m", Integer, 1, 256, 192, [];
    /// GGUF IQ2_XXS: indices into a table, 66 bytes per 256.
    Iq2Xxs = "iq2_xxs", Integer, 2, 256, 16, [];
    /// GGUF IQ2_XS: indices into a table, 74 bytes per 256.
    Iq2Xs = "iq2_xs", Integer, 2, 256, 80, [];
    /// GGUF IQ2_S: indices into a table, 82 bytes per 256.
    Iq2S = "iq2_s", Integer, 2, 256, 144, [];
    /// GGUF IQ3_XXS: indices into a table, 98 bytes per 256.
    Iq3Xxs = "iq3_xxs", Integer, 3, 256, 16, [];
    /// GGUF IQ3_S: indices into a table, 110 bytes per 256.
    Iq3S = "iq3_s", Integer, 3, 256, 112, [];
    /// GGUF IQ4_NL: 4-bit codes of unequal steps, one f16 scale per 32.
    Iq4Nl = "iq4_nl", Integer, 4, 32, 16, [];
    /// GGUF IQ4_XS: 4-bit codes of unequal steps, 136 bytes per 256.
    Iq4Xs = "iq4_xs", Integer, 4, 256, 64, [];
    /// GGUF TQ1_0: ternary weights, five to a byte, 54 bytes per 256.
    Tq1_0 = "tq1_0", Integer, 1, 256, 176, [];
    /// GGUF TQ2_0: ternary weights, four to a byte, 66 bytes per 256.
    Tq2_0 = "tq2_0", Integer, 2, 256, 16, [];
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

    /// Bytes of a block as `ggml` defines its structures.
    #[test]
    fn blocks_of_gguf_types_are_as_large_as_their_structures() {
        for (dtype, elements, bytes) in [
            (DType::Q4_0, 32, 18),
            (DType::Q4_1, 32, 20),
            (DType::Q5_0, 32, 22),
            (DType::Q5_1, 32, 24),
            (DType::Q8_0, 32, 34),
            (DType::Q8_1, 32, 36),
            (DType::Q2K, 256, 84),
            (DType::Q3K, 256, 110),
            (DType::Q4K, 256, 144),
            (DType::Q5K, 256, 176),
            (DType::Q6K, 256, 210),
            (DType::Q8K, 256, 292),
            (DType::Iq1S, 256, 50),
            (DType::Iq1M, 256, 56),
            (DType::Iq2Xxs, 256, 66),
            (DType::Iq2Xs, 256, 74),
            (DType::Iq2S, 256, 82),
            (DType::Iq3Xxs, 256, 98),
            (DType::Iq3S, 256, 110),
            (DType::Iq4Nl, 32, 18),
            (DType::Iq4Xs, 256, 136),
            (DType::Tq1_0, 256, 54),
            (DType::Tq2_0, 256, 66),
            (DType::Mxfp4, 32, 17),
        ] {
            let format = dtype.format();
            assert_eq!(
                (format.block, format.bits * format.block + format.scale_bits),
                (elements, bytes * 8),
                "{dtype}"
            );
        }
    }
}
