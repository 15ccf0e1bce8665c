//! Multiply-adds of matrix units: `shaders/matrix_multiply_add.wgsl`.

use half::f16;

use super::{Dispatch, Immediates};
use crate::backend::BackendError;
use crate::backend::reference::factors::{Elements, float};
use crate::backend::wgpu::gpu::{Buffer, Gpu, Pipeline};
use crate::backend::wgpu::matrices;
use crate::backend::wgpu::shaders::{Shader, source};
use crate::backend::wgpu::timing::{Bench, Program, SUBMISSION};
use crate::data::{Seed, bits};
use crate::dtype::DType;
use crate::workload::MULTIPLY_ADD_OPS;

/// Operations of a turn of a worker, as the shader has them.
const TURN_OPS: u64 = 131_072;
/// Workers after which all begins again, and workers at most: enough for every device.
const KINDS: u64 = 4;
const MOST_WORKERS: u64 = 4096;
/// Turns of a worker at least where there are few, and at most in one dispatch: sums of f32 are exact for as long.
const LEAST_TURNS: u64 = 8;
const MOST_TURNS: u64 = 1024;
/// Growth from one dispatch that is verified to the next.
const GROWTH: u64 = 4;
const SEED: Seed = Seed(111);
/// Subgroups of a workgroup.
const SUBGROUPS: [u32; 2] = [4, 1];

/// A format of sums.
struct Format {
    accumulate: DType,
    scalar: &'static str,
    elements: Elements,
    /// Steps with both factors B after which sums may not be exact any more.
    exact_pairs: u64,
}

const FORMATS: [Format; 2] = [
    Format { accumulate: DType::F32, scalar: "f32", elements: float(7), exact_pairs: 50_000 },
    Format { accumulate: DType::F16, scalar: "f16", elements: float(1), exact_pairs: 500 },
];

/// Factors A and factors B of a worker, and the rows and columns of each.
#[derive(Clone, Copy, Debug)]
struct Block {
    edge: u32,
    tall: u32,
    wide: u32,
}

/// Latency is hidden by chains or by subgroups, and too many chains spill.
const BLOCKS: [(u32, u32); 3] = [(2, 4), (2, 2), (1, 2)];

impl Block {
    /// Elements of a matrix.
    const fn elements(self) -> u64 {
        (self.edge * self.edge) as u64
    }

    /// Sums of a worker.
    const fn sums(self) -> u64 {
        (self.tall * self.wide) as u64 * self.elements()
    }

    /// Steps of a turn with either factor B.
    const fn pairs(self) -> u64 {
        TURN_OPS / (4 * self.sums() * self.edge as u64)
    }

    fn shader(self, format: &Format, lanes: u32) -> Shader {
        Shader::new(source!("matrix_multiply_add"), "k_matrix_multiply_add")
            .with("EDGE", self.edge)
            .with("SUM", format.scalar)
            .with("TALL", self.tall)
            .with("WIDE", self.wide)
            .with("PAIRS", self.pairs())
            .constant("LANES", lanes)
    }

    /// The factors of a kind of workers, matrix by matrix and row by row: A, first B, second B.
    fn factors(self, format: &Format, kind: u64) -> Vec<Vec<f64>> {
        let Self { edge, tall, wide } = self;
        let matrix = |number: u32, is_left: bool, second: bool| -> Vec<f64> {
            let element = |at: u32| {
                let first = (kind as u32 * (tall + wide) + number) * edge * edge;
                // The length that is summed over: columns of A, rows of B.
                let depth = if is_left { at % edge } else { at / edge };
                format.elements.of(bits(SEED, first + at), depth == 0, second)
            };
            (0..edge * edge).map(element).collect()
        };
        let left = (0..tall).map(|number| matrix(number, true, false));
        let right = |second| (tall..tall + wide).map(move |number| matrix(number, false, second));
        left.chain(right(false)).chain(right(true)).collect()
    }

    /// Every sum of a worker after some turns, exactly and in the order of the results.
    fn expected(self, format: &Format, kind: u64, turns: u64) -> Vec<f64> {
        let (edge, wide) = (self.edge as usize, self.wide as usize);
        let factors = self.factors(format, kind);
        let (left, right) = factors.split_at(self.tall as usize);
        let (first, second) = right.split_at(wide);
        let pairs = (turns * self.pairs()) as f64;
        let mut sums = Vec::with_capacity(self.sums() as usize);
        for a in left {
            for (first, second) in first.iter().zip(second) {
                for at in 0..edge * edge {
                    let (row, column) = (at / edge, at % edge);
                    let dot = |b: &[f64]| -> f64 { (0..edge).map(|d| a[row * edge + d] * b[d * edge + column]).sum() };
                    let once = dot(first);
                    sums.push(pairs * (once + dot(second)) + once);
                }
            }
        }
        sums
    }
}

/// The shaders of every specialisation.
#[cfg(test)]
pub(super) fn shaders() -> Vec<Shader> {
    let of = |format: &Format| -> Vec<Shader> {
        let block = |edge| BLOCKS.map(|(tall, wide)| Block { edge, tall, wide }.shader(format, 128));
        [8, 16].into_iter().flat_map(block).collect()
    };
    FORMATS.iter().flat_map(of).collect()
}

