//! LLM-Viewer, an entry of `hardware_params`: B/s, operations per second and bytes, as they are.

use serde_json::{Map, Value, json};

use super::device::Device;
use super::{ExportError, Exporter, rounded};
use crate::facts::DeviceKind;

pub(super) const EXPORTER: Exporter = Exporter {
    name: "llm-viewer",
    title: "an entry of LLM-Viewer's `hardware_params` (JSON, also a Python literal)",
    extension: "json",
    write,
};

fn write(device: &mut Device<'_>) -> Result<String, ExportError> {
    let mut entry = Map::new();
    entry.insert("bandwidth".to_owned(), json!(rounded(device.bandwidth()?.0)));
    entry.insert("FP16".to_owned(), json!(rounded(device.half()?.0)));
    match device.int8() {
        Some((int8, _)) => {
            entry.insert("INT8".to_owned(), json!(rounded(int8)));
        }
        None => device.note("`INT8` is left out: the profile knows no 8-bit integer arithmetic"),
    }
    match on_chip(device) {
        Some(bytes) => {
            entry.insert("onchip_buffer".to_owned(), json!(bytes));
        }
        None => {
            device
                .note("`onchip_buffer` is left out: the profile knows no caches; the tool's flash attention needs it");
        }
    }
    let name = device.profile.name.clone();
    let whole: Map<String, Value> = [(name, Value::Object(entry))].into_iter().collect();
    Ok(super::json(&Value::Object(whole)))
}

/// Bytes of what kernels keep at hand: of processors the last cache, of others the first over all cores.
fn on_chip(device: &Device<'_>) -> Option<u64> {
    let identity = &device.profile.device;
    let capacity = |cache| identity.capacity(cache, identity.cores);
    let bytes = match identity.kind {
        DeviceKind::Cpu => identity.caches.iter().map(capacity).max(),
        _ => identity.caches.first().map(capacity),
    };
    bytes.filter(|&bytes| bytes > 0)
}
