//! Prefill attention: `kernels/prefill.cu`.

use crate::backend::BackendError;
use crate::backend::cuda::gpu::{Argument, Buffer, Function, Gpu, Grid};
use crate::backend::cuda::ptx::Source;
use crate::backend::cuda::timing::Program;
use crate::backend::reference::prefill::Operands;
use crate::dtype::DType;
use crate::workload::HEADS;

const GROUP: u64 = HEADS.group;
/// Bytes of a query, a key or a value.
const ROW: u64 = 2 * HEADS.dim;
/// Keys at a time, and bytes of shared memory: two blocks of keys with their values.
const KEYS: u64 = 64;
const SHARED: u32 = (2 * 2 * KEYS * ROW) as u32;
/// Queries of a block, as they are tried; two threads for each.
const QUERIES: [u64; 2] = [64, 128];
/// How far shares that are rounded to bf16 may move a mean of numbers below 1.
const ROUNDING: f64 = 1.0 / 256.0;
/// Blocks in one launch at most.
const MOST_BLOCKS: u64 = 1 << 24;

/// Attention of whole prompts, many heads at once.
pub(in crate::backend::cuda) struct Prefill<'device> {
    gpu: &'device Gpu,
    context: u64,
    /// Heads of queries.
    heads: u64,
    operands: Operands,
    queries: Buffer,
    keys: Buffer,
    values: Buffer,
    results: Buffer,
    variants: Vec<(Function, u64)>,
    names: Vec<String>,
}

impl<'device> Prefill<'device> {
    pub(in crate::backend::cuda) fn new(
        gpu: &'device Gpu,
        kv: DType,
        context: u64,
        heads: u64,
    ) -> Result<Self, BackendError> {
        if kv != DType::Bf16 {
            return Err(BackendError::no_kernel(format!("there is no kernel for prompts in {kv}")));
        }
        if gpu.found.capability < (8, 0) {
            return Err(BackendError::no_kernel(
                "attention of prompts needs compute capability 8.0: this rooflab has none for older devices yet",
            ));
        }
        let tokens = context.saturating_mul(heads);
        if tokens == 0 || !context.is_multiple_of(KEYS) || tokens / KEYS > MOST_BLOCKS / GROUP {
            return Err(BackendError::unsupported(format!(
                "{context} tokens are no multiple of {KEYS}, or too many heads"
            )));
        }
        let operands = Operands::new(kv, context, heads);
        let (queries, keys, values) =
            (gpu.buffer(tokens * GROUP * ROW)?, gpu.buffer(tokens * ROW)?, gpu.buffer(tokens * ROW)?);
        for (buffer, rows) in [(&queries, &operands.queries), (&keys, &operands.keys), (&values, &operands.values)] {
            gpu.write_repeated(buffer, rows.period())?;
        }
        let results = gpu.buffer(tokens * GROUP * 2 * ROW)?;
        let variant = |queries: u64| {
            let function = gpu.function_with_shared(Source::Prefill, &format!("prefill_bf16_{queries}"), SHARED)?;
            Ok((function, queries))
        };
        let fits = |queries: &u64| context.is_multiple_of(*queries);
        let variants = QUERIES.into_iter().filter(fits).map(variant).collect::<Result<Vec<_>, BackendError>>()?;
        let names = variants.iter().map(|(_, queries)| format!("mma.sync, {queries} queries, {KEYS} keys")).collect();
        Ok(Self { gpu, context, heads: heads * GROUP, operands, queries, keys, values, results, variants, names })
    }

    fn attend(&self, variant: usize) -> Result<(), BackendError> {
        let (function, queries) = &self.variants[variant];
        let blocks = (self.context / queries * self.heads) as u32;
        let grid = Grid { blocks, threads: 2 * *queries as u32, shared: SHARED };
        let buffers = [&self.queries, &self.keys, &self.values, &self.results].map(Argument::from);
        let [queries, keys, values, results] = buffers;
        let [context, heads] = [self.context, self.heads].map(Argument::from);
        self.gpu.launch(function, grid, &[queries, keys, values, results, context, heads])
    }

    /// What comes out of the queries that were written.
    fn computed(&self, variant: usize) -> Result<Vec<u8>, BackendError> {
        self.gpu.poison(&self.results)?;
        self.attend(variant)?;
        self.gpu.contents(&self.results)
    }
}

impl Program for Prefill<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn launch(&mut self, variant: usize, _: u64) -> Result<(), BackendError> {
        self.attend(variant)
    }

    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        self.gpu.write_repeated(&self.queries, &[0; ROW as usize])?;
        let means = self.computed(variant);
        self.gpu.write_repeated(&self.queries, self.operands.queries.period())?;
        self.operands.check_means(&means?).map_err(BackendError::WrongResult)?;
        self.operands.check(&self.computed(variant)?, ROUNDING).map_err(BackendError::WrongResult)
    }

    fn renew(&mut self, _: usize) -> Result<(), BackendError> {
        self.gpu.poison(&self.results)
    }

    fn results(&self, _: usize) -> Option<&Buffer> {
        Some(&self.results)
    }
}
