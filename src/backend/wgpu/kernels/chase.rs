//! Pointer chase: `shaders/chase.wgsl`.

use super::{Dispatch, Immediates};
use crate::backend::BackendError;
use crate::backend::reference::cycle::Cycle;
use crate::backend::wgpu::gpu::{Buffer, Gpu, Pipeline};
use crate::backend::wgpu::shaders::{Shader, source};
use crate::backend::wgpu::timing::{Bench, Program};
use crate::data::{Seed, bits};

/// Bytes from one place to the next: a cache line of every GPU, or two.
const LINE: u64 = 128;
/// Bytes of a link, and hops to a turn of the loop.
const LINK: u64 = 8;
const UNROLL: u64 = 16;
/// Turns in one dispatch.
const TURNS: u64 = 16_384;

fn shader() -> Shader {
    Shader::new(source!("chase"), "k_chase")
}

/// The shaders of every specialisation.
#[cfg(test)]
pub(super) fn shaders() -> Vec<Shader> {
    vec![shader()]
}

/// A random cycle through device memory.
pub(in crate::backend::wgpu) struct Chase {
    cycle: Cycle,
    turns: u64,
    pipeline: Pipeline,
    bindings: wgpu::BindGroup,
    reached: Buffer,
    names: [String; 1],
    /// Kept alive for the bindings.
    _chain: Buffer,
}

impl Chase {
    pub(in crate::backend::wgpu) fn new(gpu: &Gpu, bytes: u64, hops: u64) -> Result<Self, BackendError> {
        if bytes < LINE || !bytes.is_power_of_two() {
            return Err(BackendError::unsupported(format!("{bytes} bytes are no power of two, or less than {LINE}")));
        }
        let cycle = Cycle { places: bytes / LINE };
        let chain = gpu.buffer(bytes)?;
        gpu.write(&chain, |start, piece| {
            for (line, place) in (start / LINE..).zip(piece.chunks_exact_mut(LINE as usize)) {
                // Both words are needed to go on.
                let (next, mask) = ((cycle.next(line) * (LINE / LINK)) as u32, bits(Seed(31), line as u32));
                place.fill(0);
                place[..4].copy_from_slice(&(next ^ mask).to_ne_bytes());
                place[4..8].copy_from_slice(&mask.to_ne_bytes());
            }
        })?;
        let reached = gpu.buffer(4)?;
        let pipeline = gpu.pipeline(&shader())?;
        let bindings = gpu.bind(&pipeline, &[(0, &chain), (1, &reached)])?;
        let turns = hops.div_ceil(UNROLL).max(1);
        Ok(Self { cycle, turns, pipeline, bindings, reached, names: ["one invocation".to_owned()], _chain: chain })
    }

    fn hop(&self, turns: u64, pass: &mut wgpu::ComputePass<'_>) {
        let immediates = Immediates::of(&[turns]);
        Dispatch { pipeline: &self.pipeline, bindings: &self.bindings, immediates, groups: 1 }.put(pass);
    }
}

impl Program for Chase {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn most_at_once(&self, _: usize) -> u64 {
        (TURNS / self.turns).max(1)
    }

    fn dispatch(&mut self, _: usize, iterations: u64, pass: &mut wgpu::ComputePass<'_>) {
        self.hop(iterations * self.turns, pass);
    }

    /// As many hops as are timed at once, and then some more from where they ended.
    fn verify(&mut self, _: usize, bench: &Bench<'_>) -> Result<(), BackendError> {
        bench.gpu.write(&self.reached, |_, piece| piece.fill(0))?;
        let turns = [self.turns * self.most_at_once(0), 3];
        turns.iter().try_for_each(|&turns| bench.run(|pass| self.hop(turns, pass)))?;
        let reached = bytemuck::pod_read_unaligned::<u32>(&bench.gpu.contents(&self.reached)?[..4]);
        let hops = turns.iter().sum::<u64>() * UNROLL;
        let expected = self.cycle.after(hops) * (LINE / LINK);
        if u64::from(reached) == expected {
            return Ok(());
        }
        Err(BackendError::WrongResult(format!("{hops} hops end at {reached}, the reference says {expected}")))
    }
}
