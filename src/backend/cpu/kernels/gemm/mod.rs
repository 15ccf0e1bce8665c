//! Matrix products C[m, n] = A[m, k] · B[n, k]ᵀ, row by row as a language model's weights lie, shared by all lanes.
//!
//! Work: 2·m·n·k operations; every matrix moved at least once. Bound: the multiply-add peak for many rows of activations, the bandwidth of the
//! weights for few. Each lane computes a block of C by itself; there are as many engines as this machine can run, and the fastest is found
//! by trying.

mod blocked;
mod engine;
mod few;
mod portable;
pub(super) mod step;
pub(super) mod tile;
mod verify;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::atomic::{AtomicU64, Ordering};

use blocked::Blocking;
use engine::{Block, Engine};

use super::Program;
use super::attention::prefill::Engine as Prefill;
use super::element::{Element, fill_rows};
use crate::backend::cpu::arena::Lanes;
use crate::backend::{BackendError, CycleLimit};
use crate::dtype::DType;
use crate::workload::{PRODUCT_GRANULE, Shape};

/// Blocks that are tried: deep ones pass over C less often, shallow ones read packed weights less often. Both hold half a megabyte of 32-bit
/// activations, because a second-level cache of two is often shared with another thread of its core.
const BLOCKINGS: [Blocking; 2] = [Blocking { k: 512, m: 224, n: 2048 }, Blocking { k: 1024, m: 112, n: 2048 }];
/// Bytes between matrices, so that they do not begin in the same cache set.
const STAGGER: usize = 64 * 5;

/// Every engine of this architecture, best first.
static ENGINES: &[&[Engine]] = &[
    #[cfg(target_arch = "x86_64")]
    x86::ENGINES,
    portable::ENGINES,
];

/// The same of prefill attention, which is made of the same steps.
static PREFILL: &[&[Prefill]] = &[
    #[cfg(target_arch = "x86_64")]
    x86::PREFILL,
    portable::PREFILL,
];

/// The engines for a pair of formats that this machine can run, best first.
fn engines(input: DType, accumulate: DType) -> Vec<&'static Engine> {
    let fits = |engine: &&Engine| (engine.input, engine.accumulate) == (input, accumulate) && (engine.available)();
    // Plain engines are for machines that have nothing better.
    let mut suitable = ENGINES.iter().map(|table| table.iter().filter(fits).collect::<Vec<_>>());
    suitable.find(|engines| !engines.is_empty()).unwrap_or_default()
}

/// The engines of prefill attention that this machine can run.
pub(super) fn prefill_engines() -> Vec<&'static Prefill> {
    let mut suitable =
        PREFILL.iter().map(|table| table.iter().filter(|engine| (engine.available)()).collect::<Vec<_>>());
    suitable.find(|engines| !engines.is_empty()).unwrap_or_default()
}

/// All that this machine can run, also those that it has better ones for.
#[cfg(test)]
pub(super) fn every_prefill_engine() -> Vec<&'static Prefill> {
    PREFILL.iter().copied().flatten().filter(|engine| (engine.available)()).collect()
}

/// A part of C: rows and columns from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    rows: (usize, usize),
    columns: (usize, usize),
}

impl Part {
    const fn m(self) -> usize {
        self.rows.1 - self.rows.0
    }

    const fn n(self) -> usize {
        self.columns.1 - self.columns.0
    }
}

