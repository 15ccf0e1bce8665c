//! Physical quantities: newtypes over `f64` in base SI units, and only the divisions that mean something.

mod human;
mod parse;

pub use human::{Human, binary_bytes, human, percent};
pub use parse::{ParseSizeError, parse_duration, parse_size};

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Div, Mul, Sub};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The unit a measured value is in. It is written beside every value of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Unit {
    /// Bytes.
    #[serde(rename = "B")]
    Byte,
    /// Seconds.
    #[serde(rename = "s")]
    Second,
    /// Cycles per second.
    #[serde(rename = "Hz")]
    Hertz,
    /// Operations: floating-point or integer; a multiply-add counts as two.
    #[serde(rename = "FLOP")]
    Flop,
    /// Bytes per second.
    #[serde(rename = "B/s")]
    BytePerSecond,
    /// Floating-point operations per second; a fused multiply-add counts as two.
    #[serde(rename = "FLOP/s")]
    FlopPerSecond,
    /// Integer operations per second; a multiply-accumulate counts as two.
    #[serde(rename = "OP/s")]
    OpPerSecond,
}

impl Unit {
    /// The unit's symbol, as it stands in documents and tables.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Byte => "B",
            Self::Second => "s",
            Self::Hertz => "Hz",
            Self::Flop => "FLOP",
            Self::BytePerSecond => "B/s",
            Self::FlopPerSecond => "FLOP/s",
            Self::OpPerSecond => "OP/s",
        }
    }

    /// Whether a larger value of this unit is the better one (false for times).
    #[must_use]
    pub const fn more_is_better(self) -> bool {
        !matches!(self, Self::Second)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $unit:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub f64);

        impl $name {
            /// The unit the number is in.
            pub const UNIT: Unit = $unit;

            /// The bare number, in base SI.
            #[must_use]
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                human(self.0, Self::UNIT).fmt(f)
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl Mul<f64> for $name {
            type Output = Self;
            fn mul(self, factor: f64) -> Self {
                Self(self.0 * factor)
            }
        }

        impl Div<f64> for $name {
            type Output = Self;
            fn div(self, divisor: f64) -> Self {
                Self(self.0 / divisor)
            }
        }

        /// How many times the other quantity fits into this one.
        impl Div for $name {
            type Output = f64;
            fn div(self, other: Self) -> f64 {
                self.0 / other.0
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(values: I) -> Self {
                // The sum of no floats is -0.
                Self(0.0 + values.map(|value| value.0).sum::<f64>())
            }
        }
    };
}

quantity!(
    /// An amount of data.
    Bytes, Unit::Byte
);
quantity!(
    /// A span of time.
    Seconds, Unit::Second
);
quantity!(
    /// A frequency.
    Hertz, Unit::Hertz
);
quantity!(
    /// An amount of arithmetic. Operations on integers are counted the same; a multiply-add counts as two.
    Flops, Unit::Flop
);
quantity!(
    /// A bandwidth.
    BytesPerSecond, Unit::BytePerSecond
);

impl Bytes {
    /// A whole number of bytes. Exact up to 2^53 (9 PB).
    #[must_use]
    pub const fn new(count: u64) -> Self {
        Self(count as f64)
    }
}

impl Div<Seconds> for Bytes {
    type Output = BytesPerSecond;
    fn div(self, time: Seconds) -> BytesPerSecond {
        BytesPerSecond(self.0 / time.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dividing_bytes_by_time_gives_bandwidth() {
        assert_eq!(Bytes::new(10) / Seconds(2.0), BytesPerSecond(5.0));
    }

    #[test]
    fn serialised_unit_is_its_symbol() {
        for unit in [
            Unit::Byte,
            Unit::Second,
            Unit::Hertz,
            Unit::Flop,
            Unit::BytePerSecond,
            Unit::FlopPerSecond,
            Unit::OpPerSecond,
        ] {
            assert_eq!(serde_json::to_value(unit).unwrap(), unit.symbol());
        }
    }
}