/// How turns are dealt out: so many workers, each with so many turns, and how many have one more.
#[derive(Clone, Copy, Debug)]
struct Deal {
    workers: u64,
    turns: u64,
    longer: u64,
}

impl Deal {
    fn of(iterations: u64) -> Self {
        let turns = iterations * (MULTIPLY_ADD_OPS / TURN_OPS);
        let workers = (turns / LEAST_TURNS).clamp(1, MOST_WORKERS);
        Self { workers, turns: turns / workers, longer: turns % workers }
    }
}

struct Variant {
    pipeline: Pipeline,
    bindings: wgpu::BindGroup,
    block: Block,
    subgroups: u32,
}

/// Multiply-adds of f16 on matrix units.
pub(in crate::backend::wgpu) struct MatrixMultiplyAdd {
    format: &'static Format,
    results: Buffer,
    variants: Vec<Variant>,
    names: Vec<String>,
    /// Kept alive for the bindings.
    _factors: Vec<Buffer>,
}

impl MatrixMultiplyAdd {
    pub(in crate::backend::wgpu) fn new(gpu: &Gpu, input: DType, accumulate: DType) -> Result<Self, BackendError> {
        let wanted = |format: &&Format| input == DType::F16 && format.accumulate == accumulate;
        let Some(format) = FORMATS.iter().find(wanted) else {
            return Err(BackendError::no_kernel(format!(
                "WGSL reaches matrix units for f16 and f32 only, as an experiment ({}), not for {input} summed in {accumulate}",
                matrices::FEATURE.1
            )));
        };
        matrices::needed(gpu, input, accumulate)?;
        let edges: Vec<u32> = matrices::edges(&gpu.cubes, input, accumulate).collect();
        let blocks = || {
            let of_edge = |&edge| BLOCKS.map(|(tall, wide)| Block { edge, tall, wide });
            edges.iter().flat_map(of_edge)
        };
        let bytes = u64::from(accumulate.format().bits / 8);
        let most = blocks().map(Block::sums).max().unwrap_or(1);
        let results = gpu.buffer(bytes * most * MOST_WORKERS)?;
        let (mut variants, mut names, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        for block in blocks() {
            let numbers = (0..KINDS).flat_map(|kind| block.factors(format, kind)).flatten();
            let written: Vec<u8> = numbers.flat_map(|number| f16::from_f64(number).to_ne_bytes()).collect();
            let factors = gpu.buffer(written.len() as u64)?;
            gpu.write(&factors, |start, piece| piece.copy_from_slice(&written[start as usize..][..piece.len()]))?;
            for subgroups in SUBGROUPS {
                let lanes = gpu.subgroups.1 * subgroups;
                if lanes > gpu.limits.max_compute_invocations_per_workgroup {
                    continue;
                }
                let pipeline = gpu.pipeline(&block.shader(format, lanes))?;
                let bindings = gpu.bind(&pipeline, &[(0, &factors), (1, &results)])?;
                let Block { edge, tall, wide } = block;
                names.push(format!("{} chains of {edge}×{edge}, subgroups by {subgroups}", tall * wide));
                variants.push(Variant { pipeline, bindings, block, subgroups });
            }
            kept.push(factors);
        }
        Ok(Self { format, results, variants, names, _factors: kept })
    }

    fn put(&self, variant: usize, iterations: u64, pass: &mut wgpu::ComputePass<'_>) {
        let Variant { pipeline, bindings, subgroups, .. } = &self.variants[variant];
        let Deal { workers, turns, longer } = Deal::of(iterations);
        let groups = workers.div_ceil(u64::from(*subgroups));
        let immediates = Immediates::of(&[turns, longer, workers, groups, KINDS]);
        Dispatch { pipeline, bindings, immediates, groups }.put(pass);
    }

    /// Checks some iterations in one dispatch, and says how long it took.
    fn verify_at(&self, variant: usize, iterations: u64, bench: &Bench<'_>) -> Result<f64, BackendError> {
        bench.gpu.poison(&self.results)?;
        let time = bench.clock.time(bench.gpu, |pass| self.put(variant, iterations, pass))?;
        let results = bench.gpu.contents(&self.results)?;
        let found = first_difference(self.format, self.variants[variant].block, Deal::of(iterations), &results);
        found.map_or(Ok(time.seconds), |text| Err(BackendError::WrongResult(text)))
    }
}

/// The first sum that is not what it must be, bit by bit.
fn first_difference(format: &Format, block: Block, deal: Deal, results: &[u8]) -> Option<String> {
    let Deal { workers, turns, longer } = deal;
    let sums = block.sums() as usize;
    let mut known = std::collections::BTreeMap::new();
    for worker in 0..workers {
        let turns = turns + u64::from(worker < longer);
        let kind = worker % KINDS;
        let expected = known.entry((kind, turns)).or_insert_with(|| block.expected(format, kind, turns));
        for (at, &expected) in expected.iter().enumerate() {
            let place = worker as usize * sums + at;
            let found = match format.accumulate {
                DType::F16 => results
                    .get(2 * place..)
                    .and_then(<[u8]>::first_chunk)
                    .map(|bytes| f16::from_ne_bytes(*bytes).to_f64()),
                _ => results
                    .get(4 * place..)
                    .and_then(<[u8]>::first_chunk)
                    .map(|bytes| f32::from_ne_bytes(*bytes).into()),
            };
            if found != Some(expected) {
                let found = found.map_or_else(|| "nothing".to_owned(), |found: f64| found.to_string());
                return Some(format!(
                    "sum {at} of worker {worker} is {found} after {turns} turns, the reference says {expected}"
                ));
            }
        }
    }
    None
}

impl Program for MatrixMultiplyAdd {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn most_at_once(&self, _: usize) -> u64 {
        MOST_WORKERS * (MOST_TURNS - 1) * TURN_OPS / MULTIPLY_ADD_OPS
    }

