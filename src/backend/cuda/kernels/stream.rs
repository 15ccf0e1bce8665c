//! Streaming kernels: `kernels/stream.cu`.

use crate::backend::BackendError;
use crate::backend::cuda::gpu::{Argument, Buffer, Function, Gpu, Grid};
use crate::backend::cuda::ptx::Source;
use crate::backend::cuda::timing::Program;
use crate::backend::reference::{parallel, stream as reference};
use crate::data::Seed;
use crate::resource::{Access, Stores, StreamOp};

/// Elements of a vector of 16 bytes, and threads of a block, as the kernels have them.
const VECTOR: u64 = 4;
const THREADS: u32 = 256;
/// Bytes that one launch goes over in several passes, so that a small working set takes longer than its launch; and the same where there is no hardware to wait for.
const LAUNCH: u64 = 256 << 20;
const LAUNCH_OF_SOFTWARE: u64 = 4 << 20;
const SEEDS: [Seed; 2] = [Seed(1), Seed(2)];

/// How blocks are dealt out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blocks {
    /// As many as run at one time, so many times over; each goes on where the grid ends.
    Resident(u32),
    /// One for every chunk.
    OfChunks,
    /// One alone, on one multiprocessor.
    One,
}

/// How threads go through memory: with so many vectors on their way, and for reads on which path.
#[derive(Clone, Copy, Debug)]
struct Walk {
    vectors: u32,
    blocks: Blocks,
    /// Whether reads take the path of constants, of which L1 is asked to keep nothing; others pass L1 by.
    constant: bool,
}

const fn walk(vectors: u32, blocks: Blocks) -> Walk {
    Walk { vectors, blocks, constant: false }
}

const fn constant(vectors: u32, blocks: Blocks) -> Walk {
    Walk { vectors, blocks, constant: true }
}

/// The walks that are tried over the whole device.
const WALKS: [Walk; 11] = [
    walk(4, Blocks::Resident(1)),
    walk(8, Blocks::Resident(1)),
    walk(2, Blocks::Resident(1)),
    walk(1, Blocks::Resident(1)),
    walk(4, Blocks::Resident(4)),
    constant(4, Blocks::Resident(1)),
    constant(8, Blocks::Resident(1)),
    walk(4, Blocks::OfChunks),
    walk(8, Blocks::OfChunks),
    walk(2, Blocks::OfChunks),
    walk(1, Blocks::OfChunks),
];
/// The walks that are tried on one multiprocessor.
const WALKS_OF_ONE: [Walk; 3] = [walk(8, Blocks::One), walk(4, Blocks::One), walk(2, Blocks::One)];

impl Walk {
    /// Where loads are kept matters for reads alone: what other kernels load takes the path of constants.
    fn entry(self, op: StreamOp) -> String {
        let name = match (op, self.blocks) {
            (StreamOp::Read, Blocks::One) => "read_near",
            (StreamOp::Read, _) if self.constant => "read_once",
            (StreamOp::Read, _) => "read",
            (StreamOp::Write, _) => "write",
            (StreamOp::Copy, _) => "copy",
            (StreamOp::Scale, _) => "scale",
            (StreamOp::Add, _) => "add",
            (StreamOp::Triad, _) => "triad",
        };
        format!("{name}_x{}", self.vectors)
    }

    /// Whether it suits a kernel: a sum for each thread is nothing only where threads read a lot, and only reads have a choice of paths.
    fn suits(self, op: StreamOp) -> bool {
        if op == StreamOp::Read { self.blocks != Blocks::OfChunks } else { !self.constant }
    }

    fn describe(self) -> String {
        let blocks = match self.blocks {
            Blocks::Resident(1) => "",
            Blocks::Resident(_) => ", 4 blocks for each that runs",
            Blocks::OfChunks => ", a block for each chunk",
            Blocks::One => ", one block",
        };
        let path = if self.constant { ", as constants" } else { "" };
        format!("{THREADS} threads, {} vectors each{blocks}{path}", self.vectors)
    }
}

/// One way to go through the arrays.
struct Variant {
    function: Function,
    walk: Walk,
    grid: Grid,
}

/// A streaming workload on its arrays.
pub(in crate::backend::cuda) struct Stream<'device> {
    gpu: &'device Gpu,
    op: StreamOp,
    elements: u64,
    /// Passes that one launch makes at most.
    most_passes: u64,
    inputs: Vec<Buffer>,
    output: Buffer,
    variants: Vec<Variant>,
    names: Vec<String>,
}

