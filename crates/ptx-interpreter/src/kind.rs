//! The fundamental types of PTX: what the bits of an operand mean.

/// A type as instructions and declarations name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Pred,
    B8,
    B16,
    B32,
    B64,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    U16x2,
    S16x2,
    F16,
    F16x2,
    Bf16,
    Bf16x2,
    Tf32,
    E4m3x2,
    E5m2x2,
    F32,
    F64,
}

use Kind::{
    B8, B16, B32, B64, Bf16, Bf16x2, E4m3x2, E5m2x2, F16, F16x2, F32, F64, Pred, S8, S16, S16x2, S32, S64, Tf32, U8,
    U16, U16x2, U32, U64,
};

const NAMES: &[(&str, Kind, u32)] = &[
    ("pred", Pred, 1),
    ("b8", B8, 1),
    ("b16", B16, 2),
    ("b32", B32, 4),
    ("b64", B64, 8),
    ("u8", U8, 1),
    ("u16", U16, 2),
    ("u32", U32, 4),
    ("u64", U64, 8),
    ("s8", S8, 1),
    ("s16", S16, 2),
    ("s32", S32, 4),
    ("s64", S64, 8),
    ("u16x2", U16x2, 4),
    ("s16x2", S16x2, 4),
    ("f16", F16, 2),
    ("f16x2", F16x2, 4),
    ("bf16", Bf16, 2),
    ("bf16x2", Bf16x2, 4),
    ("tf32", Tf32, 4),
    ("e4m3x2", E4m3x2, 2),
    ("e5m2x2", E5m2x2, 2),
    ("f32", F32, 4),
    ("f64", F64, 8),
];

impl Kind {
    /// The type of a name without its dot.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        NAMES.iter().find(|row| row.0 == name).map(|row| row.1)
    }

    /// Bytes that a value takes in memory.
    pub(crate) fn bytes(self) -> u32 {
        NAMES.iter().find(|row| row.1 == self).map_or(0, |row| row.2)
    }

    /// Whether smaller values are widened with their sign.
    pub(crate) fn is_signed(self) -> bool {
        matches!(self, S8 | S16 | S32 | S64)
    }

    /// Whether this is a plain integer or a bag of bits of that width.
    pub(crate) fn is_integer(self) -> bool {
        matches!(self, B8 | B16 | B32 | B64 | U8 | U16 | U32 | U64 | S8 | S16 | S32 | S64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_name() {
        for row in NAMES {
            assert_eq!(Kind::parse(row.0), Some(row.1));
            assert_eq!(NAMES.iter().filter(|other| other.1 == row.1).count(), 1);
        }
        assert_eq!(Kind::parse("v4"), None);
    }
}