    fn dispatch(&mut self, variant: usize, iterations: u64, pass: &mut wgpu::ComputePass<'_>) {
        self.put(variant, iterations, pass);
    }

    /// One iteration and several, and more of them up to a dispatch as long as those that are timed, as far as sums are exact.
    fn verify(&mut self, variant: usize, bench: &Bench<'_>) -> Result<(), BackendError> {
        let most = self.most_at_once(variant);
        let pairs = self.variants[variant].block.pairs();
        let is_exact = |iterations| (Deal::of(iterations).turns + 1) * pairs <= self.format.exact_pairs;
        self.verify_at(variant, 1, bench)?;
        let mut iterations = 5;
        while is_exact(iterations) && self.verify_at(variant, iterations, bench)? < SUBMISSION && iterations < most {
            iterations = (iterations * GROWTH).min(most);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = (&'static Format, Block)> {
        let blocks = || [8, 16].into_iter().flat_map(|edge| BLOCKS.map(|(tall, wide)| Block { edge, tall, wide }));
        FORMATS.iter().flat_map(move |format| blocks().map(move |block| (format, block)))
    }

    fn held(format: &Format, value: f64) -> f64 {
        if format.accumulate == DType::F16 { f16::from_f64(value).to_f64() } else { f64::from(value as f32) }
    }

    #[test]
    fn an_iteration_is_a_whole_number_of_turns_and_a_turn_of_steps() {
        assert_eq!(MULTIPLY_ADD_OPS % TURN_OPS, 0);
        for (_, block) in all() {
            let step = 2 * block.sums() * u64::from(block.edge);
            assert!(block.pairs() > 0 && block.pairs() * 2 * step == TURN_OPS, "{block:?}");
        }
        for iterations in [1, 2, 5, 1000, 12_345, 1 << 20] {
            let Deal { workers, turns, longer } = Deal::of(iterations);
            assert_eq!(workers * turns + longer, 3 * iterations);
            assert!(longer < workers && workers <= MOST_WORKERS);
        }
    }

    /// Hardware adds up in an order of its own: nothing may depend on it as far as results are looked at.
    #[test]
    fn sums_are_exact_for_as_long_as_they_are_verified() {
        for (format, block) in all() {
            let most = format.exact_pairs / block.pairs();
            for turns in [0, 1, most / 2, most] {
                for sum in block.expected(format, 1, turns) {
                    // Room for what one product is made of, on the way to it.
                    let far = sum.abs() + f64::from(block.edge);
                    assert_eq!(held(format, sum), sum, "{} after {turns} turns", format.scalar);
                    assert!(far <= if format.accumulate == DType::F16 { 128.0 } else { 256.0 }, "{far}");
                }
            }
            assert!(most > LEAST_TURNS, "{}: verified with many workers", format.scalar);
            assert!(format.accumulate == DType::F16 || most >= MOST_TURNS, "f32 is verified as far as it is timed");
        }
    }

    #[test]
    fn a_turn_too_few_and_a_worker_that_did_not_run_are_found() {
        for (format, block) in all() {
            let deal = Deal { workers: 9, turns: 6, longer: 2 };
            let results = |deal: Deal| -> Vec<u8> {
                let sums = |worker: u64| {
                    let turns = deal.turns + u64::from(worker < deal.longer);
                    block.expected(format, worker % KINDS, turns)
                };
                let bytes = |sum: f64| match format.accumulate {
                    DType::F16 => f16::from_f64(sum).to_ne_bytes().to_vec(),
                    _ => (sum as f32).to_ne_bytes().to_vec(),
                };
                (0..deal.workers).flat_map(sums).flat_map(bytes).collect()
            };
            let right = results(deal);
            assert_eq!(first_difference(format, block, deal, &right), None);
            let short = results(Deal { turns: 5, ..deal });
            assert!(first_difference(format, block, deal, &short).is_some(), "{block:?}");
            let mut lost = right;
            let of_worker = lost.len() / 9;
            lost[5 * of_worker..6 * of_worker].fill(0xFF);
            let said = first_difference(format, block, deal, &lost).unwrap();
            assert!(said.contains("worker 5"), "{said}");
        }
    }
}