/// A matrix product on the lanes' common memory.
pub(in crate::backend::cpu) struct Gemm {
    shape: Shape,
    copies: u64,
    layout: Layout,
    memory: *mut u8,
    scratch: Lanes,
    parts: Vec<Part>,
    variants: Vec<(&'static Engine, Blocking)>,
    names: Vec<String>,
    /// The copy of B that each lane comes to next.
    next: Vec<AtomicU64>,
    verifier: verify::Verifier,
}

// SAFETY: lanes write to their own parts of C and their own scratch; A and B are only written while filling, each lane its own rows.
unsafe impl Sync for Gemm {}

/// Where the matrices lie in the common memory, in bytes.
#[derive(Clone, Copy, Debug)]
struct Layout {
    a: usize,
    b: usize,
    /// From one copy of B to the next.
    copy: usize,
    c: usize,
    end: usize,
}

impl Layout {
    fn of(shape: Shape, copies: u64, input: DType, accumulate: DType) -> Self {
        let bytes = |rows: u64, columns: u64, dtype: DType| {
            (rows * columns * u64::from(dtype.format().bits / 8)).next_multiple_of(64) as usize + STAGGER
        };
        let a = 0;
        let b = a + bytes(shape.m, shape.k, input);
        let copy = bytes(shape.n, shape.k, input);
        let c = b + copy * copies as usize;
        Self { a, b, copy, c, end: c + bytes(shape.m, shape.n, accumulate) }
    }
}

/// What a product needs before it can be made: bytes of common memory, and of scratch for each lane.
pub(in crate::backend::cpu) struct Needs {
    pub(in crate::backend::cpu) common: u64,
    pub(in crate::backend::cpu) scratch: u64,
    plan: Plan,
}

struct Plan {
    shape: Shape,
    copies: u64,
    layout: Layout,
    parts: Vec<Part>,
    variants: Vec<(&'static Engine, Blocking)>,
}

impl Gemm {
    /// Plans a product for some lanes with a second-level cache of some bytes each.
    pub(in crate::backend::cpu) fn needs(
        (input, accumulate): (DType, DType),
        shape: Shape,
        copies: u64,
        lanes: usize,
        second_level: u64,
    ) -> Result<Needs, BackendError> {
        let engines = engines(input, accumulate);
        if engines.is_empty() {
            return Err(BackendError::no_kernel(format!("there is no kernel for {input} summed in {accumulate}")));
        }
        if shape.m == 0 || shape.n == 0 || !shape.k.is_multiple_of(PRODUCT_GRANULE) || shape.k == 0 {
            return Err(BackendError::unsupported(format!(
                "{shape}: a size is 0, or the last is not a multiple of {PRODUCT_GRANULE}"
            )));
        }
        let parts = parts(shape, lanes);
        let layout = Layout::of(shape, copies, input, accumulate);
        let mut variants = Vec::new();
        for engine in engines.into_iter().filter(|engine| shape.m <= engine.most_rows as u64) {
            let blockings = if engine.word > 0 { &BLOCKINGS[..] } else { &BLOCKINGS[..1] };
            let within = |blocking: &Blocking| (engine, blocking.within(second_level as usize, engine.word.max(1)));
            variants.extend(blockings.iter().map(within));
        }
        let largest = parts.iter().map(|part| (part.m(), part.n())).max().unwrap_or_default();
        let need = |&(engine, blocking): &(&'static Engine, Blocking)| {
            let (m, n, k) = (largest.0, largest.1, shape.k as usize);
            let (a, b, c) = (std::ptr::null(), std::ptr::null(), std::ptr::null_mut());
            (engine.scratch)(&Block { a, b, c, m, n, k, stride: n, scratch: c, blocking })
        };
        let scratch = variants.iter().map(need).max().unwrap_or(0) as u64;
        Ok(Needs { common: layout.end as u64, scratch, plan: Plan { shape, copies, layout, parts, variants } })
    }

    pub(in crate::backend::cpu) fn new(
        (input, accumulate): (DType, DType),
        needs: Needs,
        memory: *mut u8,
        scratch: Lanes,
    ) -> Result<Self, BackendError> {
        let Plan { shape, copies, layout, parts, variants } = needs.plan;
        let name = |(engine, blocking): &(&'static Engine, Blocking)| {
            if engine.word > 0 { format!("{}, {} deep", engine.name, blocking.k) } else { engine.name.to_owned() }
        };
        Ok(Self {
            verifier: verify::Verifier::of(input, accumulate)
                .ok_or_else(|| BackendError::unsupported("there is no reference for these formats"))?,
            names: variants.iter().map(name).collect(),
            next: parts.iter().map(|_| AtomicU64::new(0)).collect(),
            shape,
            copies,
            layout,
            memory,
            scratch,
            parts,
            variants,
        })
    }

