//! CSV: a line for each point and for each figure of the maker's, in base SI.

use super::device::Device;
use super::{ExportError, Exporter};
use crate::profile::Flag;
use crate::resource::Scope;

pub(super) const EXPORTER: Exporter =
    Exporter { name: "csv", title: "every point, as CSV in base SI", extension: "csv", write };

const COLUMNS: [&str; 15] = [
    "resource",
    "scope",
    "unit",
    "at",
    "m",
    "n",
    "k",
    "value",
    "best",
    "p10",
    "p90",
    "mad",
    "clean_samples",
    "flags",
    "known",
];

fn write(device: &mut Device<'_>) -> Result<String, ExportError> {
    let profile = device.profile;
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let mut lines = vec![COLUMNS.map(str::to_owned)];
    for ceiling in &profile.ceilings {
        let scope = if ceiling.scope == Scope::Core { "core" } else { "device" };
        for point in ceiling.points() {
            let size =
                |pick: fn(crate::workload::Shape) -> u64| point.shape.map_or_else(String::new, |s| pick(s).to_string());
            lines.push([
                ceiling.resource.to_string(),
                scope.to_owned(),
                ceiling.unit.to_string(),
                point.at.map_or_else(String::new, |at| at.to_string()),
                size(|shape| shape.m),
                size(|shape| shape.n),
                size(|shape| shape.k),
                point.value.to_string(),
                point.best.to_string(),
                point.p10.to_string(),
                point.p90.to_string(),
                point.mad.to_string(),
                point.samples.clean.to_string(),
                point.flags.iter().map(Flag::word).collect::<Vec<_>>().join(" "),
                "measured".to_owned(),
            ]);
        }
    }
    for claim in &profile.datasheet {
        let mut line: [String; COLUMNS.len()] = Default::default();
        line[0] = claim.resource.to_string();
        line[1] = "device".to_owned();
        line[2] = claim.unit.to_string();
        line[7] = claim.value.to_string();
        line[14] = "datasheet".to_owned();
        lines.push(line);
    }
    for imported in &profile.imported {
        for point in &imported.points {
            let mut line: [String; COLUMNS.len()] = Default::default();
            line[0] = imported.resource.to_string();
            line[1] = "device".to_owned();
            line[2] = imported.unit.to_string();
            line[3] = point.at.map_or_else(String::new, |at| at.to_string());
            line[7] = point.value.to_string();
            line[14] = format!("imported from {}", imported.by.who());
            lines.push(line);
        }
    }
    for line in lines {
        // Writing to memory cannot fail.
        let _ = writer.write_record(line);
    }
    Ok(String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default())
}
