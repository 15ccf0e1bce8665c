//! GenZ, an entry of `system_configs`: TFLOP/s, and bandwidth and memory that the tool multiplies by 2^30.

use serde_json::{Map, Value, json};

use super::device::{Device, GIBI};
use super::{ExportError, Exporter, rounded};

pub(super) const EXPORTER: Exporter =
    Exporter { name: "genz", title: "an entry of GenZ's `system_configs` (JSON)", extension: "json", write };

fn write(device: &mut Device<'_>) -> Result<String, ExportError> {
    let ((bandwidth, _), (half, _)) = (device.bandwidth()?, device.half()?);
    device.note_no_links("`ICN` and `ICN_LL`");
    let entry = json!({
        "Flops": rounded(half / 1e12),
        "Memory_size": device.gibibytes()?,
        "Memory_BW": rounded(bandwidth / GIBI),
        // Without one, the tool would take 150.
        "ICN": 0,
        "ICN_LL": 0,
        "real_values": true,
    });
    let whole: Map<String, Value> = [(device.profile.name.clone(), entry)].into_iter().collect();
    Ok(super::json(&Value::Object(whole)))
}
