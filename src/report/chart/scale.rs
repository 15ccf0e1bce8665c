//! From numbers to places along an axis, and the round numbers that are written there.

use super::{Axis, Chart, Mark, Measure, Scale};
use crate::units::{Unit, human};

/// The numbers that an axis runs over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) low: f64,
    pub(super) high: f64,
    is_log: bool,
}

/// A number that is written at an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// Its place, from 0 to 1.
    pub(super) place: f64,
    /// What is written there.
    pub(super) text: String,
}

impl Span {
    /// The span of the horizontal axis, and that of the vertical one.
    pub(super) fn of(chart: &Chart) -> (Self, Self) {
        let (mut xs, mut ys): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
        for series in &chart.series {
            for point in series.points() {
                xs.push(point.x);
                ys.push(point.y);
            }
            if let Mark::Bars { bars } = &series.mark {
                xs.extend(bars.iter().flat_map(|bar| [bar.from, bar.to]));
            }
        }
        (Self::along(&chart.x, &xs), Self::along(&chart.y, &ys))
    }

    fn along(axis: &Axis, values: &[f64]) -> Self {
        let is_log = axis.scale == Scale::Log;
        let usable = |value: &f64| value.is_finite() && (!is_log || *value > 0.0);
        if let Some((low, high)) = axis.range.filter(|(low, high)| usable(low) && usable(high) && low < high) {
            return Self { low, high, is_log };
        }
        let values = || values.iter().copied().filter(usable);
        let least = values().fold(f64::INFINITY, f64::min);
        let most = values().fold(f64::NEG_INFINITY, f64::max);
        match (is_log, least <= most) {
            (true, true) => Self { low: least / 1.3, high: (most * 1.3).min(f64::MAX), is_log },
            (true, false) => Self { low: 1.0, high: 10.0, is_log },
            (false, true) if most > least.min(0.0) => Self { low: least.min(0.0), high: most * 1.04, is_log },
            (false, _) => Self { low: 0.0, high: 1.0, is_log },
        }
    }

    /// The place of a number: 0 at the low end and below it, 1 at the high one and above. None for what has no place.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let place = if self.is_log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        place.is_finite().then(|| place.clamp(0.0, 1.0))
    }

    /// Whether a number lies within it.
    pub(super) fn has(&self, value: f64) -> bool {
        value >= self.low && value <= self.high
    }

    /// Round numbers within the span, so many at most.
    pub(super) fn ticks(&self, measure: Measure, most: usize) -> Vec<Tick> {
        let numbers = match (self.is_log, measure) {
            (true, Measure::Binary) => self.powers(2.0, most),
            (true, _) => self.decades(most),
            (false, _) => self.steps(most),
        };
        let numbers = numbers.into_iter();
        numbers
            .filter_map(|number| Some(Tick { place: self.place(number)?, text: self.text(measure, number) }))
            .collect()
    }

    /// Powers of a base, every one or every second, third …
    fn powers(&self, base: f64, most: usize) -> Vec<f64> {
        let (first, last) = (self.low.log(base).ceil(), self.high.log(base).floor());
        let count = (last - first).max(0.0) + 1.0;
        let step = (count / most.max(1) as f64).ceil().max(1.0);
        // Powers that are multiples of the step: 2^10, 2^15, 2^20 rather than 2^11, 2^16.
        let start = (first / step).ceil() * step;
        std::iter::successors(Some(start), |power| Some(power + step))
            .take_while(|power| *power <= last)
            .map(|power| base.powf(power))
            .collect()
    }

    /// Powers of ten; between them 2 and 5 where there is room for those.
    fn decades(&self, most: usize) -> Vec<f64> {
        let decades = (self.high / self.low).log10();
        let between: &[f64] = match most as f64 {
            // Within a decade, ratios are nearly differences.
            _ if decades < 0.6 => return self.steps(most),
            most if decades * 3.0 <= most => &[1.0, 2.0, 5.0],
            most if decades * 2.0 <= most => &[1.0, 3.0],
            _ => return self.powers(10.0, most),
        };
        let first = self.low.log10().floor();
        let exponents = (0..=decades.ceil() as u32 + 1).map(|index| first + f64::from(index));
        let all = exponents.flat_map(|exponent| between.iter().map(move |&digit| digit * 10_f64.powf(exponent)));
        all.filter(|number| *number >= self.low * 0.999 && *number <= self.high * 1.001).collect()
    }

    /// Multiples of 1, 2 or 5 times a power of ten.
    fn steps(&self, most: usize) -> Vec<f64> {
        let step = self.step(most);
        let first = (self.low / step).ceil();
        let numbers = (0..=most.saturating_mul(2)).map(|index| (first + index as f64) * step);
        let numbers = numbers.take_while(|number| *number <= self.high * (1.0 + 1e-9));
        numbers.filter(|number| !self.is_log || *number > 0.0).collect()
    }

    fn step(&self, most: usize) -> f64 {
        let rough = (self.high - self.low) / most.max(1) as f64;
        let power = 10_f64.powf(rough.log10().floor());
        let digit = [1.0, 2.0, 5.0, 10.0].into_iter().find(|digit| digit * power >= rough).unwrap_or(10.0);
        digit * power
    }

    /// A number as it is written at an axis: with its unit where that is short, and with no more digits than it has.
    fn text(&self, measure: Measure, number: f64) -> String {
        match measure {
            Measure::Count(_) if number >= 1e4 => short(number, Unit::Byte).trim_end_matches('B').trim_end().to_owned(),
            Measure::Count(_) => trimmed(&super::digits(number)),
            Measure::Binary => measure.words(number),
            Measure::Of(_) if number == 0.0 => "0".to_owned(),
            Measure::Of(unit) => {
                let text = short(number, unit);
                // Else the axis' title says it.
                if has_unit(unit) { text } else { text.trim_end_matches(unit.symbol()).trim_end().to_owned() }
            }
        }
    }
}

