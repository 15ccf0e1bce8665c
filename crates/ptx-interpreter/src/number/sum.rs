//! Sums of many numbers that are rounded once.

use super::round::sum_to_odd;

/// A sum, and what is lost of it.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    (sum, (a - (sum - of_b)) + (b - of_b))
}

/// The sum of all numbers as if it were exact, rounded to odd: rounding once more to a format with at least two bits
/// fewer gives what rounding the exact sum would have given. Infinities and NaNs are what IEEE 754 makes of them.
pub(crate) fn exact_sum(first: f64, others: impl Iterator<Item = f64> + Clone) -> f64 {
    let mut sum = first;
    let mut lost = false;
    for number in others.clone() {
        let error;
        (sum, error) = two_sum(sum, number);
        lost |= error != 0.0;
    }
    // Most sums of few digits lose nothing. What is not finite has no parts.
    if !lost || !sum.is_finite() {
        return sum;
    }
    // Parts that do not overlap, the smallest first (Shewchuk 1997).
    let mut parts = vec![first];
    for number in others {
        let mut carried = number;
        let mut kept = 0;
        for at in 0..parts.len() {
            let (high, low) = two_sum(carried, parts[at]);
            if low != 0.0 {
                parts[kept] = low;
                kept += 1;
            }
            carried = high;
        }
        parts.truncate(kept);
        parts.push(carried);
    }
    let mut high = parts.pop().unwrap_or_default();
    while let Some(part) = parts.pop() {
        let low;
        (high, low) = two_sum(high, part);
        if low != 0.0 {
            // Whatever is left is smaller than the last bit of this.
            return sum_to_odd(high, low);
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(numbers: &[f64]) -> f64 {
        exact_sum(numbers[0], numbers[1..].iter().copied())
    }

    #[test]
    fn nothing_is_lost_on_the_way() {
        assert_eq!(sum(&[1e30, 1.0, -1e30]), 1.0);
        assert_eq!(sum(&[1e30, 1e-30, -1e30, 1e-30, 3.0, -3.0]), 2e-30);
        assert_eq!(sum(&[f64::INFINITY, 1e30, 1e-30]), f64::INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        // Half a unit of f32 and a little: rounded once it goes up, rounded on the way it would go to the even one.
        let numbers = [1.0, 0.5_f64.powi(24), 0.5_f64.powi(90)];
        assert_eq!(sum(&numbers) as f32, 1.0 + f32::EPSILON);
        assert_eq!(sum(&numbers[..2]) as f32, 1.0);
    }

    proptest! {
        #[test]
        fn a_sum_is_that_of_exact_integers(numbers in prop::collection::vec((-1_i64 << 52..1 << 52, 0_i32..40), 1..40)) {
            let exact: i128 = numbers.iter().map(|&(digits, scale)| i128::from(digits) << scale).sum();
            let floats: Vec<f64> = numbers.iter().map(|&(digits, scale)| digits as f64 * f64::from(scale).exp2()).collect();
            prop_assert_eq!(sum(&floats) as f32, super::super::round_integer(exact, 24, super::super::Rounding::Nearest) as f32);
        }
    }
}
