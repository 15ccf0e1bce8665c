//! Atomic additions: `kernels/atomic.cu`.

use crate::backend::BackendError;
use crate::backend::cuda::gpu::{Argument, Buffer, Function, Gpu, Grid};
use crate::backend::cuda::ptx::Source;
use crate::backend::cuda::timing::Program;
use crate::resource::Sharing;
use crate::workload::ATOMIC_ADDITIONS;

/// Threads of a block, and additions of a thread to a turn, as the kernel has them.
const THREADS: u32 = 256;
const ADDITIONS: u64 = 16;
/// Threads of a multiprocessor, so that an iteration is a turn.
const THREADS_OF_MULTIPROCESSOR: u64 = ATOMIC_ADDITIONS / ADDITIONS;
/// Threads that run in step, as a power of two.
const WARP: u32 = 5;
/// Turns in one launch at most.
const MOST_TURNS: u64 = 1024;

/// Atomic additions by all threads.
pub(in crate::backend::cuda) struct Atomic<'device> {
    gpu: &'device Gpu,
    sharing: Sharing,
    function: Function,
    grid: Grid,
    words: Buffer,
    names: [String; 1],
}

impl<'device> Atomic<'device> {
    pub(in crate::backend::cuda) fn new(
        gpu: &'device Gpu,
        sharing: Sharing,
        multiprocessors: u32,
    ) -> Result<Self, BackendError> {
        let blocks = (THREADS_OF_MULTIPROCESSOR / u64::from(THREADS)) as u32 * multiprocessors;
        let grid = Grid { blocks, threads: THREADS, shared: 0 };
        let words = match sharing {
            Sharing::Own => grid.threads_in_all(),
            Sharing::Warp => grid.threads_in_all() >> WARP,
            Sharing::All => 1,
        };
        Ok(Self {
            gpu,
            sharing,
            function: gpu.function(Source::Atomic, "atomic_add")?,
            grid,
            words: gpu.buffer(4 * words)?,
            names: [format!("{THREADS_OF_MULTIPROCESSOR} threads of {THREADS}")],
        })
    }

    fn add(&self, turns: u64) -> Result<(), BackendError> {
        let (shift, spread) = match self.sharing {
            Sharing::Own => (0_u32, 1_u32),
            Sharing::Warp => (WARP, 1),
            Sharing::All => (0, 0),
        };
        let arguments = [Argument::from(&self.words), shift.into(), spread.into(), (turns as u32).into()];
        self.gpu.launch(&self.function, self.grid, &arguments)
    }

    /// What all additions to a word come to: thread t adds 1 to 8, by its place in its block.
    fn expected(&self, word: u64, turns: u64) -> u32 {
        let threads = match self.sharing {
            Sharing::Own => word..word + 1,
            Sharing::Warp => word << WARP..(word + 1) << WARP,
            Sharing::All => 0..self.grid.threads_in_all(),
        };
        let once: u64 = threads.map(|thread| thread % u64::from(THREADS) % 8 + 1).sum();
        (once * turns * ADDITIONS) as u32
    }
}

impl Program for Atomic<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn most_at_once(&self, _: usize) -> u64 {
        MOST_TURNS
    }

    fn launch(&mut self, _: usize, iterations: u64) -> Result<(), BackendError> {
        self.add(iterations)
    }

    /// No addition may be lost, none done twice.
    fn verify(&mut self, _: usize) -> Result<(), BackendError> {
        const TURNS: u64 = 3;
        self.gpu.fill(&self.words, 0)?;
        self.add(TURNS)?;
        let words = bytemuck::pod_collect_to_vec::<u8, u32>(&self.gpu.contents(&self.words)?);
        let count = match self.sharing {
            Sharing::All => 1,
            Sharing::Own | Sharing::Warp => words.len(),
        };
        for (word, &found) in words[..count].iter().enumerate() {
            let expected = self.expected(word as u64, TURNS);
            if found != expected {
                return Err(BackendError::WrongResult(format!(
                    "word {word} is {found}, all additions come to {expected}"
                )));
            }
        }
        Ok(())
    }
}
