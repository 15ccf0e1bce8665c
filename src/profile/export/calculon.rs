//! Calculon, `systems/*.json`: TFLOP/s, GB/s and GiB, with shares of them as steps that descend to size 0. The tool that takes measured curves as they are.

use serde_json::{Map, json};

use super::device::{Device, Figure, Step, steps};
use super::{ExportError, Exporter, rounded};
use crate::dtype::DType;
use crate::resource::{ComputeUnit, Resource};

pub(super) const EXPORTER: Exporter =
    Exporter { name: "calculon", title: "a system of Calculon (JSON)", extension: "json", write };

fn write(device: &mut Device<'_>) -> Result<String, ExportError> {
    let bandwidth = device.bandwidth()?;
    let half = device.half()?;
    let fp8 = device.fp8();
    let vector = vector(device).unwrap_or_else(|| {
        device.note("`vector` is as fast as `matrix`: the profile knows no vector arithmetic in f32");
        half.0
    });
    let mut matrix = Map::new();
    matrix.insert("float16".to_owned(), products(device, "float16", DType::Bf16, half));
    if let Some(fp8) = fp8 {
        matrix.insert("float8".to_owned(), products(device, "float8", DType::Fp8E4m3, fp8));
    }
    let read = weights(device, bandwidth);
    let bandwidth = bandwidth.0;
    let types: Vec<String> = matrix.keys().cloned().collect();
    let flat = [[0.0, 1.0]];
    let vector: Map<_, _> = types.into_iter().map(|name| (name, engine(vector, &flat))).collect();
    device.note("the second memory has size 0, and there are no networks: a profile is of one device");
    Ok(super::json(&json!({
        "matrix": matrix,
        "vector": vector,
        "mem1": {
            "GiB": device.gibibytes()?,
            "GBps": rounded(bandwidth / 1e9),
            "MB_efficiency": read,
        },
        "mem2": { "GiB": 0, "GBps": rounded(bandwidth / 1e9), "MB_efficiency": flat },
        "processing_mode": "roofline",
        "networks": [],
    })))
}

fn engine(peak: f64, steps: &[Step]) -> serde_json::Value {
    json!({ "tflops": rounded(peak / 1e12), "gflops_efficiency": steps })
}

/// The vector unit in the widest of the formats that activations have.
fn vector(device: &mut Device<'_>) -> Option<f64> {
    let unit = ComputeUnit::Vector;
    let resource = |input, accumulate| Resource::Compute { unit, input, accumulate };
    device.known("vector arithmetic", resource(DType::F32, DType::F32)).map(|(value, _)| value)
}

/// The matrix unit in a format, with the shares of its peak that measured products reach, by their operations.
fn products(device: &mut Device<'_>, name: &str, input: DType, (peak, known): Figure) -> serde_json::Value {
    let ceiling = device.ceiling(Resource::Gemm { input, accumulate: DType::F32 });
    let points = ceiling.map_or(&[][..], |ceiling| ceiling.points()).iter();
    let sized = points.filter_map(|point| {
        let shape = point.shape?;
        Some((2.0 * shape.m as f64 * shape.n as f64 * shape.k as f64, point.value))
    });
    let sized: Vec<(f64, f64)> = sized.collect();
    note_shares(
        device,
        &format!("`{name}`"),
        "product of its format",
        !sized.is_empty(),
        &format!("the peak is {}", known.of_peak()),
    );
    engine(peak, &steps(sized, peak, 1e9))
}

/// Shares of the bandwidth that reading weights reaches, by the bytes of the matrix.
fn weights(device: &mut Device<'_>, (bandwidth, known): Figure) -> Vec<Step> {
    let ceiling = device.ceiling(Resource::Gemv { weights: DType::Bf16, activations: DType::Bf16 });
    let points = ceiling.map_or(&[][..], |ceiling| ceiling.points()).iter();
    let sized: Vec<(f64, f64)> = points.filter_map(|point| Some((point.at?, point.value))).collect();
    note_shares(
        device,
        "`mem1`",
        "matrix–vector product",
        !sized.is_empty(),
        &format!("the bandwidth is {}", known.of_bandwidth()),
    );
    steps(sized, bandwidth, 1e6)
}

/// Says where the shares of a peak come from.
fn note_shares(device: &mut Device<'_>, what: &str, of: &str, are_measured: bool, known: &str) {
    device.note(if are_measured {
        format!("efficiencies of {what} are shares that were measured at these sizes: use them as they are")
    } else {
        format!("the efficiency of {what} is 1: no {of} was measured, and {known}")
    });
}
