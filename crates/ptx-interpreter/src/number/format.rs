//! Binary floating-point formats of up to 32 bits: decoding, and encoding with one rounding.

use super::round::{Rounding, round_to_integral};

/// A format of a sign, an exponent and a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    exponent_bits: u32,
    fraction_bits: u32,
    /// Whether the largest exponent is for infinities and NaNs. Otherwise only the pattern of ones is a NaN.
    infinite: bool,
    /// Zero bits below the fraction: TF32 lies in the upper bits of a register.
    padding: u32,
}

/// IEEE 754 half precision.
pub(crate) const F16: Format = Format { exponent_bits: 5, fraction_bits: 10, infinite: true, padding: 0 };
/// The upper half of an f32.
pub(crate) const BF16: Format = Format { exponent_bits: 8, fraction_bits: 7, infinite: true, padding: 0 };
/// FP8 with more fraction: no infinities, up to 448.
pub(crate) const E4M3: Format = Format { exponent_bits: 4, fraction_bits: 3, infinite: false, padding: 0 };
/// FP8 with more range.
pub(crate) const E5M2: Format = Format { exponent_bits: 5, fraction_bits: 2, infinite: true, padding: 0 };
/// What tensor cores read of an f32.
pub(crate) const TF32: Format = Format { exponent_bits: 8, fraction_bits: 10, infinite: true, padding: 13 };
/// IEEE 754 single precision, for rounding that the processor does not offer.
pub(super) const F32: Format = Format { exponent_bits: 8, fraction_bits: 23, infinite: true, padding: 0 };

/// Two to the power of `exponent`, which is one of a normal f64.
#[inline]
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((1023 + i64::from(exponent)) as u64) << 52)
}

impl Format {
    /// The value of the bits. Every format here is a part of f32.
    #[inline(always)]
    pub(crate) fn decode(self, bits: u32) -> f32 {
        let bits = bits >> self.padding;
        let sign = bits >> (self.exponent_bits + self.fraction_bits) << 31;
        let magnitude = bits & ((1 << (self.exponent_bits + self.fraction_bits)) - 1);
        if magnitude > self.largest() {
            let infinite = self.infinite && magnitude == self.largest() + 1;
            return f32::from_bits(sign | if infinite { 0x7f80_0000 } else { 0x7fff_ffff });
        }
        // Read as an f32, the value is too small by the difference of the biases: subnormals too.
        let scale = f32::from_bits(((254 - self.bias()) as u32) << 23);
        let value = f32::from_bits(magnitude << (23 - self.fraction_bits)) * scale;
        f32::from_bits(value.to_bits() | sign)
    }

    /// The bits of `value`, rounded. What is too large becomes what IEEE 754 says, or the largest number where the format
    /// has no infinity; a NaN becomes the canonical one.
    #[inline(always)]
    pub(crate) fn encode(self, value: f64, rounding: Rounding) -> u32 {
        self.encode_magnitude(value, rounding, !self.infinite) << self.padding
    }

    /// As [`Self::encode`], but what is too large becomes the largest number (`.satfinite`).
    #[inline(always)]
    pub(crate) fn encode_saturating(self, value: f64, rounding: Rounding) -> u32 {
        self.encode_magnitude(value, rounding, true) << self.padding
    }

