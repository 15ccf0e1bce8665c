//! What NVIDIA states of each generation, by compute capability, and of which products that holds.
//!
//! Source: CUDA C++ Programming Guide 13, "Throughput of native arithmetic instructions" and "Technical specifications per compute capability".

use super::survey::Found;
use crate::backend::CycleLimit;
use crate::dtype::DType;

const SOURCE: &str = "CUDA C++ Programming Guide, throughput of native arithmetic instructions";

/// A generation. Rates are multiply-adds per multiprocessor and clock cycle.
struct Generation {
    capability: (u32, u32),
    name: &'static str,
    /// KiB of L1 cache and shared memory together.
    l1: u32,
    f64: u32,
    f32: u32,
    f16: u32,
    bf16: u32,
}

const fn generation(
    capability: (u32, u32),
    name: &'static str,
    l1: u32,
    [f64, f32, f16, bf16]: [u32; 4],
) -> Generation {
    Generation { capability, name, l1, f64, f32, f16, bf16 }
}

const GENERATIONS: [Generation; 11] = [
    generation((7, 0), "Volta", 128, [32, 64, 128, 0]),
    generation((7, 2), "Volta", 128, [2, 64, 128, 0]),
    generation((7, 5), "Turing", 96, [2, 64, 128, 0]),
    generation((8, 0), "Ampere", 192, [32, 64, 256, 128]),
    generation((8, 6), "Ampere", 128, [2, 128, 128, 128]),
    generation((8, 7), "Ampere", 192, [2, 128, 128, 128]),
    generation((8, 9), "Ada Lovelace", 128, [2, 128, 128, 128]),
    generation((9, 0), "Hopper", 256, [64, 128, 256, 256]),
    generation((10, 0), "Blackwell", 256, [64, 128, 256, 256]),
    generation((10, 3), "Blackwell", 256, [2, 128, 256, 256]),
    generation((12, 0), "Blackwell", 128, [2, 128, 128, 128]),
];

fn of(capability: (u32, u32)) -> Option<&'static Generation> {
    GENERATIONS.iter().find(|generation| generation.capability == capability)
}

/// The generation's name.
pub(super) fn architecture(capability: (u32, u32)) -> Option<&'static str> {
    of(capability).map(|generation| generation.name)
}

/// Bytes of a multiprocessor's L1 cache with its shared memory.
pub(super) fn l1(capability: (u32, u32)) -> Option<u64> {
    of(capability).map(|generation| u64::from(generation.l1) << 10)
}

/// Words in the names of products whose datasheets state the rates of the whole chip for matrix units and f64. Others of the same compute capability have some of these units cut
/// off, and nothing that the driver tells shows it: NVIDIA's own sheet of the L40 states half of the rate of the L40S, the GTX 16 series has no matrix units, a multiprocessor of the
/// H20 a quarter of the H200's rate. Of a product that is not here nothing is known.
const WHOLE: [((u32, u32), &[&str]); 7] = [
    ((7, 0), &["V100", "V100S", "GV100"]),
    ((7, 5), &["RTX", "T4"]),
    ((8, 0), &["A100", "A30"]),
    ((8, 6), &["RTX", "A10", "A40"]),
    ((8, 9), &["RTX", "L4", "L40S"]),
    ((9, 0), &["H100", "H200", "GH200"]),
    ((10, 0), &["B200", "GB200"]),
];

/// Whether a device is a product whose units are known to be whole. A part of a product (`A10-24Q`) has the rates of the product.
fn is_whole(device: &Found) -> bool {
    let products = WHOLE.iter().find(|(capability, _)| *capability == device.capability);
    let mut words = device.name.split(|character: char| !character.is_alphanumeric());
    !device.is_software() && words.any(|word| products.is_some_and(|(_, products)| products.contains(&word)))
}

/// Multiply-adds of f64 that no product has fewer of.
const LEAST_F64: u32 = 2;

/// Operations of multiply-adds in a format that a multiprocessor can do in a cycle.
pub(super) fn multiply_add(device: &Found, format: DType) -> Option<CycleLimit> {
    let generation = of(device.capability).filter(|_| !device.is_software())?;
    let rate = match format {
        DType::F64 if generation.f64 > LEAST_F64 && !is_whole(device) => 0,
        DType::F64 => generation.f64,
        DType::F32 => generation.f32,
        DType::F16 => generation.f16,
        DType::Bf16 => generation.bf16,
        _ => 0,
    };
    (rate > 0).then(|| CycleLimit { per_cycle: 2.0 * f64::from(rate), source: SOURCE })
}

/// The first compute capability whose matrix units multiply a format (PTX ISA 8.8, target notes of `wmma.mma` and `mma`).
pub(super) const fn matrix_units(input: DType) -> Option<(u32, u32)> {
    match input {
        DType::F16 => Some((7, 0)),
        DType::Int8 => Some((7, 2)),
        DType::Int4 => Some((7, 5)),
        DType::Bf16 | DType::Tf32 | DType::F64 => Some((8, 0)),
        DType::Fp8E4m3 => Some((8, 9)),
        _ => None,
    }
}

