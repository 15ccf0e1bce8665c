//! Factors of the multiply-adds of matrix units: of so few digits that every sum is exact, whatever the order and the roundings of the hardware.

/// What factors are made of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) enum Elements {
    /// Numbers between 1/2 and 1 of so many digits, with either sign. The second factors have the other sign, and another last digit in their first elements.
    Float { digits: u32 },
    /// Signed integers of 8 bits or of fewer. The second factors have some of their bits turned.
    Integer { bits: u32 },
}

impl Elements {
    /// An element of the first factors, or of the second ones, from its random bits; some of the second ones have another digit.
    pub(in crate::backend) fn of(self, random: u32, nudged: bool, second: bool) -> f64 {
        match self {
            Self::Integer { bits } => {
                let flipped = if second { 0xA5 >> (8 - bits) } else { 0 };
                let above = 32 - bits;
                f64::from(((random ^ flipped) << above).cast_signed() >> above)
            }
            Self::Float { digits } => {
                let ones = (1_u32 << digits) - 1;
                let last = u32::from(second && nudged);
                let fraction = (random >> 1 & ones) ^ last;
                let magnitude = f64::from(fraction + ones + 1) / f64::from(2 << digits);
                if (random & 1 == 1) == second { magnitude } else { -magnitude }
            }
        }
    }
}

/// Numbers of so many digits.
pub(in crate::backend) const fn float(digits: u32) -> Elements {
    Elements::Float { digits }
}
