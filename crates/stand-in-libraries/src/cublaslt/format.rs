//! Formats of elements, by the numbers of `cudaDataType_t`, and which of them are multiplied with one another.

use half::{bf16, f16};

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    F32,
    F64,
    F16,
    I8,
    I32,
    Bf16,
    E4m3,
}

impl Format {
    /// The format of a number.
    pub(super) fn of(number: i32) -> Option<Self> {
        const NUMBERS: [(i32, Format); 7] = [
            (0, Format::F32),
            (1, Format::F64),
            (2, Format::F16),
            (3, Format::I8),
            (10, Format::I32),
            (14, Format::Bf16),
            (28, Format::E4m3),
        ];
        NUMBERS.iter().find(|known| known.0 == number).map(|known| known.1)
    }

    /// Bytes of an element.
    pub(super) const fn bytes(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::I8 | Self::E4m3 => 1,
        }
    }

    /// The value of an element.
    pub(super) fn read(self, bytes: &[u8], index: usize) -> f64 {
        fn word<const BYTES: usize>(bytes: &[u8], index: usize) -> [u8; BYTES] {
            bytes[BYTES * index..].first_chunk::<BYTES>().copied().unwrap_or([0; BYTES])
        }
        match self {
            Self::F32 => f32::from_le_bytes(word(bytes, index)).into(),
            Self::F64 => f64::from_le_bytes(word(bytes, index)),
            Self::F16 => f16::from_le_bytes(word(bytes, index)).to_f64(),
            Self::Bf16 => bf16::from_le_bytes(word(bytes, index)).to_f64(),
            Self::I8 => f64::from(bytes[index].cast_signed()),
            Self::I32 => i32::from_le_bytes(word(bytes, index)).into(),
            Self::E4m3 => e4m3(bytes[index]),
        }
    }

    /// Adds an element to the bytes of others.
    pub(super) fn write(self, value: f64, bytes: &mut Vec<u8>) {
        match self {
            Self::F64 => bytes.extend(value.to_le_bytes()),
            Self::I32 => bytes.extend((value as i32).to_le_bytes()),
            _ => bytes.extend((value as f32).to_le_bytes()),
        }
    }
}

/// The value of an 8-bit number with 4 bits of exponent.
fn e4m3(bits: u8) -> f64 {
    let (exponent, mantissa) = (i32::from(bits >> 3 & 15), f64::from(bits & 7) / 8.0);
    let magnitude = match (exponent, bits & 7) {
        (15, 7) => f64::NAN,
        (0, _) => mantissa * 2.0_f64.powi(-6),
        _ => (1.0 + mantissa) * 2.0_f64.powi(exponent - 7),
    };
    if bits & 0x80 == 0 { magnitude } else { -magnitude }
}

/// Whether the library multiplies such factors to such a result, as its documentation's table has it: both of one format, summed in a way and scaled in a format.
pub(super) fn is_multiplied(factors: [Format; 2], result: Format, compute: i32, scale: Format) -> bool {
    let [first, second] = factors;
    let sums = match first {
        Format::F16 | Format::Bf16 | Format::E4m3 | Format::F32 => (Format::F32, 68),
        Format::F64 => (Format::F64, 70),
        Format::I8 => (Format::I32, 72),
        Format::I32 => return false,
    };
    first == second && (result, compute) == sums && scale == result
}
