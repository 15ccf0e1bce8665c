//! Prometheus' text format: a gauge for each ceiling, by its unit, for the textfile collector of a node exporter.

use std::fmt::Write;

use super::device::Device;
use super::{ExportError, Exporter};
use crate::resource::Scope;
use crate::units::Unit;

pub(super) const EXPORTER: Exporter = Exporter {
    name: "prometheus",
    title: "a gauge for each ceiling, in Prometheus' text format",
    extension: "prom",
    write,
};

/// Metrics by unit, each with what it is.
const METRICS: [(&str, &str, &[Unit]); 3] = [
    ("rooflab_ceiling_bytes_per_second", "Measured or stated bandwidth of a resource.", &[Unit::BytePerSecond]),
    (
        "rooflab_ceiling_operations_per_second",
        "Measured or stated rate of arithmetic; a multiply-add is two operations.",
        &[Unit::FlopPerSecond, Unit::OpPerSecond],
    ),
    ("rooflab_ceiling_seconds", "Measured time of a resource.", &[Unit::Second]),
];

fn write(device: &mut Device<'_>) -> Result<String, ExportError> {
    let profile = device.profile;
    let about = format!("profile=\"{}\",device=\"{}\"", escaped(&profile.name), escaped(&profile.device.name));
    let mut text = String::new();
    // Writing to a string cannot fail.
    for (name, help, units) in METRICS {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for ceiling in profile.ceilings.iter().filter(|ceiling| units.contains(&ceiling.unit)) {
            if ceiling.resource.is_whole_curve() {
                continue;
            }
            let Some(point) = ceiling.representative().filter(|point| point.value.is_finite()) else { continue };
            let scope = if ceiling.scope == Scope::Core { "core" } else { "device" };
            let resource = ceiling.resource;
            let flagged = !point.flags.is_empty();
            let _ = writeln!(
                text,
                "{name}{{{about},resource=\"{resource}\",scope=\"{scope}\",known=\"measured\",flagged=\"{flagged}\"}} {:e}",
                point.value
            );
        }
        for claim in profile.datasheet.iter().filter(|claim| units.contains(&claim.unit) && claim.value.is_finite()) {
            let resource = claim.resource;
            let _ = writeln!(
                text,
                "{name}{{{about},resource=\"{resource}\",scope=\"device\",known=\"datasheet\",flagged=\"false\"}} {:e}",
                claim.value
            );
        }
        for imported in profile.imported.iter().filter(|imported| units.contains(&imported.unit)) {
            let Some(point) = imported.representative().filter(|point| point.value.is_finite()) else { continue };
            let (resource, tool) = (imported.resource, escaped(&imported.by.who()));
            let _ = writeln!(
                text,
                "{name}{{{about},resource=\"{resource}\",scope=\"device\",known=\"imported\",by=\"{tool}\",flagged=\"false\"}} {:e}",
                point.value
            );
        }
    }
    let name = "rooflab_profile_created_timestamp_seconds";
    let created = profile.header.created.as_second();
    let _ = writeln!(text, "# HELP {name} When measuring began.\n# TYPE {name} gauge\n{name}{{{about}}} {created}");
    Ok(text)
}

/// The value of a label: backslashes, quotes and ends of lines have signs of their own.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stay_within_their_quotes() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
