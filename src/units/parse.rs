//! Sizes and durations as people type them: `4k`, `1Mi`, `250ms`.

use super::Seconds;

/// A size or duration that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct ParseSizeError {
    text: String,
    expected: &'static str,
}

/// Reads a count with an optional decimal (`k`, `M`, `G`, `T`) or binary (`Ki`, `Mi`, `Gi`, `Ti`) suffix; a trailing `B`
/// is allowed.
///
/// # Errors
/// When the text is not such a number, or does not fit 64 bits.
pub fn parse_size(text: &str) -> Result<u64, ParseSizeError> {
    let error = || ParseSizeError { text: text.to_owned(), expected: "a size such as `512`, `4k`, `1Mi` or `2GB`" };
    let (number, suffix) = split(text.trim());
    let suffix = suffix.strip_suffix(['B', 'b']).unwrap_or(suffix);
    let factor = match suffix {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" | "m" => 1e6,
        "G" | "g" => 1e9,
        "T" | "t" => 1e12,
        "Ki" | "ki" => 1024.0,
        "Mi" | "mi" => 1_048_576.0,
        "Gi" | "gi" => 1_073_741_824.0,
        "Ti" | "ti" => 1_099_511_627_776.0,
        _ => return Err(error()),
    };
    let value = number.parse::<f64>().map_err(|_| error())? * factor;
    // 2^53: beyond it a double no longer counts bytes one by one.
    if value.is_finite() && (0.0..9_007_199_254_740_992.0).contains(&value) {
        Ok(value.round() as u64)
    } else {
        Err(error())
    }
}

/// Reads a duration: `250ms`, `3s`, `2m`, `1h`; a bare number is seconds.
///
/// # Errors
/// When the text is not a positive, finite duration.
pub fn parse_duration(text: &str) -> Result<Seconds, ParseSizeError> {
    let error = || ParseSizeError { text: text.to_owned(), expected: "a duration such as `250ms`, `10s` or `2m`" };
    let (number, suffix) = split(text.trim());
    let factor = match suffix {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(error()),
    };
    let value = number.parse::<f64>().map_err(|_| error())? * factor;
    if value.is_finite() && value > 0.0 { Ok(Seconds(value)) } else { Err(error()) }
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    (number, suffix.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in
            [("512", 512), ("4k", 4000), ("1Mi", 1 << 20), ("1.5 GiB", 3 << 29), ("2GB", 2_000_000_000)]
        {
            assert_eq!(parse_size(text), Ok(expected), "{text}");
        }
        for text in ["", "k", "-1", "1x", "1e9", "99999999T", "1.2.3", "NaN", "½"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, expected) in [("250ms", 0.25), ("10", 10.0), ("2m", 120.0), ("1h", 3600.0)] {
            assert!((parse_duration(text).unwrap().get() - expected).abs() < 1e-12, "{text}");
        }
        for text in ["", "0", "-1s", "1d", "inf", "s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
