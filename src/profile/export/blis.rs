//! BLIS (inference-sim), an entry of `hardware_config.json`: TFLOP/s, TB/s and GiB. Its utilisations are 1: measured peaks hold them already, and of others none is known.

use serde_json::{Map, Value, json};

use super::device::Device;
use super::{ExportError, Exporter, rounded};

pub(super) const EXPORTER: Exporter =
    Exporter { name: "blis", title: "an entry of BLIS' `hardware_config.json`", extension: "json", write };

fn write(device: &mut Device<'_>) -> Result<String, ExportError> {
    let ((bandwidth, _), (half, known)) = (device.bandwidth()?, device.half()?);
    let fp8 = device.fp8().map(|(fp8, _)| fp8);
    device.note(format!("`mfuPrefill` and `mfuDecode` are 1: the peak is {}", known.of_peak()));
    let entry = json!({
        "TFlopsPeak": rounded(half / 1e12),
        // 0 stands for none.
        "TFlopsFP8": fp8.map_or(0.0, |fp8| rounded(fp8 / 1e12)),
        "BwPeakTBs": rounded(bandwidth / 1e12),
        "mfuPrefill": 1.0,
        "mfuDecode": 1.0,
        "MemoryGiB": device.gibibytes()?,
    });
    let whole: Map<String, Value> = [(device.profile.name.clone(), entry)].into_iter().collect();
    Ok(super::json(&Value::Object(whole)))
}
