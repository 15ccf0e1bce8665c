//! Operators of language models: products, attention, passes over rows.

use super::{Family, Grid, PerEffort, Probe};
use crate::dtype::DType;
use crate::resource::{Phase, RowwiseOp};

const fn gemm(input: DType, accumulate: DType, device: PerEffort, core: PerEffort, explain: &'static str) -> Probe {
    Probe { family: Family::Gemm { input, accumulate }, device, core, explain }
}

const fn gemv(weights: DType, activations: DType, explain: &'static str) -> Probe {
    Probe {
        family: Family::Gemv { weights, activations },
        device: PerEffort::new(Grid::Far, Grid::Coarse, Grid::Octaves),
        core: PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        explain,
    }
}

const fn attention(phase: Phase, kv: DType, explain: &'static str) -> Probe {
    Probe {
        family: Family::Attention { phase, kv },
        device: PerEffort::new(Grid::Far, Grid::Coarse, Grid::Octaves),
        core: PerEffort::new(Grid::Nothing, Grid::Nothing, Grid::Far),
        explain,
    }
}

const fn rowwise(op: RowwiseOp, dtype: DType, device: PerEffort, explain: &'static str) -> Probe {
    Probe {
        family: Family::Rowwise { op, dtype },
        device,
        core: PerEffort::new(Grid::Nothing, Grid::Nothing, Grid::Far),
        explain,
    }
}

/// Operators in the format that engines on CPUs keep activations in, and in the half as wide one.
const ROWWISE: PerEffort = PerEffort::new(Grid::Nothing, Grid::Coarse, Grid::Octaves);
/// Engines keep activations in 16 bits, and those of a step lie in caches: main memory alone would say of them what none of them sees.
const ROWWISE_HALF: PerEffort = PerEffort::new(Grid::Nothing, Grid::Coarse, Grid::Coarse);
const SHAPES: PerEffort = PerEffort::new(Grid::Far, Grid::Coarse, Grid::Octaves);
const SHAPES_OF_A_CORE: PerEffort = PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse);

/// Operators of language models.
pub(super) static ROWS: &[Probe] = &[
    gemm(
        DType::F32,
        DType::F32,
        SHAPES,
        SHAPES_OF_A_CORE,
        "Matrix products in f32, of squares and of the projections of 0.5B, 8B and 70B models for 1 to 4096 tokens. What prefill reaches; the \
         profile holds a formula through the points, with its error.",
    ),
    gemm(
        DType::F64,
        DType::F64,
        PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        PerEffort::new(Grid::Nothing, Grid::Nothing, Grid::Far),
        "Matrix products in f64: what HPC codes reach.",
    ),
    gemm(
        DType::Bf16,
        DType::F32,
        SHAPES,
        SHAPES_OF_A_CORE,
        "Matrix products of bf16 summed in f32, by dot products or widened to f32, whichever is faster. What prefill of an unquantised model \
         reaches.",
    ),
    gemm(
        DType::F16,
        DType::F32,
        SHAPES,
        PerEffort::NOTHING,
        "Matrix products of f16 summed in f32: what prefill of an unquantised model reaches where there is no bf16.",
    ),
    gemm(
        DType::Fp8E4m3,
        DType::F32,
        SHAPES,
        PerEffort::NOTHING,
        "Matrix products of fp8 (e4m3) summed in f32, without scales: what prefill of an fp8 model can reach.",
    ),
    gemm(
        DType::Int8,
        DType::Int32,
        SHAPES,
        SHAPES_OF_A_CORE,
        "Matrix products of 8-bit integers summed in 32 bits: what prefill of a W8A8 model reaches.",
    ),
    gemv(
        DType::F32,
        DType::F32,
        "Matrix–vector products with f32 weights: what decode of an f32 model reaches at batch 1.",
    ),
    gemv(DType::F16, DType::F16, "Matrix–vector products with f16 weights, summed in f32."),
    gemv(DType::Bf16, DType::Bf16, "Matrix–vector products with bf16 weights, summed in f32: decode at batch 1."),
    gemv(
        DType::Fp8E4m3,
        DType::Bf16,
        "Matrix–vector products with fp8 (e4m3) weights and 16-bit activations: decode of an fp8 model at batch 1.",
    ),
    gemv(
        DType::Int8,
        DType::Bf16,
        "Matrix–vector products with 8-bit weights and 16-bit activations (W8A16), with a scale per row.",
    ),
    gemv(
        DType::Int4G128,
        DType::Bf16,
        "Matrix–vector products with 4-bit weights in groups of 128 and 16-bit activations (W4A16). One core is often bound by unpacking \
         rather than by memory.",
    ),
    attention(
        Phase::Decode,
        DType::Bf16,
        "Decode attention over a bf16 cache, four query heads to a head of keys and values: bytes of cache read per second.",
    ),
    attention(Phase::Decode, DType::F16, "Decode attention over an f16 cache, as llama.cpp keeps it."),
    attention(
        Phase::Decode,
        DType::Fp8E4m3,
        "Decode attention over an fp8 (e4m3) cache, as serving engines keep it on recent GPUs.",
    ),
    attention(
        Phase::Decode,
        DType::Int8,
        "Decode attention over an 8-bit cache with a scale per token and head. Half of the bytes, but rarely half of the time.",
    ),
    attention(
        Phase::Prefill,
        DType::Bf16,
        "Causal attention of all tokens of a prompt, in bf16, without ever storing the scores.",
    ),
    rowwise(
        RowwiseOp::Softmax,
        DType::F32,
        ROWWISE,
        "Softmax over rows of 4096, in place: sampling, and attention that stores its scores.",
    ),
    rowwise(RowwiseOp::RmsNorm, DType::F32, ROWWISE, "RMSNorm over rows of 4096, twice per transformer block."),
    rowwise(RowwiseOp::RmsNorm, DType::Bf16, ROWWISE_HALF, "RMSNorm over rows of 4096 bf16."),
    rowwise(
        RowwiseOp::SiluMul,
        DType::F32,
        ROWWISE,
        "silu(gate) · up, between the two halves of a gated feed-forward network.",
    ),
    rowwise(RowwiseOp::SiluMul, DType::Bf16, ROWWISE_HALF, "silu(gate) · up in bf16, as engines for GPUs keep it."),
    rowwise(RowwiseOp::Rope, DType::F32, ROWWISE, "Rotary position embedding of heads of 128, in place."),
    rowwise(
        RowwiseOp::Rope,
        DType::Bf16,
        ROWWISE_HALF,
        "Rotary position embedding in bf16, whose arithmetic is that of f32 for half of the bytes.",
    ),
    rowwise(RowwiseOp::Add, DType::F32, ROWWISE, "The residual connection x += y."),
    rowwise(RowwiseOp::Add, DType::Bf16, ROWWISE_HALF, "The residual connection x += y in bf16."),
    rowwise(
        RowwiseOp::Gather,
        DType::Bf16,
        ROWWISE,
        "Rows of 4096 bf16 at random places of a table: the embedding of tokens.",
    ),
];
