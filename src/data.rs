//! Seeded test data as a function of the index, the same on every backend: any element can be recomputed when a result is
//! verified, so no second copy of a large buffer is ever needed.

/// Identifies one array of random data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u32);

/// A well-mixed 32-bit value for an index.
///
/// The finaliser of MurmurHash3 (public domain), which maps distinct inputs to distinct outputs.
#[inline(always)]
#[must_use]
pub const fn bits(seed: Seed, index: u32) -> u32 {
    let mut h = index.wrapping_add(seed.0.wrapping_mul(0x9E37_79B9));
    h ^= h >> 16;
    h = h.wrapping_mul(0x85EB_CA6B);
    h ^= h >> 13;
    h = h.wrapping_mul(0xC2B2_AE35);
    h ^ (h >> 16)
}

/// A random `f32` in [1, 2): normal numbers with 23 random mantissa bits, so sums neither overflow nor go denormal.
#[inline(always)]
#[must_use]
pub const fn unit_f32(seed: Seed, index: u32) -> f32 {
    f32::from_bits(0x3F80_0000 | (bits(seed, index) >> 9))
}

/// A random `f64` in (−1, 1), never 0.
#[must_use]
pub fn signed_f64(seed: Seed, index: u32) -> f64 {
    let magnitude = (f64::from(bits(seed, index) >> 1) + 1.0) / 2_147_483_650.0;
    if bits(seed, index) & 1 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_in_range_and_vary() {
        let mut distinct = std::collections::BTreeSet::new();
        for index in 0..10_000 {
            let value = unit_f32(Seed(7), index);
            assert!((1.0..2.0).contains(&value));
            distinct.insert(value.to_bits());
            let signed = signed_f64(Seed(7), index);
            assert!(signed.abs() < 1.0 && signed != 0.0);
        }
        assert!(distinct.len() > 9_900, "{} distinct values of 10000", distinct.len());
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(unit_f32(Seed(1), 5).to_bits(), unit_f32(Seed(2), 5).to_bits());
    }
}
