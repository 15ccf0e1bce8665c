//! Peaks of arithmetic.

use super::{Family, Grid, PerEffort, Probe};
use crate::dtype::DType;
use crate::resource::ComputeUnit;

const fn multiply_add(unit: ComputeUnit, input: DType, accumulate: DType, explain: &'static str) -> Probe {
    Probe {
        family: Family::MultiplyAdd { unit, input, accumulate },
        device: PerEffort::ALWAYS,
        core: PerEffort::ALWAYS,
        explain,
    }
}

/// Peaks of sparse products: of interest once those of dense ones are known.
const fn sparse(input: DType, accumulate: DType, explain: &'static str) -> Probe {
    Probe {
        device: PerEffort::new(Grid::Nothing, Grid::Far, Grid::Far),
        core: PerEffort::NOTHING,
        ..multiply_add(ComputeUnit::MatrixSparse, input, accumulate, explain)
    }
}

/// Peaks of arithmetic.
pub(super) static ROWS: &[Probe] = &[
    multiply_add(
        ComputeUnit::Vector,
        DType::F32,
        DType::F32,
        "Issue peak of f32 fused multiply-adds on values held in registers. No kernel computes faster; real matrix products reach \
         70-95 % of it.",
    ),
    multiply_add(
        ComputeUnit::Vector,
        DType::F64,
        DType::F64,
        "Issue peak of f64 fused multiply-adds on values held in registers.",
    ),
    multiply_add(
        ComputeUnit::Vector,
        DType::F16,
        DType::F16,
        "Issue peak of native f16 multiply-adds that also sum in f16.",
    ),
    multiply_add(
        ComputeUnit::Vector,
        DType::Bf16,
        DType::F32,
        "Issue peak of bf16 dot products summed in f32: the ceiling of bf16 matrix products without matrix units.",
    ),
    multiply_add(
        ComputeUnit::Vector,
        DType::Bf16,
        DType::Bf16,
        "Issue peak of native bf16 multiply-adds that also sum in bf16: what a GPU's element-wise kernels can reach in that format.",
    ),
    multiply_add(
        ComputeUnit::Vector,
        DType::Int32,
        DType::Int32,
        "Issue peak of 32-bit integer multiply-adds: the ceiling of index arithmetic and of unpacking weights.",
    ),
    multiply_add(
        ComputeUnit::Vector,
        DType::Int8,
        DType::Int32,
        "Issue peak of 8-bit integer dot products summed in 32 bits: the ceiling of W8A8 products without matrix units.",
    ),
    multiply_add(
        ComputeUnit::Matrix,
        DType::Bf16,
        DType::F32,
        "Issue peak of the matrix units for bf16, summed in f32.",
    ),
    multiply_add(ComputeUnit::Matrix, DType::F16, DType::F32, "Issue peak of the matrix units for f16, summed in f32."),
    multiply_add(
        ComputeUnit::Matrix,
        DType::F16,
        DType::F16,
        "Issue peak of the matrix units for f16 that also sum in f16: on NVIDIA's cards for games twice the rate of sums in f32.",
    ),
    multiply_add(
        ComputeUnit::Matrix,
        DType::Tf32,
        DType::F32,
        "Issue peak of the matrix units for f32 of which 10 bits of fraction are multiplied.",
    ),
    multiply_add(
        ComputeUnit::Matrix,
        DType::F64,
        DType::F64,
        "Issue peak of the matrix units for f64: what HPC codes can reach.",
    ),
    multiply_add(
        ComputeUnit::Matrix,
        DType::Fp8E4m3,
        DType::F32,
        "Issue peak of the matrix units for fp8 (e4m3), summed in f32.",
    ),
    multiply_add(ComputeUnit::Matrix, DType::Int8, DType::Int32, "Issue peak of the matrix units for 8-bit integers."),
    multiply_add(
        ComputeUnit::Matrix,
        DType::Int4,
        DType::Int32,
        "Issue peak of the matrix units for 4-bit integers, which NVIDIA's had from Turing to Ada Lovelace.",
    ),
    sparse(
        DType::Bf16,
        DType::F32,
        "Issue peak of the matrix units for bf16 with 2:4 sparse weights, counted as the dense product: half of it is with zeros and not computed.",
    ),
    sparse(
        DType::F16,
        DType::F32,
        "Issue peak of the matrix units for f16 with 2:4 sparse weights, counted as the dense product: half of it is with zeros and not computed.",
    ),
    sparse(
        DType::F16,
        DType::F16,
        "The same of f16 that also sum in f16, counted as the dense product: half of it is with zeros and not computed.",
    ),
    sparse(
        DType::Tf32,
        DType::F32,
        "Issue peak of the matrix units for tf32 with one of two weights zero, counted as the dense product: half of it is with zeros and not computed.",
    ),
    sparse(
        DType::Fp8E4m3,
        DType::F32,
        "Issue peak of the matrix units for fp8 (e4m3) with 2:4 sparse weights, counted as the dense product: half of it is with zeros and not computed.",
    ),
    sparse(
        DType::Int8,
        DType::Int32,
        "Issue peak of the matrix units for 8-bit integers with 2:4 sparse weights, counted as the dense product: half of it is with zeros and not computed.",
    ),
];
