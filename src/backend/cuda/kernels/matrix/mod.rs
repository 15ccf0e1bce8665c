//! Multiply-adds of matrix units: `kernels/matrix_multiply_add.cu`.

mod format;

use format::{Format, KINDS, TURN_OPS, WARP, choose};

use super::dealt::{Dealt, Workers};
use crate::backend::cuda::gpu::{Argument, Buffer, Function, Gpu, Grid};
use crate::backend::cuda::ptx::Source;
use crate::backend::cuda::rates;
use crate::backend::cuda::timing::Program;
use crate::backend::{BackendError, CycleLimit};
use crate::dtype::DType;
use crate::workload::MULTIPLY_ADD_OPS;

/// Bits of factors that kernels keep.
const ALL_BITS: u32 = u32::MAX;

/// Threads of a multiprocessor that are tried, all in one block.
const THREADS: [u32; 3] = [512, 256, 128];

/// Multiply-adds of a pair of formats on matrix units.
pub(in crate::backend::cuda) struct Matrix<'device> {
    gpu: &'device Gpu,
    format: &'static Format,
    multiprocessors: u32,
    function: Function,
    grids: Vec<Grid>,
    results: Buffer,
    names: Vec<String>,
}

impl<'device> Matrix<'device> {
    /// Products of dense matrices, or of a sparse one.
    pub(in crate::backend::cuda) fn new(
        gpu: &'device Gpu,
        sparse: bool,
        formats: (DType, DType),
        multiprocessors: u32,
    ) -> Result<Self, BackendError> {
        let format = choose(gpu.found.capability, sparse, formats)?;
        let function = gpu.function(Source::MatrixMultiplyAdd, &format.kernel())?;
        let threads = || THREADS.into_iter().filter(|&threads| threads <= format.most_threads);
        let grids: Vec<Grid> = threads().map(|threads| Grid { blocks: multiprocessors, threads, shared: 0 }).collect();
        let (_, shape) = format.entry.rsplit_once('_').unwrap_or_default();
        let chains = format.tall * format.wide;
        let (instruction, counted) = if sparse { ("mma.sp", ", counted as dense") } else { ("mma.sync", "") };
        let name = |threads| format!("{instruction} {shape}, {chains} chains, {} warps{counted}", threads / WARP);
        let names = threads().map(name).collect();
        let most = grids.iter().map(|grid| grid.threads_in_all()).max().unwrap_or(1);
        Ok(Self { gpu, format, multiprocessors, function, grids, results: gpu.buffer(4 * most)?, names })
    }

    /// Deals the turns of some iterations out to all warps.
    fn deal(&self, grid: Grid, iterations: u64) -> Dealt {
        let turns = iterations * MULTIPLY_ADD_OPS / TURN_OPS * u64::from(self.multiprocessors);
        Dealt::to(grid.threads_in_all() / u64::from(WARP), turns)
    }

    fn put(&self, grid: Grid, iterations: u64) -> Result<(), BackendError> {
        let [turns, longer] = self.deal(grid, iterations).arguments();
        self.gpu.launch(&self.function, grid, &[Argument::from(&self.results), turns, longer, ALL_BITS.into()])
    }
}

impl Program for Matrix<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn most_at_once(&self, variant: usize) -> u64 {
        let warps = u64::from(self.grids[variant].threads / WARP);
        (self.format.most_turns * warps * TURN_OPS / MULTIPLY_ADD_OPS).max(1)
    }

    fn launch(&mut self, variant: usize, iterations: u64) -> Result<(), BackendError> {
        self.put(self.grids[variant], iterations)
    }

    /// Fewer turns than warps, and more: every thread is looked at, and its result is the reference's bit by bit.
    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        let grid = self.grids[variant];
        for iterations in [1, 17] {
            self.gpu.poison(&self.results)?;
            self.put(grid, iterations)?;
            let results = self.gpu.contents(&self.results)?;
            let warps = Workers { kinds: KINDS, threads: WARP, bytes: 4 };
            self.deal(grid, iterations).verify(&results, grid.threads_in_all(), warps, |kind, turns| {
                let sums = self.format.sums(kind, turns);
                (0..WARP).map(|lane| self.format.result(&sums, lane).into()).collect()
            })?;
        }
        Ok(())
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        rates::matrix(&self.gpu.found, self.format.sparse, (self.format.input, self.format.accumulate))
    }
}
