//! aiconfigurator, `systems/<name>.yaml`: B/s, FLOP/s and seconds. Its bandwidth is the maker's, with what is reached of it as a factor beside.

use std::fmt::Write;

use super::device::Device;
use super::{ExportError, Exporter, rounded};
use crate::resource::{Direction, Overhead, Resource};

pub(super) const EXPORTER: Exporter =
    Exporter { name: "aiconfigurator", title: "a system of NVIDIA's aiconfigurator (YAML)", extension: "yaml", write };

/// Compute capabilities of architectures that have one.
const CAPABILITIES: [(&str, u32); 4] = [("Volta", 70), ("Turing", 75), ("Ada Lovelace", 89), ("Hopper", 90)];

fn write(device: &mut Device<'_>) -> Result<String, ExportError> {
    let (measured, _) = device.bandwidth()?;
    // Whoever multiplies both must come to the measured value, of which the factor is a share: never more than all.
    let bandwidth = device.stated_bandwidth().map_or(measured, |stated| stated.max(measured));
    let ((half, _), memory) = (device.half()?, device.memory()?);
    let launch = device.known("time of the smallest kernel", Resource::Overhead { of: Overhead::Launch });
    if launch.is_none() {
        device.note("`mem_empirical_constant_latency` is 0: the profile does not know the time of the smallest kernel");
    }
    let (int8, fp8) = (device.int8(), device.fp8());
    let host = device.known("link to the host", Resource::HostLink { direction: Direction::H2d });
    device.note_no_links("`inter_node_bw`, `intra_node_bw` and `p2p_latency`");
    let profile = device.profile;
    let mut text = format!("# {} by rooflab, profile {}.\n", one_line(&profile.device.name), one_line(&profile.name));
    let slug = super::super::name::slug(&profile.name);
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "data_dir: data/{slug}  # no tables of kernels: without any, the tool calculates by speed of light"
    );
    let _ = writeln!(text, "gpu:\n  mem_bw: {}  # B/s", whole(bandwidth));
    let _ = writeln!(text, "  mem_bw_empirical_scaling_factor: {}", rounded(measured / bandwidth));
    let latency = launch.map_or(0.0, |(launch, _)| rounded(launch));
    let _ = writeln!(text, "  mem_empirical_constant_latency: {latency:?}  # s");
    let _ = writeln!(text, "  mem_capacity: {memory:.0}  # B");
    let _ = writeln!(text, "  bfloat16_tc_flops: {}  # FLOP/s", whole(half));
    for (name, value) in [("int8_tc_flops", int8), ("fp8_tc_flops", fp8)] {
        if let Some((value, _)) = value {
            let _ = writeln!(text, "  {name}: {}", whole(value));
        }
    }
    let architecture = profile.device.architecture.as_deref();
    if let Some((_, version)) = CAPABILITIES.iter().find(|(name, _)| architecture == Some(name)) {
        let _ = writeln!(text, "  sm_version: {version}");
    }
    text += "node:\n  num_gpus_per_node: 1\n";
    if let Some((host, _)) = host {
        let _ = writeln!(text, "  pcie_bw: {}  # B/s, one direction", whole(host));
    }
    text += "misc:\n  nccl_mem:\n    1: 0\n  other_mem: 0\n";
    Ok(text)
}

/// A number without a fraction: YAML readers take `4.8e12` for a word.
fn whole(value: f64) -> String {
    format!("{:.0}", rounded(value))
}

/// A name that cannot end a comment.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
