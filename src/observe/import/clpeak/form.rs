//! The forms that clpeak's results have.

use super::meaning;
use crate::observe::input::Input;

/// A form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `--json-file`.
    Json,
    /// `--csv-file`.
    Csv,
    /// `--xml-file`.
    Xml,
    /// What it prints.
    Printed,
}

impl Form {
    /// The form of a file, if it is one of clpeak's.
    pub(super) fn of(input: &Input<'_>) -> Option<Self> {
        if input.has(&["clpeak_version", "entries"]) {
            return Some(Self::Json);
        }
        let text = input.text().trim_start();
        if text.starts_with("format_version,backend,platform,device,") {
            return Some(Self::Csv);
        }
        if text.starts_with('<') {
            return text.contains("<clpeak").then_some(Self::Xml);
        }
        let is_device = |line: &str| device(line).is_some();
        let mut lines = input.lines().map(|(_, line)| line);
        (lines.any(is_device) && lines.any(|line| meaning::title(line).is_some())).then_some(Self::Printed)
    }
}

/// The device that a line names: `Device: …`, or `Device 0: …`.
pub(super) fn device(line: &str) -> Option<&str> {
    let (number, name) = line.trim().strip_prefix("Device")?.split_once(':')?;
    let is_number = number.is_empty() || number.trim().bytes().all(|byte| byte.is_ascii_digit());
    Some(name.trim()).filter(|name| is_number && !name.is_empty())
}
