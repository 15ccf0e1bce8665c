//! Profiles as other tools want them: each tool's units, fields and habits in a file of its own.
//!
//! What a profile does not know is left out, or written so that the tool fails rather than calculates with an invention; the notes say which.

mod aiconfigurator;
mod blis;
mod calculon;
mod csv;
mod device;
mod genz;
mod gguf_parser;
mod llm_analysis;
mod llm_viewer;
mod prometheus;

use super::document::Profile;
use device::Device;

/// A tool that profiles are written for.
#[derive(Clone, Copy, Debug)]
pub struct Exporter {
    /// What it is called.
    pub name: &'static str,
    /// What is written.
    pub title: &'static str,
    /// How the file's name ends.
    pub extension: &'static str,
    write: fn(&mut Device<'_>) -> Result<String, ExportError>,
}

/// A profile as a tool wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The file.
    pub text: String,
    /// What its numbers are, and what is missing.
    pub notes: Vec<String>,
}

/// Why a profile cannot be written for a tool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The profile does not know what the tool cannot do without.
    #[error("the profile does not know {0}, without which the tool cannot calculate")]
    Missing(&'static str),
}

/// Every tool, by name.
pub const EXPORTERS: &[Exporter] = &[
    aiconfigurator::EXPORTER,
    blis::EXPORTER,
    calculon::EXPORTER,
    csv::EXPORTER,
    genz::EXPORTER,
    gguf_parser::EXPORTER,
    llm_analysis::EXPORTER,
    llm_viewer::EXPORTER,
    prometheus::EXPORTER,
];

/// The tool of a name.
#[must_use]
pub fn exporter(name: &str) -> Option<&'static Exporter> {
    EXPORTERS.iter().find(|exporter| exporter.name == name)
}

impl Exporter {
    /// Writes a profile for the tool.
    ///
    /// # Errors
    /// When the profile does not know what the tool cannot do without.
    pub fn export(&self, profile: &Profile) -> Result<Export, ExportError> {
        let mut device = Device::new(profile);
        let text = (self.write)(&mut device)?;
        Ok(Export { text, notes: device.into_notes() })
    }
}

/// A JSON value as a file.
fn json(value: &serde_json::Value) -> String {
    // Serialising a value cannot fail.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// A number with six digits, of which those at the end say nothing when they are zeros.
fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::super::datasheet::bundled;
    use super::*;

    #[test]
    fn names_are_in_order_and_each_is_found() {
        assert!(EXPORTERS.is_sorted_by(|a, b| a.name < b.name));
        for known in EXPORTERS {
            assert_eq!(exporter(known.name).map(|found| found.title), Some(known.title));
        }
        assert!(exporter("nothing").is_none());
    }

    #[test]
    fn every_bundled_profile_is_written_for_every_tool_or_says_what_is_missing() {
        let mut written = 0;
        for profile in bundled().iter().filter_map(|bundled| bundled.profile()) {
            for exporter in EXPORTERS {
                match exporter.export(profile) {
                    Ok(export) => {
                        assert!(!export.text.trim().is_empty(), "{} for {}", profile.name, exporter.name);
                        for word in ["NaN", "inf", "null"] {
                            assert!(!export.text.contains(word), "{word} in {} for {}", profile.name, exporter.name);
                        }
                        if exporter.extension == "json" {
                            serde_json::from_str::<serde_json::Value>(&export.text).unwrap();
                        }
                        written += 1;
                    }
                    Err(ExportError::Missing(what)) => assert!(!what.is_empty()),
                }
            }
        }
        assert!(written > 250, "{written}");
    }

    #[test]
    fn numbers_keep_six_digits() {
        assert_eq!(rounded(25_666_777_888.0), 25_666_800_000.0);
        assert_eq!(rounded(0.0), 0.0);
    }
}
