//! The random cycle of a pointer chase: the order of a linear congruential generator, whose period is the number of places exactly when the multiplier is 1 mod 4,
//! the increment odd and the number a power of two (Hull and Dobell 1962).

/// Knuth's MMIX multiplier (1 mod 4) and an odd increment.
const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
const INCREMENT: u64 = 1_442_695_040_888_963_407;

/// A cycle through a power of two of places.
#[derive(Clone, Copy, Debug)]
pub(in crate::backend) struct Cycle {
    pub(in crate::backend) places: u64,
}

impl Cycle {
    /// The place that comes after one.
    pub(in crate::backend) const fn next(self, place: u64) -> u64 {
        place.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & (self.places - 1)
    }

    /// The place after a number of hops from place 0, by repeated squaring of the step x → ax + c.
    pub(in crate::backend) const fn after(self, mut hops: u64) -> u64 {
        let (mut multiplier, mut increment) = (MULTIPLIER, INCREMENT);
        let (mut total_multiplier, mut total_increment) = (1_u64, 0_u64);
        while hops > 0 {
            if hops & 1 == 1 {
                total_multiplier = total_multiplier.wrapping_mul(multiplier);
                total_increment = total_increment.wrapping_mul(multiplier).wrapping_add(increment);
            }
            increment = increment.wrapping_mul(multiplier.wrapping_add(1));
            multiplier = multiplier.wrapping_mul(multiplier);
            hops >>= 1;
        }
        total_increment & (self.places - 1)
    }
}