    #[inline(always)]
    fn encode_magnitude(self, value: f64, rounding: Rounding, saturate: bool) -> u32 {
        let sign = u32::from(value.is_sign_negative()) << (self.exponent_bits + self.fraction_bits);
        if value.is_nan() {
            return (1 << (self.exponent_bits + self.fraction_bits)) - 1;
        }
        let at_limit = |bits: u32| sign | bits;
        if value.is_infinite() {
            return at_limit(if saturate { self.largest() } else { self.largest() + 1 });
        }
        let exponent = (((value.to_bits() >> 52) & 0x7ff) as i32 - 1023).max(1 - self.bias());
        // A scaling by a power of two is exact, and leaves the bits to be kept in front of the point.
        let scaled = value * power_of_two(self.fraction_bits as i32 - exponent);
        let kept = if rounding == Rounding::Nearest {
            // What stands beside a large number is rounded as the processor rounds, and the integer lies in the bits.
            const LARGE: f64 = (1_u64 << 52) as f64;
            (scaled.abs() + LARGE).to_bits() - LARGE.to_bits()
        } else {
            round_to_integral(scaled, rounding).abs() as u64
        };
        // The leading one of a normal number adds one to the exponent's field.
        let bits = kept + (((exponent + self.bias() - 1) as u64) << self.fraction_bits);
        if bits <= u64::from(self.largest()) {
            return sign | bits as u32;
        }
        let to_infinity = match rounding {
            Rounding::Nearest | Rounding::NearestAway => true,
            Rounding::Zero => false,
            Rounding::Down => sign != 0,
            Rounding::Up => sign == 0,
        };
        at_limit(if to_infinity && !saturate { self.largest() + 1 } else { self.largest() })
    }

    #[inline(always)]
    const fn bias(self) -> i32 {
        (1 << (self.exponent_bits - 1)) - 1
    }

    /// The bits of the largest number.
    #[inline(always)]
    const fn largest(self) -> u32 {
        let ones = (1 << (self.exponent_bits + self.fraction_bits)) - 1;
        if self.infinite { ones - (1 << self.fraction_bits) } else { ones - 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_pattern_survives_a_round_trip() {
        for (format, bits) in [(F16, 16), (BF16, 16), (E4M3, 8), (E5M2, 8)] {
            for pattern in 0..1_u32 << bits {
                let value = format.decode(pattern);
                let back = format.encode(f64::from(value), Rounding::Nearest);
                assert!(value.is_nan() || back == pattern, "{format:?} {pattern:#x} {value} {back:#x}");
            }
        }
    }

    #[test]
    fn known_values() {
        assert_eq!(E4M3.decode(0x7e), 448.0);
        assert_eq!(E4M3.decode(0x01), 2.0_f32.powi(-9));
        assert!(E4M3.decode(0x7f).is_nan() && E4M3.decode(0xff).is_nan());
        assert_eq!(E5M2.decode(0x7b), 57344.0);
        assert_eq!(E5M2.decode(0x7c), f32::INFINITY);
        assert_eq!(E4M3.encode(1e9, Rounding::Nearest), 0x7e);
        assert_eq!(E4M3.encode(-f64::INFINITY, Rounding::Nearest), 0xfe);
        assert_eq!(E5M2.encode_saturating(1e9, Rounding::Nearest), 0x7b);
        assert_eq!(E5M2.encode(1e9, Rounding::Nearest), 0x7c);
        assert_eq!(F16.encode(65520.0, Rounding::Nearest), 0x7c00);
        assert_eq!(F16.encode(65519.9, Rounding::Nearest), 0x7bff);
        assert_eq!(F16.encode(65520.0, Rounding::Zero), 0x7bff);
        assert_eq!(F16.encode(-1e-30, Rounding::Down), 0x8001);
        assert_eq!(TF32.encode(1.0 + 2.0_f64.powi(-11), Rounding::NearestAway), 0x3f80_2000);
    }

    proptest! {
        #[test]
        fn halves_agree_with_a_crate_that_knows_them(value: f32) {
            prop_assume!(!value.is_nan());
            let wide = f64::from(value);
            prop_assert_eq!(F16.encode(wide, Rounding::Nearest), u32::from(half::f16::from_f32(value).to_bits()));
            prop_assert_eq!(BF16.encode(wide, Rounding::Nearest), u32::from(half::bf16::from_f32(value).to_bits()));
        }

        #[test]
        fn singles_agree_with_the_processor(value: f64) {
            prop_assume!(!value.is_nan());
            prop_assert_eq!(F32.encode(value, Rounding::Nearest), (value as f32).to_bits());
        }
    }
}
