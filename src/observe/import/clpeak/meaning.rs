//! What clpeak's tests measure, in rooflab's words.
//!
//! Not taken are tests that have no counterpart: 24-bit integers, local and image memory, one thread of several, zeros that are skipped (2:4), and libraries' products, whose shapes stand nowhere.

use super::Reading;
use crate::dtype::DType;
use crate::resource::{Access, ComputeUnit, Direction, MemoryLevel, Overhead, Resource, StreamOp};
use crate::units::Unit;

/// A kind of test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Memory,
    Caches,
    Latency,
    Vector,
    Matrix,
    Transfer,
    Launch,
    /// It has no counterpart.
    Other,
}

/// Tests by how their tags begin (in files), and by how their titles begin (as printed). The first that fits counts.
const TESTS: &[(&str, &str, Test)] = &[
    ("global_memory_bandwidth", "Global memory bandwidth", Test::Memory),
    ("global_memory_bandwidth", "DRAM bandwidth", Test::Memory),
    ("cache_bandwidth", "Cache bandwidth", Test::Caches),
    ("memory_latency", "Memory latency", Test::Latency),
    ("single_precision_compute", "Single-precision compute", Test::Vector),
    ("half_precision_compute", "Half-precision compute", Test::Vector),
    ("double_precision_compute", "Double-precision compute", Test::Vector),
    ("mixed_precision_compute", "Mixed-precision compute", Test::Vector),
    ("bfloat16_compute", "BF16 compute", Test::Vector),
    ("integer_compute_fast", "Integer compute Fast", Test::Other),
    ("integer_compute", "Integer compute", Test::Vector),
    ("integer_compute", "INT8 dot-product compute", Test::Vector),
    ("wmma_", "WMMA ", Test::Matrix),
    ("mfma_", "MFMA ", Test::Matrix),
    ("coopmat_", "Cooperative-matrix ", Test::Matrix),
    ("transfer_bandwidth", "Transfer bandwidth", Test::Transfer),
    ("kernel_launch_latency", "Kernel launch latency", Test::Launch),
];

/// Units, what they are of, and how many of the base unit they are.
const UNITS: &[(&str, Unit, f64)] = &[
    ("gbps", Unit::BytePerSecond, 1e9),
    ("gflops", Unit::FlopPerSecond, 1e9),
    ("tflops", Unit::FlopPerSecond, 1e12),
    ("gops", Unit::OpPerSecond, 1e9),
    ("giops", Unit::OpPerSecond, 1e9),
    ("tops", Unit::OpPerSecond, 1e12),
    ("us", Unit::Second, 1e-6),
    ("ns", Unit::Second, 1e-9),
];

/// The title of a test and its unit, where a printed line is one: `Global memory bandwidth (GBPS)`.
pub(super) fn title(line: &str) -> Option<(&str, String)> {
    let (title, unit) = line.trim().strip_suffix(')')?.rsplit_once('(')?;
    let unit = unit.to_ascii_lowercase();
    UNITS.iter().any(|(known, ..)| *known == unit).then(|| (title.trim_end(), unit))
}

/// What a reading is of, and its value in base SI; none where rooflab has no counterpart.
pub(super) fn of(reading: &Reading) -> Option<(Resource, f64)> {
    let metric = reading.metric.to_ascii_lowercase();
    let (_, unit, factor) = *UNITS.iter().find(|(name, ..)| *name == reading.unit.to_ascii_lowercase())?;
    let resource = match test(&reading.test) {
        Test::Memory => memory(&metric),
        Test::Caches => {
            let level = level(metric.strip_suffix(" mt")?).filter(|&level| level != MemoryLevel::Dram)?;
            Some(Resource::Memory { level: Some(level), access: Access::plain(StreamOp::Read) })
        }
        Test::Latency => Some(Resource::Latency { level: Some(level(&metric)?) }),
        Test::Vector => compute(ComputeUnit::Vector, vector(&metric)?),
        Test::Matrix => compute(ComputeUnit::Matrix, matrix(&metric)?),
        Test::Transfer => Some(Resource::HostLink { direction: direction(&metric)? }),
        Test::Launch => (metric == "roundtrip").then_some(Resource::Overhead { of: Overhead::Wake }),
        Test::Other => None,
    }?;
    (resource.unit() == unit).then_some((resource, reading.value * factor))
}

fn test(name: &str) -> Test {
    let is_sparse = ["spars", "2:4", "mma.sp", "smfma"].iter().any(|word| name.contains(word));
    let is_instruction = name.contains("mma.sync");
    match TESTS.iter().find(|(tag, title, _)| name.starts_with(tag) || name.starts_with(title)) {
        _ if is_sparse => Test::Other,
        Some((.., test)) => *test,
        None if is_instruction => Test::Matrix,
        None => Test::Other,
    }
}

const fn compute(unit: ComputeUnit, (input, accumulate): (DType, DType)) -> Option<Resource> {
    Some(Resource::Compute { unit, input, accumulate })
}

/// Loads by the width of vectors; on processors, streams by name.
fn memory(metric: &str) -> Option<Resource> {
    let op = match metric.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "float" | "read" => StreamOp::Read,
        "copy" => StreamOp::Copy,
        "triad" => StreamOp::Triad,
        _ => return None,
    };
    Some(Resource::Memory { level: Some(MemoryLevel::Dram), access: Access::plain(op) })
}