impl<'device> Stream<'device> {
    pub(in crate::backend::cuda) fn new(
        gpu: &'device Gpu,
        access: Access,
        elements: u64,
        multiprocessors: u32,
    ) -> Result<Self, BackendError> {
        let op = access.op;
        if access.stores == Stores::NonTemporal {
            return Err(BackendError::unsupported("a GPU's stores go past no cache that others have filled"));
        }
        if elements == 0 || !elements.is_multiple_of(VECTOR) || elements / VECTOR > u64::from(u32::MAX) {
            return Err(BackendError::unsupported(format!(
                "{elements} elements are no number of whole vectors, or too many"
            )));
        }
        let inputs = SEEDS.into_iter().take(op.arrays_read() as usize).map(|seed| {
            let buffer = gpu.buffer(4 * elements)?;
            gpu.write(&buffer, |start, piece| {
                let first = start as usize / 4;
                parallel::fill(bytemuck::cast_slice_mut(piece), |index, part| {
                    reference::fill(first + index, part, seed);
                });
            })?;
            Ok(buffer)
        });
        let inputs = inputs.collect::<Result<Vec<_>, BackendError>>()?;
        let walks: &[Walk] = if multiprocessors == 1 { &WALKS_OF_ONE } else { &WALKS };
        let variant = |&walk: &Walk| {
            let function = gpu.function(Source::Stream, &walk.entry(op))?;
            let grid = Grid { blocks: 1, threads: THREADS, shared: 0 };
            let chunks = (elements / VECTOR).div_ceil(u64::from(THREADS * walk.vectors)) as u32;
            let blocks = match walk.blocks {
                Blocks::Resident(times) => {
                    (gpu.resident_blocks(&function, grid)? * multiprocessors * times).min(chunks)
                }
                Blocks::OfChunks => chunks,
                Blocks::One => 1,
            };
            Ok(Variant { function, walk, grid: Grid { blocks, ..grid } })
        };
        let variants = walks.iter().filter(|walk| walk.suits(op)).map(variant);
        let variants = variants.collect::<Result<Vec<_>, BackendError>>()?;
        let threads = variants.iter().map(|variant| variant.grid.threads_in_all()).max();
        // A read leaves a word for each thread.
        let output = gpu.buffer(4 * if op == StreamOp::Read { threads.unwrap_or(1) } else { elements })?;
        let names = variants.iter().map(|variant| variant.walk.describe()).collect();
        let launch = if gpu.found.is_software() { LAUNCH_OF_SOFTWARE } else { LAUNCH };
        let most_passes = (launch / (4 * elements * op.arrays())).clamp(1, u64::from(u16::MAX));
        Ok(Self { gpu, op, elements, most_passes, inputs, output, variants, names })
    }

    /// One launch: so many passes over the arrays.
    fn pass_over(&self, variant: usize, passes: u64) -> Result<(), BackendError> {
        let Variant { function, walk, grid } = &self.variants[variant];
        let vectors = self.elements / VECTOR;
        let input = |index: usize| Argument::from(self.inputs.get(index).unwrap_or(&self.output));
        let output = Argument::from(&self.output);
        // Another multiprocessor's blocks come to a chunk in the next pass.
        let shift = grid.blocks * 5 / 8;
        let passes = passes as u32;
        let arguments: &[Argument] = match (self.op, walk.blocks) {
            (StreamOp::Read, Blocks::One) => &[input(0), output, (vectors as u32).into(), passes.into()],
            (StreamOp::Read, _) => &[input(0), output, vectors.into(), passes.into(), shift.into()],
            _ => &[input(0), input(1), output, vectors.into(), passes.into(), shift.into()],
        };
        self.gpu.launch(function, *grid, arguments)
    }
}

impl Program for Stream<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn most_at_once(&self, _: usize) -> u64 {
        self.most_passes
    }

    fn launch(&mut self, variant: usize, iterations: u64) -> Result<(), BackendError> {
        self.pass_over(variant, iterations)
    }

    /// As many passes as are timed at once: reads that end too early have another checksum.
    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        let passes = self.most_passes;
        self.gpu.poison(&self.output)?;
        self.pass_over(variant, passes)?;
        if self.op != StreamOp::Read {
            return self.gpu.read(&self.output, |start, piece| {
                let (first, piece) = (start as usize / 4, bytemuck::pod_collect_to_vec::<u8, f32>(piece));
                let differences = parallel::map(piece.len(), |part| {
                    reference::first_difference(self.op, first + part.start, &piece[part], SEEDS)
                });
                differences.into_iter().flatten().next().map_or(Ok(()), |index| {
                    let expected = reference::expected(self.op, index, SEEDS);
                    Err(format!("element {index} is {}, the reference says {expected}", piece[index - first]))
                })
            });
        }
        let mut left = self.variants[variant].grid.threads_in_all();
        let mut sum = 0_u32;
        self.gpu.read(&self.output, |_, piece| {
            let words = bytemuck::pod_collect_to_vec::<u8, u32>(piece);
            let count = left.min(words.len() as u64);
            sum = words[..count as usize].iter().copied().fold(sum, u32::wrapping_add);
            left -= count;
            Ok(())
        })?;
        let parts = parallel::map(self.elements as usize, |part| reference::checksum_of(part, SEEDS[0]));
        let expected = parts.into_iter().fold(0, u32::wrapping_add).wrapping_mul(passes as u32);
        if sum == expected {
            return Ok(());
        }
        Err(BackendError::WrongResult(format!("the checksum is {sum:#010x}, the reference says {expected:#010x}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cuda::ptx;

    #[test]
    fn every_walk_has_its_kernel() {
        let text: String = ptx::ALL.iter().filter(|ptx| ptx.source == Source::Stream).map(|ptx| ptx.text).collect();
        for walk in WALKS.into_iter().chain(WALKS_OF_ONE) {
            for &op in StreamOp::ALL.iter().filter(|&&op| walk.suits(op)) {
                assert!(text.contains(&format!(".entry {}(", walk.entry(op))), "{}", walk.entry(op));
            }
        }
    }
}
