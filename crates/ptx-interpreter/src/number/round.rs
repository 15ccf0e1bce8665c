//! Rounding in all directions.

use super::format::F32;

/// Where a result between two representable numbers goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// To the nearest, to the even one of two (`.rn`, `.rni`).
    Nearest,
    /// To the nearest, away from zero of two (`.rna`).
    NearestAway,
    /// Towards zero (`.rz`, `.rzi`).
    Zero,
    /// Towards negative infinity (`.rm`, `.rmi`).
    Down,
    /// Towards positive infinity (`.rp`, `.rpi`).
    Up,
}

/// The integral number that `value` is rounded to.
#[inline]
pub(crate) fn round_to_integral(value: f64, rounding: Rounding) -> f64 {
    match rounding {
        Rounding::Nearest => value.round_ties_even(),
        Rounding::NearestAway => value.round(),
        Rounding::Zero => value.trunc(),
        Rounding::Down => value.floor(),
        Rounding::Up => value.ceil(),
    }
}

/// An f64 as f32. A value that is itself the odd-rounded result of exact arithmetic is rounded once by this.
#[inline]
pub(crate) fn round_f32(value: f64, rounding: Rounding) -> f32 {
    match rounding {
        Rounding::Nearest => value as f32,
        _ => f32::from_bits(F32.encode(value, rounding)),
    }
}

/// The sum of two numbers, rounded to odd: inexact sums end in an odd bit, so that rounding once more to a format with
/// at least two bits fewer gives what rounding the exact sum would have given.
#[inline]
pub(crate) fn sum_to_odd(a: f64, b: f64) -> f64 {
    let sum = a + b;
    if !sum.is_finite() {
        return sum;
    }
    let of_b = sum - a;
    let error = (a - (sum - of_b)) + (b - of_b);
    let bits = sum.to_bits();
    // Without branches, because about every second sum needs it.
    let needed = u64::from(error != 0.0) & !bits & 1;
    let outwards = u64::from((error > 0.0) == (sum > 0.0));
    f64::from_bits(bits.wrapping_add((2 * outwards).wrapping_sub(1).wrapping_mul(needed)))
}

/// An integer as a float of `digits` significant bits (24 for f32, 53 for f64), as f64.
pub(crate) fn round_integer(value: i128, digits: u32, rounding: Rounding) -> f64 {
    let magnitude = value.unsigned_abs();
    let drop = (128 - magnitude.leading_zeros()).saturating_sub(digits);
    let kept = magnitude >> drop;
    let rest = magnitude - (kept << drop);
    let half = if drop == 0 { 0 } else { 1_u128 << (drop - 1) };
    let up = rest != 0
        && match rounding {
            Rounding::Nearest => rest > half || (rest == half && kept & 1 == 1),
            Rounding::NearestAway => rest >= half,
            Rounding::Zero => false,
            Rounding::Down => value < 0,
            Rounding::Up => value > 0,
        };
    let rounded = ((kept + u128::from(up)) << drop) as f64;
    if value < 0 { -rounded } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_round_in_every_direction() {
        let between = (1 << 24) + 1;
        let cases = [
            (Rounding::Nearest, 1 << 24),
            (Rounding::NearestAway, (1 << 24) + 2),
            (Rounding::Zero, 1 << 24),
            (Rounding::Down, 1 << 24),
            (Rounding::Up, (1 << 24) + 2),
        ];
        for (rounding, expected) in cases {
            assert_eq!(round_integer(between, 24, rounding), f64::from(expected), "{rounding:?}");
        }
        assert_eq!(round_integer(-between, 24, Rounding::Down), -f64::from((1 << 24) + 2));
        assert_eq!(round_integer(-between, 24, Rounding::Up), -f64::from(1 << 24));
    }

    proptest! {
        #[test]
        fn an_odd_sum_rounds_like_the_exact_one(a: f32, b: f32) {
            let (a, b) = (f64::from(a), f64::from(b));
            prop_assume!(a.is_finite() && b.is_finite());
            let exact_to_f32 = a as f32 + b as f32;
            prop_assert_eq!((sum_to_odd(a, b) as f32).to_bits(), exact_to_f32.to_bits());
        }

        #[test]
        fn integers_round_as_the_language_does(value: i64) {
            prop_assert_eq!(round_integer(i128::from(value), 53, Rounding::Nearest), value as f64);
            prop_assert_eq!(round_integer(i128::from(value), 24, Rounding::Nearest) as f32, value as f32);
        }

        #[test]
        fn directed_rounding_brackets_the_value(value: f64) {
            prop_assume!(value.is_finite());
            let (down, up) = (round_f32(value, Rounding::Down), round_f32(value, Rounding::Up));
            prop_assert!(f64::from(down) <= value && value <= f64::from(up));
            prop_assert!(down == up || down.next_up() == up);
            let zero = round_f32(value, Rounding::Zero);
            prop_assert!(f64::from(zero).abs() <= value.abs());
        }
    }
}
