//! What NVIDIA states of each generation, by compute capability.
//!
//! Source: CUDA C++ Programming Guide 13, "Throughput of native arithmetic instructions" and "Technical specifications per compute capability".

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

/// Operations of multiply-adds in a format that a multiprocessor can do in a cycle.
pub(super) fn multiply_add(capability: (u32, u32), format: DType) -> Option<CycleLimit> {
    let generation = of(capability)?;
    let rate = match format {
        DType::F64 => generation.f64,
        DType::F32 => generation.f32,
        DType::F16 => generation.f16,
        DType::Bf16 => generation.bf16,
        _ => 0,
    };
    (rate > 0).then(|| CycleLimit { per_cycle: 2.0 * f64::from(rate), source: SOURCE })
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
const A100: &str = "NVIDIA A100 Tensor Core GPU Architecture whitepaper, table 1";
const GA102: &str = "NVIDIA Ampere GA102 GPU Architecture whitepaper, tensor cores";
const ADA: &str = "NVIDIA Ada GPU Architecture whitepaper, tensor cores";
const HOPPER: &str = "NVIDIA H100 Tensor Core GPU Architecture whitepaper, table 2";

const fn matrix_rate(
    capability: (u32, u32),
    (input, accumulate): (DType, DType),
    rate: u32,
    source: &'static str,
) -> Matrix {
    Matrix { capability, input, accumulate, rate, source }
}

const MATRIX: [Matrix; 18] = [
    matrix_rate((7, 5), (DType::F16, DType::F16), 512, TURING),
    matrix_rate((7, 5), (DType::Int8, DType::Int32), 1024, TURING),
    matrix_rate((8, 0), (DType::F64, DType::F64), 64, A100),
    matrix_rate((8, 0), (DType::Tf32, DType::F32), 512, A100),
    matrix_rate((8, 0), (DType::F16, DType::F32), 1024, A100),
    matrix_rate((8, 0), (DType::F16, DType::F16), 1024, A100),
    matrix_rate((8, 0), (DType::Bf16, DType::F32), 1024, A100),
    matrix_rate((8, 0), (DType::Int8, DType::Int32), 2048, A100),
    matrix_rate((8, 6), (DType::F16, DType::F16), 512, GA102),
    matrix_rate((8, 6), (DType::Int8, DType::Int32), 1024, GA102),
    matrix_rate((8, 9), (DType::F16, DType::F16), 512, ADA),
    matrix_rate((8, 9), (DType::Int8, DType::Int32), 1024, ADA),
    matrix_rate((9, 0), (DType::F64, DType::F64), 128, HOPPER),
    matrix_rate((9, 0), (DType::Tf32, DType::F32), 1024, HOPPER),
    matrix_rate((9, 0), (DType::F16, DType::F32), 2048, HOPPER),
    matrix_rate((9, 0), (DType::Bf16, DType::F32), 2048, HOPPER),
    matrix_rate((9, 0), (DType::Fp8E4m3, DType::F32), 4096, HOPPER),
    matrix_rate((9, 0), (DType::Int8, DType::Int32), 4096, HOPPER),
];

/// Operations of matrix multiply-adds in a pair of formats that a multiprocessor can do in a cycle.
pub(super) fn matrix(capability: (u32, u32), input: DType, accumulate: DType) -> Option<CycleLimit> {
    let wanted = |row: &&Matrix| (row.capability, row.input, row.accumulate) == (capability, input, accumulate);
    let row = MATRIX.iter().find(wanted)?;
    Some(CycleLimit { per_cycle: 2.0 * f64::from(row.rate), source: row.source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Multiprocessors and boost clock in GHz, with the vector rates that datasheets state, in TFLOP/s.
    #[test]
    fn rates_times_clocks_are_what_datasheets_state() {
        let cases = [
            ((7, 0), DType::F64, 80, 1.53, 7.8),
            ((7, 0), DType::F32, 80, 1.53, 15.7),
            ((8, 0), DType::F64, 108, 1.41, 9.7),
            ((8, 0), DType::F32, 108, 1.41, 19.5),
            ((8, 0), DType::F16, 108, 1.41, 78.0),
            ((8, 0), DType::Bf16, 108, 1.41, 39.0),
            ((8, 9), DType::F32, 128, 2.52, 82.6),
            ((9, 0), DType::F64, 132, 1.98, 33.5),
            ((9, 0), DType::F32, 132, 1.98, 66.9),
            ((9, 0), DType::F16, 132, 1.98, 133.8),
        ];
        for (capability, format, multiprocessors, clock, stated) in cases {
            let limit = multiply_add(capability, format).unwrap();
            let rate = limit.per_cycle * f64::from(multiprocessors) * clock / 1e3;
            assert!((rate / stated - 1.0).abs() < 0.01, "{capability:?} {format}: {rate} and {stated}");
        }
    }

    /// The same of matrix units: T4, A100, A10, RTX 4090, H100.
    #[test]
    fn rates_of_matrix_units_are_what_datasheets_state() {
        let cases = [
            ((7, 5), (DType::Int8, DType::Int32), 40, 1.59, 130.0),
            ((8, 0), (DType::F64, DType::F64), 108, 1.41, 19.5),
            ((8, 0), (DType::Tf32, DType::F32), 108, 1.41, 156.0),
            ((8, 0), (DType::Bf16, DType::F32), 108, 1.41, 312.0),
            ((8, 0), (DType::Int8, DType::Int32), 108, 1.41, 624.0),
            ((8, 6), (DType::Int8, DType::Int32), 72, 1.695, 250.0),
            ((8, 9), (DType::F16, DType::F16), 128, 2.52, 330.3),
            ((8, 9), (DType::Int8, DType::Int32), 128, 2.52, 660.6),
            ((9, 0), (DType::F64, DType::F64), 132, 1.98, 66.9),
            ((9, 0), (DType::Bf16, DType::F32), 132, 1.83, 989.4),
            ((9, 0), (DType::Fp8E4m3, DType::F32), 132, 1.83, 1978.9),
        ];
        for (capability, (input, accumulate), multiprocessors, clock, stated) in cases {
            let limit = matrix(capability, input, accumulate).unwrap();
            let rate = limit.per_cycle * f64::from(multiprocessors) * clock / 1e3;
            assert!((rate / stated - 1.0).abs() < 0.01, "{capability:?} {input}: {rate} and {stated}");
        }
    }
}