fn level(word: &str) -> Option<MemoryLevel> {
    MemoryLevel::ALL.iter().copied().find(|level| level.word() == word)
}

/// Formats of multiply-adds by the variant's name, whatever its width.
fn vector(metric: &str) -> Option<(DType, DType)> {
    Some(match metric.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "float" => (DType::F32, DType::F32),
        "half" => (DType::F16, DType::F16),
        "double" => (DType::F64, DType::F64),
        "mp" => (DType::F16, DType::F32),
        "bf" | "bf16_" => (DType::Bf16, DType::F32),
        "int" => (DType::Int32, DType::Int32),
        "int8_dp" => (DType::Int8, DType::Int32),
        _ => return None,
    })
}

/// Formats of matrix units by the variant's name.
fn matrix(metric: &str) -> Option<(DType, DType)> {
    Some(match metric {
        "wmma_fp16" | "mfma_fp16" | "coopmat_fp16" => (DType::F16, DType::F32),
        "fp16_f16acc" => (DType::F16, DType::F16),
        "wmma_bf16" | "mfma_bf16" | "coopmat_bf16" => (DType::Bf16, DType::F32),
        "wmma_tf32" => (DType::Tf32, DType::F32),
        "wmma_fp64" => (DType::F64, DType::F64),
        "fp8_e4m3" | "coopmat_fp8_e4m3" => (DType::Fp8E4m3, DType::F32),
        "fp8_e5m2" | "coopmat_fp8_e5m2" => (DType::Fp8E5m2, DType::F32),
        "mxf4_e2m1" => (DType::Mxfp4, DType::F32),
        "nvf4_e2m1" => (DType::Nvfp4, DType::F32),
        "wmma_int8" | "int8_k32" | "mfma_int8" | "coopmat_int8" => (DType::Int8, DType::Int32),
        _ => return None,
    })
}

/// OpenCL's blocking copies are from and to ordinary memory of the host, the others from and to what the device reaches by itself.
fn direction(metric: &str) -> Option<Direction> {
    Some(match metric {
        "h2d" | "h2d_pinned" => Direction::H2d,
        "d2h" | "d2h_pinned" => Direction::D2h,
        "enqueuewritebuffer" => Direction::H2dPageable,
        "enqueuereadbuffer" => Direction::D2hPageable,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(test: &str, metric: &str, unit: &str) -> Option<String> {
        let (test, metric, unit) = (test.to_owned(), metric.to_owned(), unit.to_owned());
        of(&Reading { test, metric, unit, value: 1.0, at: String::new() }).map(|(resource, _)| resource.to_string())
    }

    #[test]
    fn tests_are_known_by_tag_and_by_title() {
        for (test, metric, unit, expected) in [
            ("global_memory_bandwidth", "float16", "gbps", Some("memory.dram.read")),
            ("DRAM bandwidth", "triad", "gbps", Some("memory.dram.triad")),
            ("Cache bandwidth (read)", "L2 MT", "gbps", Some("memory.l2.read")),
            ("cache_bandwidth", "L2 ST", "gbps", None),
            ("Memory latency (pointer-chase)", "DRAM", "ns", Some("latency.dram")),
            ("memory_latency", "DRAM x8", "ns", None),
            ("single_precision_compute", "float4", "gflops", Some("compute.vector.f32")),
            ("Single-precision compute", "half", "gflops", Some("compute.vector.f16")),
            ("mixed_precision_compute", "mp", "gflops", Some("compute.vector.f16.f32")),
            ("bfloat16_compute", "bf16_4", "gflops", Some("compute.vector.bf16.f32")),
            ("bfloat16_compute", "bf16", "gflops", Some("compute.vector.bf16.f32")),
            ("integer_compute", "int2", "giops", Some("compute.vector.int32")),
            ("integer_compute_fast", "int2", "giops", None),
            ("INT8 dot-product compute (__dp4a)", "int8_dp8", "gops", Some("compute.vector.int8.int32")),
            ("WMMA fp16xfp16+fp32 16x16x16", "wmma_fp16", "tflops", Some("compute.matrix.f16.f32")),
            ("FP8(E4M3) mma.sync m16n8k32+fp32", "fp8_e4m3", "tflops", Some("compute.matrix.fp8_e4m3.f32")),
            ("cublas-fp", "fp8_e4m3", "tflops", None),
            ("wmma_int8_sparse", "int8_sparse", "tops", None),
            ("transfer_bandwidth", "enqueueWriteBuffer", "gbps", Some("link.host.h2d_pageable")),
            ("transfer_bandwidth", "d2h_pinned", "gbps", Some("link.host.d2h")),
            ("kernel_launch_latency", "roundtrip", "us", Some("overhead.wake")),
            ("kernel_launch_latency", "dispatch", "us", None),
            // A unit that does not belong to what is measured.
            ("single_precision_compute", "float", "gops", None),
            ("single_precision_compute", "float", "parsecs", None),
        ] {
            assert_eq!(key(test, metric, unit).as_deref(), expected, "{test}, {metric}");
        }
    }

    #[test]
    fn titles_have_a_unit() {
        assert_eq!(title("    Global memory bandwidth (GBPS)"), Some(("Global memory bandwidth", "gbps".to_owned())));
        assert_eq!(
            title("  Integer compute (32-bit IMAD) (GOPS)").map(|(title, _)| title),
            Some("Integer compute (32-bit IMAD)")
        );
        assert_eq!(title("Driver version  : 455.23.05 (Linux x64)"), None);
    }
}
