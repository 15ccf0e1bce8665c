//! Atomic additions: `shaders/atomic.wgsl`.

use std::iter;

use super::{Dispatch, Immediates};
use crate::backend::BackendError;
use crate::backend::wgpu::gpu::{Buffer, Gpu, Pipeline};
use crate::backend::wgpu::shaders::{Shader, source};
use crate::backend::wgpu::timing::{Bench, Program};
use crate::resource::Sharing;
use crate::workload::ATOMIC_ADDITIONS;

/// Invocations of a workgroup, as they are tried.
const LANES: [u32; 2] = [64, 256];
/// Additions of an invocation to a turn, and invocations that make an iteration of a turn each.
const ADDITIONS: u64 = 16;
const THREADS: u64 = ATOMIC_ADDITIONS / ADDITIONS;
/// Iterations that are made side by side at most, which fills every device, and turns in one dispatch at most.
const SIDE_BY_SIDE: u64 = 256;
const MOST_TURNS: u64 = 64;
/// Neighbours that share a word, as a power of two: what runs in step on most devices.
const NEIGHBOURS: u32 = 5;
/// Addends, after which they begin again.
const ADDENDS: u64 = 8;

fn shader(lanes: u32) -> Shader {
    Shader::new(source!("atomic"), "k_add").constant("LANES", lanes)
}

/// The shaders of every specialisation.
#[cfg(test)]
pub(super) fn shaders() -> Vec<Shader> {
    LANES.map(shader).into()
}

/// How turns are dealt out: so many invocations, each with so many turns, and how many have one more.
#[derive(Clone, Copy, Debug)]
struct Deal {
    threads: u64,
    turns: u64,
    longer: u64,
}

impl Deal {
    /// Iterations side by side as far as that makes sense, and one after the other beyond.
    fn of(iterations: u64) -> Self {
        let threads = THREADS * iterations.clamp(1, SIDE_BY_SIDE);
        let turns = THREADS * iterations;
        Self { threads, turns: turns / threads, longer: turns % threads }
    }
}

/// The words that some invocations add to: how many neighbours share one, as a power of two, and words from one to the next.
const fn places(sharing: Sharing) -> (u32, u64) {
    match sharing {
        Sharing::Own => (0, 1),
        Sharing::Warp => (NEIGHBOURS, 1),
        Sharing::All => (0, 0),
    }
}

/// What all additions to each word come to.
fn expected(sharing: Sharing, deal: Deal) -> Vec<u32> {
    let (shift, spread) = places(sharing);
    let place = |thread: u64| ((thread >> shift) * spread) as usize;
    let mut words = vec![0_u32; place(deal.threads - 1) + 1];
    for thread in 0..deal.threads {
        let turns = deal.turns + u64::from(thread < deal.longer);
        let word = &mut words[place(thread)];
        *word = word.wrapping_add(((thread % ADDENDS + 1) * turns * ADDITIONS) as u32);
    }
    words
}

struct Variant {
    pipeline: Pipeline,
    bindings: wgpu::BindGroup,
    lanes: u64,
}

/// Atomic additions by many invocations.
pub(in crate::backend::wgpu) struct Atomic {
    sharing: Sharing,
    words: Buffer,
    variants: Vec<Variant>,
    names: Vec<String>,
}

impl Atomic {
    pub(in crate::backend::wgpu) fn new(gpu: &Gpu, sharing: Sharing) -> Result<Self, BackendError> {
        let words = gpu.buffer(4 * expected(sharing, Deal::of(SIDE_BY_SIDE)).len() as u64)?;
        let (mut variants, mut names) = (Vec::new(), Vec::new());
        for lanes in LANES.into_iter().filter(|&lanes| lanes <= gpu.limits.max_compute_invocations_per_workgroup) {
            let pipeline = gpu.pipeline(&shader(lanes))?;
            let bindings = gpu.bind(&pipeline, &[(0, &words)])?;
            names.push(format!("{lanes} lanes"));
            variants.push(Variant { pipeline, bindings, lanes: lanes.into() });
        }
        Ok(Self { sharing, words, variants, names })
    }

    fn add(&self, variant: usize, iterations: u64, pass: &mut wgpu::ComputePass<'_>) {
        let Variant { pipeline, bindings, lanes } = &self.variants[variant];
        let Deal { threads, turns, longer } = Deal::of(iterations);
        let (shift, spread) = places(self.sharing);
        let immediates = Immediates::of(&[turns, longer, threads, shift.into(), spread]);
        Dispatch { pipeline, bindings, immediates, groups: threads / lanes }.put(pass);
    }
}

impl Program for Atomic {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn most_at_once(&self, _: usize) -> u64 {
        SIDE_BY_SIDE * MOST_TURNS
    }

    fn dispatch(&mut self, variant: usize, iterations: u64, pass: &mut wgpu::ComputePass<'_>) {
        self.add(variant, iterations, pass);
    }

    /// No addition may be lost, none done twice: few invocations, and all that there are at most, some with a turn more.
    fn verify(&mut self, variant: usize, bench: &Bench<'_>) -> Result<(), BackendError> {
        for iterations in [3, SIDE_BY_SIDE + 5] {
            bench.gpu.write(&self.words, |_, piece| piece.fill(0))?;
            bench.run(|pass| self.add(variant, iterations, pass))?;
            let words = bytemuck::pod_collect_to_vec::<u8, u32>(&bench.gpu.contents(&self.words)?);
            // Nothing is added beyond what these came to.
            let expected = expected(self.sharing, Deal::of(iterations)).into_iter().chain(iter::repeat(0));
            for (word, (&found, expected)) in words.iter().zip(expected).enumerate() {
                if found != expected {
                    return Err(BackendError::WrongResult(format!(
                        "word {word} is {found}, all additions come to {expected}"
                    )));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_additions_are_expected_as_are_counted() {
        for iterations in [1, 3, SIDE_BY_SIDE, SIDE_BY_SIDE + 5, SIDE_BY_SIDE * MOST_TURNS] {
            let deal = Deal::of(iterations);
            let additions = (deal.threads * deal.turns + deal.longer) * ADDITIONS;
            assert_eq!(additions, iterations * ATOMIC_ADDITIONS, "{deal:?}");
            let sums =
                Sharing::ALL.iter().map(|&sharing| expected(sharing, deal).into_iter().fold(0, u32::wrapping_add));
            let sums: Vec<u32> = sums.collect();
            assert!(sums.iter().all(|&sum| sum == sums[0]), "whoever shares, all additions come to the same");
        }
        let words = |sharing| expected(sharing, Deal::of(2)).len() as u64;
        assert_eq!([Sharing::Own, Sharing::Warp, Sharing::All].map(words), [2 * THREADS, THREADS / 16, 1]);
    }
}
