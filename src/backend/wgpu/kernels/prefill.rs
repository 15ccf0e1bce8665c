//! Prefill attention: `shaders/prefill.wgsl`.

use super::{Dispatch, Immediates};
use crate::backend::BackendError;
use crate::backend::reference::prefill::Operands;
use crate::backend::wgpu::gpu::{Buffer, Gpu, Pipeline};
use crate::backend::wgpu::shaders::{Shader, source};
use crate::backend::wgpu::timing::{Bench, Program};
use crate::dtype::DType;
use crate::workload::HEADS;

const GROUP: u64 = HEADS.group;
const DIM: u64 = HEADS.dim;
/// Queries of a workgroup, and keys at a time.
const BLOCKS: [(u64, u64); 2] = [(16, 32), (8, 64)];
/// How far a mean of numbers below 1 may be off.
const TOLERANCE: f64 = 2e-5;

fn shader((rows, keys): (u64, u64)) -> Shader {
    Shader::new(source!("prefill"), "k_attend")
        .including(source!("words"))
        .with("GROUP", GROUP)
        .with("DIM", DIM)
        .with("ROWS", rows)
        .with("KEYS", keys)
        .with("OWN", rows * keys / DIM)
        .with("SCALE", format!("{:?}", 1.0 / (DIM as f32).sqrt()))
        .staging(staged((rows, keys)))
}

/// Bytes of a workgroup's memory: queries in 32 bits, keys or values in 16, shares, and three numbers of each row.
const fn staged((rows, keys): (u64, u64)) -> u64 {
    4 * rows * DIM + 2 * keys * DIM + 4 * rows * keys + 12 * rows
}

/// The shaders of every specialisation.
#[cfg(test)]
pub(super) fn shaders() -> Vec<Shader> {
    BLOCKS.map(shader).into()
}

/// Attention of whole prompts, some heads of keys and values at once.
pub(in crate::backend::wgpu) struct Prefill {
    heads: u64,
    context: u64,
    operands: Operands,
    results: Buffer,
    variants: Vec<(Pipeline, wgpu::BindGroup, u64)>,
    names: Vec<String>,
    /// Kept alive for the bindings.
    _inputs: Vec<Buffer>,
}

impl Prefill {
    pub(in crate::backend::wgpu) fn new(gpu: &Gpu, kv: DType, context: u64, heads: u64) -> Result<Self, BackendError> {
        if kv != DType::Bf16 {
            return Err(BackendError::no_kernel(format!("there is no kernel for prompts in {kv}")));
        }
        if context == 0 || heads == 0 || !context.is_multiple_of(64) {
            return Err(BackendError::unsupported(format!("{context} tokens are no multiple of 64")));
        }
        let tokens = context.saturating_mul(heads);
        let operands = Operands::new(kv, context, heads);
        let mut inputs = Vec::new();
        for (rows, host) in
            [(tokens.saturating_mul(GROUP), &operands.queries), (tokens, &operands.keys), (tokens, &operands.values)]
        {
            let buffer = gpu.buffer(2 * DIM * rows)?;
            gpu.write(&buffer, |start, piece| host.fill(start, piece))?;
            inputs.push(buffer);
        }
        let results = gpu.buffer(4 * DIM * tokens * GROUP)?;
        let (mut variants, mut names) = (Vec::new(), Vec::new());
        let room = u64::from(gpu.limits.max_compute_workgroup_storage_size);
        for (rows, keys) in BLOCKS.into_iter().filter(|&block| staged(block) <= room) {
            let pipeline = gpu.pipeline(&shader((rows, keys)))?;
            let bound = [(0, &inputs[0]), (1, &inputs[1]), (2, &inputs[2]), (3, &results)];
            let bindings = gpu.bind(&pipeline, &bound)?;
            names.push(format!("{rows} queries, {keys} keys"));
            variants.push((pipeline, bindings, rows));
        }
        if variants.is_empty() {
            return Err(BackendError::unsupported(format!(
                "a workgroup has {room} bytes of memory, too few for a block of keys"
            )));
        }
        Ok(Self { heads, context, operands, results, variants, names, _inputs: inputs })
    }

    fn attend(&self, variant: usize, pass: &mut wgpu::ComputePass<'_>) {
        let (pipeline, bindings, rows) = &self.variants[variant];
        let blocks = self.context / rows;
        let heads = self.heads * GROUP;
        let immediates = Immediates::of(&[self.context, blocks, heads]);
        Dispatch { pipeline, bindings, immediates, groups: heads * blocks }.put(pass);
    }
}

impl Program for Prefill {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn dispatch(&mut self, variant: usize, _: u64, pass: &mut wgpu::ComputePass<'_>) {
        self.attend(variant, pass);
    }

    fn verify(&mut self, variant: usize, bench: &Bench<'_>) -> Result<(), BackendError> {
        bench.gpu.poison(&self.results)?;
        bench.run(|pass| self.attend(variant, pass))?;
        let results = bench.gpu.contents(&self.results)?;
        self.operands.check(&results, TOLERANCE).map_err(BackendError::WrongResult)
    }
}