    /// A lane's block of the product with a copy of B.
    fn block(&self, lane: usize, copy: u64, blocking: Blocking) -> Block {
        let (part, k) = (self.parts[lane], self.shape.k as usize);
        let (input, sum) = (self.verifier.input_bytes, self.verifier.sum_bytes);
        let n = self.shape.n as usize;
        // SAFETY: the part lies within the matrices, and they lie within the common memory.
        unsafe {
            Block {
                a: self.memory.add(self.layout.a + part.rows.0 * k * input),
                b: self.memory.add(self.layout.b + self.layout.copy * copy as usize + part.columns.0 * k * input),
                c: self.memory.add(self.layout.c + (part.rows.0 * n + part.columns.0) * sum),
                m: part.m(),
                n: part.n(),
                k,
                stride: n,
                scratch: self.scratch.start(lane),
                blocking,
            }
        }
    }

    fn product(&self, variant: usize, lane: usize, copy: u64) {
        let (engine, blocking) = self.variants[variant];
        let block = self.block(lane, copy, blocking);
        if block.m > 0 && block.n > 0 {
            // SAFETY: the engine is available on this machine; the block fits the memory, and the scratch is what the engine asked for.
            unsafe { (engine.product)(&block) }
        }
    }
}

impl Program for Gemm {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn fill(&self, lane: usize) {
        // Rows are dealt out evenly, so that every lane's memory is used.
        let lanes = self.parts.len();
        let share = |rows: u64| {
            let rows = rows as usize;
            (rows * lane / lanes, rows * (lane + 1) / lanes)
        };
        (self.verifier.fill)(self, share(self.shape.m), share(self.shape.n));
    }

    fn run(&self, variant: usize, lane: usize, iterations: u64) {
        let first = self.next[lane].load(Ordering::Relaxed);
        for iteration in 0..iterations {
            self.product(variant, lane, (first + iteration) % self.copies);
        }
        self.next[lane].store((first + iterations) % self.copies, Ordering::Relaxed);
    }

    fn verify(&self, variant: usize, lane: usize) -> Result<(), String> {
        (self.verifier.poison)(self, lane);
        self.product(variant, lane, self.copies - 1);
        (self.verifier.check)(self, lane, self.copies - 1)
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        None
    }
}

/// Deals a product out to some lanes: as many rows of blocks by as many columns of blocks as make the least to move, at most one block to a lane.
fn parts(shape: Shape, lanes: usize) -> Vec<Part> {
    let (m, n) = (shape.m as usize, shape.n as usize);
    // What the busiest lane reads and writes; ties go to few rows of blocks, which keeps the weights apart.
    let cost = |rows: usize| {
        let (height, width) = (m.div_ceil(rows), n.div_ceil(lanes / rows).next_multiple_of(COLUMNS).min(n));
        (height * width, height + width)
    };
    let rows = (1..=lanes).filter(|rows| lanes.is_multiple_of(*rows)).min_by_key(|&rows| cost(rows)).unwrap_or(1);
    let columns = lanes / rows;
    let cut = |whole: usize, parts: usize, part: usize, granule: usize| {
        (whole.div_ceil(granule) * part / parts * granule).min(whole)
    };
    let mut all = Vec::with_capacity(lanes);
    for row in 0..rows {
        for column in 0..columns {
            all.push(Part {
                rows: (cut(m, rows, row, 1), cut(m, rows, row + 1, 1)),
                columns: (cut(n, columns, column, COLUMNS), cut(n, columns, column + 1, COLUMNS)),
            });
        }
    }
    all
}

/// Columns that parts are cut at: whole vectors of every step.
const COLUMNS: usize = 32;

#[cfg(test)]
mod tests;
