//! gguf-parser, the value of `--device-metric`: `FLOPS;bandwidth`, each a number with its unit.

use super::device::Device;
use super::{ExportError, Exporter};

pub(super) const EXPORTER: Exporter =
    Exporter { name: "gguf-parser", title: "the value of gguf-parser's `--device-metric`", extension: "txt", write };

fn write(device: &mut Device<'_>) -> Result<String, ExportError> {
    let ((half, _), (bandwidth, _)) = (device.half()?, device.bandwidth()?);
    device.note("use it as `--device-metric \"$(rooflab profile export --to gguf-parser)\"`");
    Ok(format!("{};{}\n", whole(half, "FLOPS"), whole(bandwidth, "Bps")))
}

/// A number with four digits or more and no fraction.
fn whole(value: f64, unit: &str) -> String {
    const PREFIXES: [(f64, &str); 4] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K")];
    let (size, prefix) = PREFIXES.into_iter().find(|(size, _)| value >= 1e3 * size).unwrap_or((1e3, "K"));
    format!("{:.0}{prefix}{unit}", value / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_fraction() {
        assert_eq!(whole(10e12, "FLOPS"), "10000GFLOPS");
        assert_eq!(whole(25.67e9, "Bps"), "25670MBps");
    }
}
