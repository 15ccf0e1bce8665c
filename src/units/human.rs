//! Quantities as a person reads them: three significant digits and an SI prefix.

use std::fmt;

use super::Unit;

/// A value with its unit, displayed with an SI prefix: `41.3 GB/s`, `90 ns`.
#[derive(Clone, Copy, Debug)]
pub struct Human {
    value: f64,
    unit: Unit,
}

/// Wraps a value in base SI for display.
#[must_use]
pub const fn human(value: f64, unit: Unit) -> Human {
    Human { value, unit }
}

impl Human {
    /// The number and the prefixed unit, apart, so that tables can align them.
    #[must_use]
    pub fn parts(self) -> (String, String) {
        if !self.value.is_finite() {
            return (self.value.to_string(), self.unit.symbol().to_owned());
        }
        let (mut divisor, mut prefix) = prefix(self.value.abs(), self.unit);
        let mut number = three_digits(self.value / divisor);
        if number.trim_start_matches('-') == "1000" {
            // Rounding reached the next prefix: 999.7 kB is 1.00 MB.
            (divisor, prefix) = self::prefix(divisor * 1000.0, self.unit);
            number = three_digits(self.value / divisor);
        }
        (number, format!("{prefix}{}", self.unit.symbol()))
    }
}

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = self.parts();
        f.pad(&format!("{number} {unit}"))
    }
}

/// A size in powers of 1024, as caches are sold: `32 KiB`, `1.5 MiB`.
#[must_use]
pub fn binary_bytes(bytes: u64) -> String {
    const PREFIXES: [&str; 6] = ["", "Ki", "Mi", "Gi", "Ti", "Pi"];
    let mut value = bytes as f64;
    let mut step = 0;
    while value >= 1024.0 && step + 1 < PREFIXES.len() {
        value /= 1024.0;
        step += 1;
    }
    let number = if value.fract() == 0.0 { format!("{value:.0}") } else { three_digits(value) };
    format!("{number} {}B", PREFIXES[step])
}

/// A share as a percentage with the digits it deserves: `0.21 %`, `3.4 %`, `97 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    match value.abs() {
        v if !v.is_finite() => format!("{value}"),
        v if v < 0.995 => format!("{value:.2} %"),
        v if v < 9.95 => format!("{value:.1} %"),
        _ => format!("{value:.0} %"),
    }
}

fn prefix(magnitude: f64, unit: Unit) -> (f64, &'static str) {
    const LARGE: [(f64, &str); 7] =
        [(1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")];
    const SMALL: [(f64, &str); 4] = [(1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p")];
    if magnitude == 0.0 {
        return (1.0, "");
    }
    // Seconds beyond the first stay seconds; everything else grows by thousands.
    let large = if unit == Unit::Second { &LARGE[6..] } else { &LARGE[..] };
    large
        .iter()
        .chain(&SMALL)
        .find(|(size, _)| magnitude >= *size)
        .or(SMALL.last())
        .map_or((1.0, ""), |&(size, prefix)| (size, prefix))
}

fn three_digits(value: f64) -> String {
    match value.abs() {
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_digits() {
        let cases = [
            (41.27e9, Unit::BytePerSecond, "41.3 GB/s"),
            (999.7e3, Unit::Byte, "1.00 MB"),
            (90e-9, Unit::Second, "90.0 ns"),
            (123.4, Unit::Second, "123 s"),
            (5000.0, Unit::Second, "5000 s"),
            (0.0, Unit::Byte, "0.00 B"),
            (2.04e12, Unit::OpPerSecond, "2.04 TOP/s"),
            (-3.0e9, Unit::Hertz, "-3.00 GHz"),
            (f64::INFINITY, Unit::Hertz, "inf Hz"),
        ];
        for (value, unit, expected) in cases {
            assert_eq!(human(value, unit).to_string(), expected);
        }
    }

    #[test]
    fn binary_sizes() {
        assert_eq!(binary_bytes(0), "0 B");
        assert_eq!(binary_bytes(32 << 10), "32 KiB");
        assert_eq!(binary_bytes(3 << 19), "1.50 MiB");
        assert_eq!(binary_bytes(u64::MAX), "16384 PiB");
    }

    #[test]
    fn percentages() {
        assert_eq!(percent(0.0021), "0.21 %");
        assert_eq!(percent(0.034), "3.4 %");
        assert_eq!(percent(0.97), "97 %");
        assert_eq!(percent(1.057), "106 %");
    }
}
