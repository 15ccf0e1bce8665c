//! What cannot all be true, in words.

use std::fmt;

use super::derive::apart;
use super::metric::{MetricUnit, Quantity, Stat};
use crate::units::{Unit, human, percent};

/// Two statements that cannot both be true.
#[derive(Clone, Debug, PartialEq)]
pub enum Contradiction {
    /// A number is not what others give.
    Formula {
        /// Of what.
        quantity: Quantity,
        /// What is stated.
        stated: f64,
        /// What others make of it.
        formula: &'static str,
        /// The value of that.
        gives: f64,
    },
    /// Statistics are in the wrong order.
    Order {
        /// Of what.
        quantity: Quantity,
        /// What should be the smaller one.
        smaller: Stat,
        /// What should be the larger one.
        larger: Stat,
    },
    /// A number is larger than it can be.
    Beyond {
        /// Of what.
        quantity: Quantity,
        /// The number.
        value: f64,
        /// What limits it.
        what: &'static str,
        /// The limit.
        limit: f64,
    },
    /// Bus bandwidth over the algorithm's is not what the number of ranks makes it.
    BusRate {
        /// The ranks that were counted.
        ranks: u64,
        /// The ratio for so many.
        factor: f64,
        /// The ratio in the file.
        found: f64,
    },
    /// Two observations state different facts.
    Fact {
        /// Which.
        name: &'static str,
        /// What the first says.
        first: String,
        /// What a later one says.
        second: String,
    },
    /// Two observations state different numbers.
    Number {
        /// Of what.
        quantity: Quantity,
        /// What the first says.
        first: f64,
        /// What a later one says.
        second: f64,
    },
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Formula { quantity, stated, formula, gives } => write!(
                f,
                "`{quantity}` is {}, but `{formula}` gives {} ({} apart)",
                shown(*quantity, *stated),
                shown(*quantity, *gives),
                percent(apart(*stated, *gives))
            ),
            Self::Order { quantity, smaller, larger } => {
                write!(f, "`{quantity}`: its {} is above its {}", word(*smaller), word(*larger))
            }
            Self::Beyond { quantity, value, what, limit } => write!(
                f,
                "`{quantity}` is {}, which is more than `{what}`, {}",
                shown(*quantity, *value),
                shown(*quantity, *limit)
            ),
            Self::BusRate { ranks, factor, found } => write!(
                f,
                "bus bandwidth is {found:.3} times the algorithm's, but {ranks} ranks make it {factor:.3} times"
            ),
            Self::Fact { name, first, second } => write!(f, "`{name}` is `{first}` in one and `{second}` in another"),
            Self::Number { quantity, first, second } => write!(
                f,
                "`{quantity}` is {} in one and {} in another",
                shown(*quantity, *first),
                shown(*quantity, *second)
            ),
        }
    }
}

fn shown(quantity: Quantity, value: f64) -> String {
    match quantity.unit() {
        MetricUnit::Second => human(value, Unit::Second).to_string(),
        unit => format!("{value:.3} {}", unit.symbol()).trim_end().to_owned(),
    }
}

const fn word(stat: Stat) -> &'static str {
    match stat {
        Stat::Mean => "mean",
        Stat::Median => "median",
        Stat::P90 => "90th percentile",
        Stat::P95 => "95th percentile",
        Stat::P99 => "99th percentile",
        Stat::Std => "standard deviation",
        Stat::Min => "minimum",
        Stat::Max => "maximum",
    }
}