/// Whether numbers at an axis have their unit: the long ones stand in the title alone.
pub(super) const fn has_unit(unit: Unit) -> bool {
    !matches!(unit, Unit::FlopPerSecond | Unit::OpPerSecond)
}

fn short(number: f64, unit: Unit) -> String {
    let (digits, unit) = human(number, unit).parts();
    format!("{} {unit}", trimmed(&digits))
}

/// A number without zeros that say nothing.
fn trimmed(digits: &str) -> String {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.').to_owned() } else { digits.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn log(low: f64, high: f64) -> Span {
        Span { low, high, is_log: true }
    }

    fn texts(span: &Span, measure: Measure, most: usize) -> Vec<String> {
        span.ticks(measure, most).into_iter().map(|tick| tick.text).collect()
    }

    #[test]
    fn round_numbers_with_their_units() {
        let rate = Measure::Of(Unit::BytePerSecond);
        assert_eq!(texts(&log(0.9e9, 2e12), rate, 5), ["1 GB/s", "10 GB/s", "100 GB/s", "1 TB/s"]);
        assert_eq!(texts(&log(0.9e9, 2e10), rate, 5), ["1 GB/s", "2 GB/s", "5 GB/s", "10 GB/s", "20 GB/s"]);
    }

    #[test]
    fn working_sets_are_powers_of_two() {
        let span = log(4096.0, 512.0 * 1024.0 * 1024.0);
        assert_eq!(texts(&span, Measure::Binary, 6), ["4 KiB", "32 KiB", "256 KiB", "2 MiB", "16 MiB", "128 MiB"]);
    }

    #[test]
    fn linear_axes_begin_at_zero() {
        let span = Span { low: 0.0, high: 0.0187, is_log: false };
        assert_eq!(texts(&span, Measure::Of(Unit::Second), 5), ["0", "5 ms", "10 ms", "15 ms"]);
    }

    proptest! {
        #[test]
        fn whatever_the_numbers_there_are_few_ticks_in_their_place(
            values in prop::collection::vec(prop::num::f64::ANY, 0..6), is_log in any::<bool>(), most in 1_usize..12,
        ) {
            let scale = if is_log { Scale::Log } else { Scale::Linear };
            let axis = Axis { title: String::new(), measure: Measure::Of(Unit::Byte), scale, range: None };
            let span = Span::along(&axis, &values);
            let ticks = span.ticks(axis.measure, most);
            prop_assert!(ticks.len() <= 2 * most + 2, "{} {span:?}", ticks.len());
            prop_assert!(ticks.iter().all(|tick| (-0.01..=1.01).contains(&tick.place)), "{span:?} {ticks:?}");
        }
    }
}
