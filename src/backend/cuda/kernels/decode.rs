//! Decode attention: `kernels/decode.cu`.

use crate::backend::BackendError;
use crate::backend::cuda::gpu::{Argument, Buffer, Function, Gpu, Grid};
use crate::backend::cuda::ptx::Source;
use crate::backend::cuda::timing::Program;
use crate::backend::reference::decode::Operands;
use crate::dtype::DType;
use crate::workload::HEADS;

const GROUP: u64 = HEADS.group;
const DIM: u64 = HEADS.dim;
/// A format of keys and values, and its name among the kernels.
const FORMATS: [(DType, &str); 4] =
    [(DType::F16, "f16"), (DType::Bf16, "bf16"), (DType::Fp8E4m3, "fp8"), (DType::Int8, "int8")];
/// Threads of a block, and tokens that stretches come in multiples of.
const THREADS: u32 = 128;
const TOKENS: u64 = 64;
/// Blocks that share a head's context, as they are tried.
const STRETCHES: [u64; 6] = [1, 2, 4, 8, 16, 32];
/// Blocks in one launch at most.
const MOST_BLOCKS: u64 = 1 << 24;

struct Variant {
    stretches: u64,
    /// What each stretch comes to, and how much it weighs.
    partial: Buffer,
    weights: Buffer,
}

/// Decode attention of many heads at once, each time to the next of some caches.
pub(in crate::backend::cuda) struct Decode<'device> {
    gpu: &'device Gpu,
    context: u64,
    heads: u64,
    caches: u64,
    next: u64,
    operands: Operands,
    attend: Function,
    join: Function,
    keys: Buffer,
    values: Buffer,
    scales: Buffer,
    queries: Buffer,
    results: Buffer,
    variants: Vec<Variant>,
    names: Vec<String>,
}

impl<'device> Decode<'device> {
    pub(in crate::backend::cuda) fn new(
        gpu: &'device Gpu,
        kv: DType,
        (context, heads, caches): (u64, u64, u64),
    ) -> Result<Self, BackendError> {
        let Some((_, name)) = FORMATS.iter().find(|(format, _)| *format == kv) else {
            return Err(BackendError::no_kernel(format!("there is no kernel for a cache of {kv}")));
        };
        let of_all = heads.saturating_mul(caches);
        if context == 0 || of_all == 0 || !context.is_multiple_of(TOKENS) || heads > MOST_BLOCKS / STRETCHES[5] {
            return Err(BackendError::unsupported(format!(
                "{context} tokens are no multiple of {TOKENS}, or too many heads"
            )));
        }
        let operands = Operands::new(kv, context, of_all);
        let cache = |rows: &crate::backend::reference::rows::Rows| {
            let buffer = gpu.buffer(context * of_all * rows.row_bytes() as u64)?;
            gpu.write_repeated(&buffer, rows.period())?;
            Ok::<_, BackendError>(buffer)
        };
        let (keys, values) = (cache(&operands.keys)?, cache(&operands.values)?);
        let scales = gpu.buffer(if operands.is_scaled() { 8 * context * of_all } else { 0 })?;
        if operands.is_scaled() {
            gpu.write(&scales, |start, piece| operands.fill_scales(start, piece))?;
        }
        let queries = gpu.buffer(4 * GROUP * DIM)?;
        gpu.send(&queries, 0, bytemuck::cast_slice(&Operands::queries()))?;
        let fits = |stretches: &u64| context.is_multiple_of(TOKENS * stretches);
        let variant = |stretches: u64| {
            let rows = heads * stretches * GROUP;
            let (partial, weights) = if stretches == 1 { (0, 0) } else { (4 * rows * DIM, 8 * rows) };
            Ok(Variant { stretches, partial: gpu.buffer(partial)?, weights: gpu.buffer(weights)? })
        };
        let variants = STRETCHES.into_iter().filter(fits).map(variant).collect::<Result<Vec<_>, BackendError>>()?;
        let describe = |variant: &Variant| match variant.stretches {
            1 => "a block for each head".to_owned(),
            stretches => format!("{stretches} blocks for each head"),
        };
        let names = variants.iter().map(describe).collect();
        Ok(Self {
            gpu,
            context,
            heads,
            caches,
            next: 0,
            operands,
            attend: gpu.function(Source::Decode, &format!("decode_{name}"))?,
            join: gpu.function(Source::Decode, "decode_join")?,
            keys,
            values,
            scales,
            queries,
            results: gpu.buffer(4 * of_all * GROUP * DIM)?,
            variants,
            names,
        })
    }

    fn attend(&self, variant: usize, cache: u64) -> Result<(), BackendError> {
        let Variant { stretches, partial, weights } = &self.variants[variant];
        let (context, stretches) = (self.context, *stretches);
        let grid = |blocks: u64| Grid { blocks: blocks as u32, threads: THREADS, shared: 0 };
        let of_cache = |buffer: &Buffer, bytes: u64| Argument::from(buffer.address + cache * self.heads * bytes);
        let [keys, values] = [(&self.keys, &self.operands.keys), (&self.values, &self.operands.values)]
            .map(|(buffer, rows)| of_cache(buffer, context * rows.row_bytes() as u64));
        let scales = of_cache(&self.scales, if self.operands.is_scaled() { 4 * context } else { 0 });
        let (queries, results) = (Argument::from(&self.queries), of_cache(&self.results, 4 * GROUP * DIM));
        let [partial, weights] = [partial, weights].map(Argument::from);
        // With one stretch its results are those of the head.
        let out = if stretches == 1 { results } else { partial };
        let sizes = [context, context / stretches, stretches, context * self.heads * self.caches].map(Argument::from);
        let arguments = [keys, values, scales, queries, out, weights, sizes[0], sizes[1], sizes[2], sizes[3]];
        self.gpu.launch(&self.attend, grid(self.heads * stretches), &arguments)?;
        if stretches == 1 {
            return Ok(());
        }
        self.gpu.launch(&self.join, grid(self.heads * GROUP), &[partial, weights, results, stretches.into()])
    }

    /// What stretches came to the last time must not pass for what they come to now.
    fn forget(&self, variant: usize) -> Result<(), BackendError> {
        let Variant { partial, weights, .. } = &self.variants[variant];
        [partial, weights].into_iter().try_for_each(|buffer| self.gpu.poison(buffer))
    }
}

impl Program for Decode<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn launch(&mut self, variant: usize, _: u64) -> Result<(), BackendError> {
        self.attend(variant, self.next)?;
        self.next = (self.next + 1) % self.caches;
        Ok(())
    }

    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        self.renew(variant)?;
        for _ in 0..self.caches {
            self.forget(variant)?;
            self.launch(variant, 1)?;
        }
        let results = self.gpu.contents(&self.results)?;
        self.operands.check(&Operands::queries(), &results).map_err(BackendError::WrongResult)
    }

    fn renew(&mut self, variant: usize) -> Result<(), BackendError> {
        self.next = 0;
        self.gpu.poison(&self.results)?;
        self.forget(variant)
    }

    fn results(&self, _: usize) -> Option<&Buffer> {
        Some(&self.results)
    }
}
