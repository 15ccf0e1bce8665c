//! What tokens cost: energy by power, money by the price of an hour.

use schemars::JsonSchema;
use serde::Serialize;

use crate::units::Seconds;

/// Seconds of an hour.
const HOUR: f64 = 3600.0;
/// Tokens that prices are given for.
const MILLION: f64 = 1e6;

/// What running the devices takes.
///
/// ```
/// # use rooflab::estimate::energy::{Rates, RatesError};
/// # use rooflab::units::Seconds;
/// let rates = Rates { watts: Some(700.0), price_per_hour: Some(3.6) }.checked()?;
/// let cost = rates.per_million(Seconds(10.0), 10_000.0);
/// let close = |found: Option<f64>, right: f64| found.is_some_and(|found| (found / right - 1.0).abs() < 1e-12);
/// assert!(close(cost.kilowatt_hours, 7.0 / 36.0) && close(cost.price, 1.0));
/// # Ok::<(), RatesError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    /// Power in watts: of a device, or of several together.
    pub watts: Option<f64>,
    /// Price of an hour of the same, in any currency.
    pub price_per_hour: Option<f64>,
}

/// What a million tokens cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct PerMillion {
    /// Energy, in kilowatt-hours, where the power is known.
    pub kilowatt_hours: Option<f64>,
    /// Energy of one token, in joules.
    pub joules_per_token: Option<f64>,
    /// Money, where the price of an hour is known.
    pub price: Option<f64>,
}

/// A number that nothing costs.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("`{field}` is {value}: it must be above 0")]
pub struct RatesError {
    field: &'static str,
    value: f64,
}

impl Rates {
    /// The rates, if they are positive numbers.
    ///
    /// # Errors
    ///
    /// One of them is not.
    pub fn checked(self) -> Result<Self, RatesError> {
        for (field, value) in [("watts", self.watts), ("price_per_hour", self.price_per_hour)] {
            if let Some(value) = value.filter(|value| !(*value > 0.0 && value.is_finite())) {
                return Err(RatesError { field, value });
            }
        }
        Ok(self)
    }

    /// The rates of so many of what they are the rates of.
    #[must_use]
    pub fn times(&self, devices: u64) -> Self {
        let all = |rate: Option<f64>| Some(rate? * devices as f64);
        Self { watts: all(self.watts), price_per_hour: all(self.price_per_hour) }
    }

    /// What a million tokens cost when some tokens take some time. Nothing is known of no tokens.
    #[must_use]
    pub fn per_million(&self, time: Seconds, tokens: f64) -> PerMillion {
        let seconds = Some(time.get() / tokens).filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        let per_token = |rate: Option<f64>| Some(rate? * seconds?);
        let joules_per_token = per_token(self.watts);
        PerMillion {
            kilowatt_hours: joules_per_token.map(|joules| joules * MILLION / HOUR / 1000.0),
            joules_per_token,
            price: per_token(self.price_per_hour).map(|price| price * MILLION / HOUR),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_and_money_follow_from_time() {
        let both = Rates { watts: Some(300.0), price_per_hour: Some(7.2) };
        let cost = both.per_million(Seconds(2.0), 1000.0);
        assert_eq!(cost.joules_per_token, Some(0.6));
        assert!((cost.kilowatt_hours.unwrap() - 600_000.0 / 3.6e6).abs() < 1e-12);
        assert!((cost.price.unwrap() - 4.0).abs() < 1e-12);
        // Four devices make four times as many tokens in the same time, each for what it costs on one.
        assert_eq!(both.times(4).per_million(Seconds(2.0), 4000.0), cost);
        assert_eq!(Rates::default().per_million(Seconds(2.0), 1000.0), PerMillion::default());
        assert_eq!(both.per_million(Seconds(0.0), 0.0), PerMillion::default());
    }

    #[test]
    fn what_costs_nothing_is_refused() {
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Rates { watts: Some(value), price_per_hour: None }.checked().is_err());
        }
        let error = Rates { watts: None, price_per_hour: Some(-2.0) }.checked().unwrap_err();
        assert_eq!(error.to_string(), "`price_per_hour` is -2: it must be above 0");
    }
}