/// Multiply-adds of matrix units per multiprocessor and clock cycle, of dense matrices. Where products of a generation differ, because some sum in 32 bits at half
/// the rate, there is none: a share of the faster one's rate would say nothing of the slower.
struct Matrix {
    capability: (u32, u32),
    input: DType,
    accumulate: DType,
    rate: u32,
    source: &'static str,
}

const TURING: &str = "NVIDIA Turing GPU Architecture whitepaper, tensor cores";
const A100: &str = "NVIDIA A100 Tensor Core GPU Architecture whitepaper, comparison of data center GPUs";
const GA102: &str = "NVIDIA Ampere GA102 GPU Architecture whitepaper, tensor cores";
const ADA: &str = "NVIDIA Ada GPU Architecture whitepaper, tensor cores";
const HOPPER: &str = "NVIDIA H100 Tensor Core GPU Architecture whitepaper, comparison of A100 and H100";

const fn matrix_rate(
    capability: (u32, u32),
    (input, accumulate): (DType, DType),
    rate: u32,
    source: &'static str,
) -> Matrix {
    Matrix { capability, input, accumulate, rate, source }
}

const MATRIX: [Matrix; 22] = [
    matrix_rate((7, 5), (DType::F16, DType::F16), 512, TURING),
    matrix_rate((7, 5), (DType::Int8, DType::Int32), 1024, TURING),
    matrix_rate((7, 5), (DType::Int4, DType::Int32), 2048, TURING),
    matrix_rate((8, 0), (DType::F64, DType::F64), 64, A100),
    matrix_rate((8, 0), (DType::Tf32, DType::F32), 512, A100),
    matrix_rate((8, 0), (DType::F16, DType::F32), 1024, A100),
    matrix_rate((8, 0), (DType::F16, DType::F16), 1024, A100),
    matrix_rate((8, 0), (DType::Bf16, DType::F32), 1024, A100),
    matrix_rate((8, 0), (DType::Int8, DType::Int32), 2048, A100),
    matrix_rate((8, 0), (DType::Int4, DType::Int32), 4096, A100),
    matrix_rate((8, 6), (DType::F16, DType::F16), 512, GA102),
    matrix_rate((8, 6), (DType::Int8, DType::Int32), 1024, GA102),
    matrix_rate((8, 6), (DType::Int4, DType::Int32), 2048, GA102),
    matrix_rate((8, 9), (DType::F16, DType::F16), 512, ADA),
    matrix_rate((8, 9), (DType::Int8, DType::Int32), 1024, ADA),
    matrix_rate((8, 9), (DType::Int4, DType::Int32), 2048, ADA),
    matrix_rate((9, 0), (DType::F64, DType::F64), 128, HOPPER),
    matrix_rate((9, 0), (DType::Tf32, DType::F32), 1024, HOPPER),
    matrix_rate((9, 0), (DType::F16, DType::F32), 2048, HOPPER),
    matrix_rate((9, 0), (DType::Bf16, DType::F32), 2048, HOPPER),
    matrix_rate((9, 0), (DType::Fp8E4m3, DType::F32), 4096, HOPPER),
    matrix_rate((9, 0), (DType::Int8, DType::Int32), 4096, HOPPER),
];

