//! Pointer chase: `kernels/chase.cu`.

use crate::backend::BackendError;
use crate::backend::cuda::gpu::{Argument, Buffer, Function, Gpu, Grid};
use crate::backend::cuda::ptx::Source;
use crate::backend::cuda::timing::Program;
use crate::backend::reference::cycle::Cycle;

/// Bytes from one place to the next: a cache line.
const LINE: u64 = 128;
/// Bytes of a link, and loads to a turn of the loop.
const LINK: u64 = 8;
const UNROLL: u64 = 16;
/// Loads in one launch.
const LOADS: u64 = 1 << 18;

/// A random cycle through device memory.
pub(in crate::backend::cuda) struct Chase<'device> {
    gpu: &'device Gpu,
    cycle: Cycle,
    hops: u64,
    functions: Vec<Function>,
    /// What the addresses in it are relative to.
    chain: Buffer,
    /// The address where the chase goes on.
    state: Buffer,
    names: Vec<String>,
}

/// Kernels, and what they do.
const VARIANTS: [(&str, &str); 2] = [("chase_near", "one thread, through L1"), ("chase_far", "one thread, past L1")];

impl<'device> Chase<'device> {
    pub(in crate::backend::cuda) fn new(gpu: &'device Gpu, bytes: u64, hops: u64) -> Result<Self, BackendError> {
        if bytes < LINE || !bytes.is_power_of_two() || hops == 0 || !hops.is_multiple_of(UNROLL) {
            return Err(BackendError::unsupported(format!(
                "{bytes} bytes are no power of two or less than {LINE}, or {hops} hops no multiple of {UNROLL}"
            )));
        }
        let cycle = Cycle { places: bytes / LINE };
        let (chain, state) = (gpu.buffer(bytes)?, gpu.buffer(LINK)?);
        gpu.write(&chain, |start, piece| {
            for (line, place) in (start / LINE..).zip(piece.chunks_exact_mut(LINE as usize)) {
                place.fill(0);
                let next = chain.address + cycle.next(line) * LINE;
                place[..LINK as usize].copy_from_slice(&next.to_ne_bytes());
            }
        })?;
        let functions = VARIANTS.iter().map(|(entry, _)| gpu.function(Source::Chase, entry));
        let functions = functions.collect::<Result<Vec<_>, _>>()?;
        let names = VARIANTS.iter().map(|(_, name)| (*name).to_owned()).collect();
        let chase = Self { gpu, cycle, hops, functions, chain, state, names };
        chase.start()?;
        Ok(chase)
    }

    /// Puts the chase at its first place.
    fn start(&self) -> Result<(), BackendError> {
        self.gpu.send(&self.state, 0, &self.chain.address.to_ne_bytes())
    }

    fn hop(&self, variant: usize, hops: u64) -> Result<(), BackendError> {
        let arguments = [Argument::from(&self.state), Argument::from((hops / UNROLL) as u32)];
        self.gpu.launch(&self.functions[variant], Grid::ONE, &arguments)
    }
}

impl Program for Chase<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn most_at_once(&self, _: usize) -> u64 {
        (LOADS / self.hops).max(1)
    }

    fn launch(&mut self, variant: usize, iterations: u64) -> Result<(), BackendError> {
        self.hop(variant, iterations * self.hops)
    }

    /// As many hops as are timed at once, and then some more from where they ended.
    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        self.start()?;
        let hops = [self.hops * self.most_at_once(variant), 3 * UNROLL];
        hops.iter().try_for_each(|&hops| self.hop(variant, hops))?;
        let state = self.gpu.contents(&self.state)?;
        let reached = state.first_chunk::<8>().map_or(0, |word| u64::from_ne_bytes(*word));
        let reached = reached.wrapping_sub(self.chain.address);
        let all = hops.iter().sum();
        let expected = self.cycle.after(all) * LINE;
        if reached == expected {
            return Ok(());
        }
        Err(BackendError::WrongResult(format!("{all} hops end at {reached}, the reference says {expected}")))
    }
}
