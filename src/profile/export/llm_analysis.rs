//! llm-analysis, `gpu_configs/*.json`: TFLOP/s, GB/s, and memory in GiB that is called GB. Its efficiencies are 1: measured peaks hold them already, and of others none is known.

use serde_json::json;

use super::device::Device;
use super::{ExportError, Exporter, rounded};

pub(super) const EXPORTER: Exporter =
    Exporter { name: "llm-analysis", title: "a GPU configuration of llm-analysis (JSON)", extension: "json", write };

fn write(device: &mut Device<'_>) -> Result<String, ExportError> {
    let ((bandwidth, reads), (half, known)) = (device.bandwidth()?, device.half()?);
    let int8 = device.int8().map(|(int8, _)| int8);
    // Where there is none, the tool would take twice and four times the 16-bit peak.
    let eight = int8.unwrap_or(half);
    if int8.is_none() {
        device.note("`peak_i8_TFLOPS` is that of 16 bits: the profile knows no 8-bit integer arithmetic");
    }
    device.note("`peak_i4_TFLOPS` is that of 8 bits: the profile knows no 4-bit arithmetic");
    device.note(format!("use `--flops_efficiency 1`: the 16-bit peak is {}", known.of_peak()));
    device.note(format!("use `--hbm_memory_efficiency 1`: the bandwidth is {}", reads.of_bandwidth()));
    device.note_no_links("`intra_node_*` and `inter_node_*`");
    Ok(super::json(&json!({
        "name": device.profile.name,
        "mem_per_GPU_in_GB": device.gibibytes()?,
        "hbm_bandwidth_in_GB_per_sec": rounded(bandwidth / 1e9),
        "intra_node_bandwidth_in_GB_per_sec": 0,
        "intra_node_min_message_latency": 0,
        "peak_fp16_TFLOPS": rounded(half / 1e12),
        "peak_i8_TFLOPS": rounded(eight / 1e12),
        "peak_i4_TFLOPS": rounded(eight / 1e12),
        "inter_node_bandwidth_in_GB_per_sec": 0,
    })))
}