/// Operations of matrix multiply-adds in a pair of formats that a multiprocessor can do in a cycle. The same sources state that those of a sparse matrix, counted as of a dense one,
/// are twice as many on every generation that has them.
pub(super) fn matrix(device: &Found, sparse: bool, formats: (DType, DType)) -> Option<CycleLimit> {
    let wanted = |row: &&Matrix| row.capability == device.capability && (row.input, row.accumulate) == formats;
    let row = MATRIX.iter().find(wanted).filter(|_| is_whole(device))?;
    let times = if sparse { 2.0 } else { 1.0 };
    Some(CycleLimit { per_cycle: times * 2.0 * f64::from(row.rate), source: row.source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, capability: (u32, u32)) -> Found {
        Found::of(name, capability, (12, 9))
    }

    const V100: (&str, (u32, u32)) = ("Tesla V100-SXM2-16GB", (7, 0));
    const T4: (&str, (u32, u32)) = ("Tesla T4", (7, 5));
    const A100: (&str, (u32, u32)) = ("NVIDIA A100-SXM4-80GB", (8, 0));
    const A10: (&str, (u32, u32)) = ("NVIDIA A10", (8, 6));
    const L40S: (&str, (u32, u32)) = ("NVIDIA L40S", (8, 9));
    const RTX_4090: (&str, (u32, u32)) = ("NVIDIA GeForce RTX 4090", (8, 9));
    const H100: (&str, (u32, u32)) = ("NVIDIA H100 80GB HBM3", (9, 0));

    /// Multiprocessors and boost clock in GHz, with the vector rates that datasheets state, in TFLOP/s.
    #[test]
    fn rates_times_clocks_are_what_datasheets_state() {
        let cases = [
            (V100, DType::F64, 80, 1.53, 7.8),
            (V100, DType::F32, 80, 1.53, 15.7),
            (A100, DType::F64, 108, 1.41, 9.7),
            (A100, DType::F32, 108, 1.41, 19.5),
            (A100, DType::F16, 108, 1.41, 78.0),
            (A100, DType::Bf16, 108, 1.41, 39.0),
            (RTX_4090, DType::F32, 128, 2.52, 82.6),
            (H100, DType::F64, 132, 1.98, 33.5),
            (H100, DType::F32, 132, 1.98, 66.9),
            (H100, DType::F16, 132, 1.98, 133.8),
        ];
        for ((name, capability), format, multiprocessors, clock, stated) in cases {
            let limit = multiply_add(&device(name, capability), format).unwrap();
            let rate = limit.per_cycle * f64::from(multiprocessors) * clock / 1e3;
            assert!((rate / stated - 1.0).abs() < 0.01, "{name} {format}: {rate} and {stated}");
        }
    }

    /// The same of matrix units.
    #[test]
    fn rates_of_matrix_units_are_what_datasheets_state() {
        let cases = [
            (T4, (DType::Int8, DType::Int32), 40, 1.59, 130.0),
            (T4, (DType::Int4, DType::Int32), 40, 1.59, 260.0),
            (A100, (DType::Int4, DType::Int32), 108, 1.41, 1248.0),
            (RTX_4090, (DType::Int4, DType::Int32), 128, 2.52, 1321.2),
            (A100, (DType::F64, DType::F64), 108, 1.41, 19.5),
            (A100, (DType::Tf32, DType::F32), 108, 1.41, 156.0),
            (A100, (DType::Bf16, DType::F32), 108, 1.41, 312.0),
            (A100, (DType::Int8, DType::Int32), 108, 1.41, 624.0),
            (A10, (DType::Int8, DType::Int32), 72, 1.695, 250.0),
            (RTX_4090, (DType::F16, DType::F16), 128, 2.52, 330.3),
            (RTX_4090, (DType::Int8, DType::Int32), 128, 2.52, 660.6),
            (L40S, (DType::Int8, DType::Int32), 142, 2.52, 733.0),
            (H100, (DType::F64, DType::F64), 132, 1.98, 66.9),
            (H100, (DType::Bf16, DType::F32), 132, 1.83, 989.4),
            (H100, (DType::Fp8E4m3, DType::F32), 132, 1.83, 1978.9),
        ];
        for ((name, capability), formats, multiprocessors, clock, stated) in cases {
            let limit = matrix(&device(name, capability), false, formats).unwrap();
            let rate = limit.per_cycle * f64::from(multiprocessors) * clock / 1e3;
            assert!((rate / stated - 1.0).abs() < 0.01, "{name} {formats:?}: {rate} and {stated}");
            // The same sheets state twice as much of sparse matrices.
            let sparse = matrix(&device(name, capability), true, formats).map(|limit| limit.per_cycle);
            assert_eq!(sparse, Some(2.0 * limit.per_cycle));
        }
    }

    #[test]
    fn a_product_whose_units_may_be_cut_has_no_limit_of_the_whole_chip() {
        let cut = [
            ("NVIDIA GeForce GTX 1650", (7, 5)),
            ("NVIDIA T400 4GB", (7, 5)),
            ("NVIDIA CMP 170HX", (8, 0)),
            ("NVIDIA A10G", (8, 6)),
            ("NVIDIA L40", (8, 9)),
            ("NVIDIA L20", (8, 9)),
            ("NVIDIA H20", (9, 0)),
            ("NVIDIA H800", (9, 0)),
            ("Stand-in H100 (interpreter)", (9, 0)),
        ];
        for (name, capability) in cut {
            let device = device(name, capability);
            for row in &MATRIX {
                assert_eq!(matrix(&device, false, (row.input, row.accumulate)), None, "{name}");
            }
            assert_eq!(multiply_add(&device, DType::F32).is_none(), device.is_software(), "{name}");
            let many = of(capability).unwrap().f64 > LEAST_F64;
            assert_eq!(multiply_add(&device, DType::F64).is_none(), many, "{name}");
        }
    }

    #[test]
    fn parts_of_a_product_have_its_rates() {
        for (name, capability) in [
            ("NVIDIA A100-SXM4-40GB MIG 3g.20gb", (8, 0)),
            ("NVIDIA A10-24Q", (8, 6)),
            ("NVIDIA GeForce RTX 4090/PCIe/SSE2", (8, 9)),
            ("NVIDIA GH200 480GB", (9, 0)),
        ] {
            assert!(matrix(&device(name, capability), false, (DType::Int8, DType::Int32)).is_some(), "{name}");
        }
    }

    /// What matrix units multiply stands in two tables.
    #[test]
    fn no_rate_is_older_than_the_units() {
        for row in &MATRIX {
            assert!(matrix_units(row.input).is_some_and(|first| first <= row.capability), "{:?}", row.input);
        }
    }
}
