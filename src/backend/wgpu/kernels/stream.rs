//! Streaming kernels: `shaders/stream.wgsl`. A copy is also tried as the driver does it by itself.

use std::ops::Range;

use super::{Dispatch, Immediates};
use crate::backend::BackendError;
use crate::backend::reference::stream as reference;
use crate::backend::wgpu::gpu::{Buffer, Gpu, Pipeline};
use crate::backend::wgpu::shaders::{Shader, source};
use crate::backend::wgpu::timing::{Bench, Program};
use crate::data::Seed;
use crate::resource::{Access, Stores, StreamOp};
use crate::workload::GPU_STREAM_GRANULE;

/// How invocations go through memory: so many to a workgroup, with so many vectors in flight, side by side or each through a stretch of its own.
#[derive(Clone, Copy, Debug)]
struct Walk {
    lanes: u32,
    unroll: u32,
    apart: bool,
}

const fn walk(lanes: u32, unroll: u32) -> Walk {
    Walk { lanes, unroll, apart: false }
}

/// The walks that are tried. Apart is how processors like it, and some GPUs for small machines.
const WALKS: [Walk; 6] =
    [walk(256, 4), walk(256, 1), walk(256, 8), walk(128, 4), walk(64, 8), Walk { lanes: 64, unroll: 4, apart: true }];
/// Workgroups that a chunk is not made longer for: enough for every multiprocessor to have several.
const GROUPS: u64 = 2048;
/// Turns through a chunk at most, and over all passes of a dispatch. Some drivers end every loop after 65 535 turns of an invocation.
const TURNS: u64 = 64;
const ALL_TURNS: u64 = 16_384;
/// Turns from which storing a sum per invocation is nothing beside what it reads: one word for 16 vectors.
const READING: u64 = 16;
/// Bytes that one dispatch goes over in several passes.
const DISPATCH: u64 = 256 << 20;

const SEEDS: [Seed; 2] = [Seed(1), Seed(2)];
/// What the driver's own copy is called.
const TRANSFER: &str = "the driver's own copy";

impl Walk {
    fn shader(self, op: StreamOp) -> Shader {
        let value = match op {
            StreamOp::Read | StreamOp::Copy => "a[at$u]",
            StreamOp::Write => "vec4(FACTOR)",
            StreamOp::Scale => "a[at$u] * FACTOR",
            StreamOp::Add => "a[at$u] + b[at$u]",
            StreamOp::Triad => "a[at$u] * FACTOR + b[at$u]",
        };
        let (start, vector, turn) = if self.apart {
            (format!("lane * sizes.turns * {}u", self.unroll), "1u".to_owned(), format!("{}u", self.unroll))
        } else {
            ("lane".to_owned(), "LANES".to_owned(), format!("LANES * {}u", self.unroll))
        };
        let entry = if op == StreamOp::Read { "k_read" } else { "k_store" };
        Shader::new(source!("stream"), entry)
            .with("VALUE", value)
            .with("LANE_START", start)
            .with("VECTOR_STEP", vector)
            .with("TURN_STEP", turn)
            .with("UNROLL", self.unroll)
            .constant("LANES", self.lanes)
    }

    /// Turns of each invocation through a chunk of some vectors, so that chunks come out even and are many.
    fn turns(self, op: StreamOp, vectors: u64) -> u64 {
        let once = u64::from(self.lanes * self.unroll);
        let least = if op == StreamOp::Read { READING / u64::from(self.unroll) } else { 1 };
        let fits = |turns: u64| vectors.is_multiple_of(once * turns);
        let many = |turns: u64| turns <= least || vectors / (once * turns) >= GROUPS;
        (0..=TURNS.ilog2()).map(|power| 1 << power).filter(|&turns| fits(turns) && many(turns)).max().unwrap_or(1)
    }
}

/// The shaders of every specialisation.
#[cfg(test)]
pub(super) fn shaders() -> Vec<Shader> {
    StreamOp::ALL.iter().flat_map(|&op| WALKS.map(|walk| walk.shader(op))).collect()
}

/// One way to go through the arrays.
struct Variant {
    pipeline: Pipeline,
    bindings: wgpu::BindGroup,
    groups: u64,
    turns: u64,
    lanes: u64,
    most_passes: u64,
}

/// A streaming workload on its arrays.
pub(in crate::backend::wgpu) struct Stream {
    op: StreamOp,
    elements: u64,
    parts: u64,
    /// The part that comes next.
    next: u64,
    inputs: Vec<Buffer>,
    output: Buffer,
    variants: Vec<Variant>,
    /// Of the variants, and of the driver's copy behind them.
    names: Vec<String>,
}

impl Stream {
    pub(in crate::backend::wgpu) fn new(
        gpu: &Gpu,
        access: Access,
        elements: u64,
        parts: u64,
    ) -> Result<Self, BackendError> {
        let op = access.op;
        if access.stores == Stores::NonTemporal {
            return Err(BackendError::unsupported("WGSL has no stores past the caches"));
        }
        if elements == 0 || parts == 0 || !elements.is_multiple_of(GPU_STREAM_GRANULE.saturating_mul(parts)) {
            let granule = GPU_STREAM_GRANULE;
            return Err(BackendError::unsupported(format!(
                "{elements} elements are not {parts} times a multiple of {granule}"
            )));
        }
        let mut inputs = Vec::new();
        for seed in SEEDS.into_iter().take(op.arrays_read() as usize) {
            let buffer = gpu.buffer(4 * elements)?;
            gpu.write(&buffer, |start, piece| {
                reference::fill(start as usize / 4, bytemuck::cast_slice_mut(piece), seed);
            })?;
            inputs.push(buffer);
        }
        let vectors = elements / parts / 4;
        // A read leaves a word for each invocation.
        let output = gpu.buffer(if op == StreamOp::Read { elements / 4 } else { 4 * elements })?;
        let (mut variants, mut names) = (Vec::new(), Vec::new());
        for walk in WALKS.into_iter().filter(|walk| walk.lanes <= gpu.limits.max_compute_invocations_per_workgroup) {
            let pipeline = gpu.pipeline(&walk.shader(op))?;
            let mut windows: Vec<_> = (0..).zip(&inputs).collect();
            windows.push((if op == StreamOp::Read { 3 } else { 2 }, &output));
            let turns = walk.turns(op, vectors);
            let passes = (ALL_TURNS / (turns + 1)).min(DISPATCH / (4 * elements * op.arrays())).max(1);
            names.push(format!(
                "{} lanes, {} vectors each{}",
                walk.lanes,
                walk.unroll,
                if walk.apart { ", apart" } else { "" }
            ));
            variants.push(Variant {
                bindings: gpu.bind(&pipeline, &windows)?,
                pipeline,
                groups: vectors / (u64::from(walk.lanes * walk.unroll) * turns),
                turns,
                lanes: walk.lanes.into(),
                most_passes: if parts == 1 { passes } else { 1 },
            });
        }
        if op == StreamOp::Copy {
            names.push(TRANSFER.to_owned());
        }
        Ok(Self { op, elements, parts, next: 0, inputs, output, variants, names })
    }

    /// One dispatch: so many passes over a part.
    pub(in crate::backend::wgpu) fn pass_over(
        &self,
        variant: usize,
        part: u64,
        passes: u64,
        pass: &mut wgpu::ComputePass<'_>,
    ) {
        let Variant { pipeline, bindings, groups, turns, .. } = &self.variants[variant];
        let first = part * (self.elements / self.parts / 4);
        let immediates = Immediates::of(&[first, *groups, *turns, passes, (*groups * 5 / 8).max(1)]);
        Dispatch { pipeline, bindings, immediates, groups: *groups }.put(pass);
    }

    /// One workgroup by itself in so many passes, from each chunk to the one behind it.
    fn pass_alone(&self, variant: usize, passes: u64, pass: &mut wgpu::ComputePass<'_>) {
        let Variant { pipeline, bindings, groups, turns, .. } = &self.variants[variant];
        let immediates = Immediates::of(&[0, *groups, *turns, passes, 1]);
        Dispatch { pipeline, bindings, immediates, groups: 1 }.put(pass);
    }

    /// One part by the driver's own copy.
    fn transfer_part(&self, part: u64, encoder: &mut wgpu::CommandEncoder) {
        let bytes = 4 * (self.elements / self.parts);
        if let Some(from) = self.inputs.first() {
            encoder.copy_buffer_to_buffer(&from.raw, part * bytes, &self.output.raw, part * bytes, bytes);
        }
    }

    /// Elements that a workgroup by itself comes to in the last of so many passes.
    fn last_chunk(&self, variant: usize, passes: u64) -> Range<usize> {
        let chunk = (self.elements / self.parts / self.variants[variant].groups) as usize;
        let first = (passes as usize - 1) * chunk;
        first..first + chunk
    }

    /// Compares some of what was stored with the reference.
    fn compare(&self, wanted: &Range<usize>, gpu: &Gpu) -> Result<(), BackendError> {
        gpu.read(&self.output, |start, piece| {
            let first = start as usize / 4;
            let (from, to) = (wanted.start.max(first), wanted.end.min(first + piece.len() / 4));
            if from >= to {
                return Ok(());
            }
            let piece = bytemuck::pod_collect_to_vec::<u8, f32>(&piece[4 * (from - first)..4 * (to - first)]);
            reference::first_difference(self.op, from, &piece, SEEDS).map_or(Ok(()), |index| {
                let expected = reference::expected(self.op, index, SEEDS);
                Err(format!("element {index} is {}, the reference says {expected}", piece[index - from]))
            })
        })
    }
}

impl Program for Stream {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn most_at_once(&self, variant: usize) -> u64 {
        self.variants.get(variant).map_or(1, |variant| variant.most_passes)
    }

    fn is_transfer(&self, variant: usize) -> bool {
        variant >= self.variants.len()
    }

    fn transfer(&mut self, _: usize, parts: u64, encoder: &mut wgpu::CommandEncoder) {
        for _ in 0..parts {
            self.transfer_part(self.next, encoder);
            self.next = (self.next + 1) % self.parts;
        }
    }

    fn dispatch(&mut self, variant: usize, iterations: u64, pass: &mut wgpu::ComputePass<'_>) {
        self.pass_over(variant, self.next, iterations, pass);
        self.next = (self.next + 1) % self.parts;
    }

    /// Every part once, in as many passes as are timed: a loop that ends too early has another checksum. Stores are the same in every pass, so that their passes are told
    /// apart by a workgroup by itself, as far as there are chunks.
    fn verify(&mut self, variant: usize, bench: &Bench<'_>) -> Result<(), BackendError> {
        bench.gpu.poison(&self.output)?;
        if self.is_transfer(variant) {
            bench.clock.time_beside(bench.gpu, |encoder| {
                (0..self.parts).for_each(|part| self.transfer_part(part, encoder));
            })?;
            return self.compare(&(0..self.elements as usize), bench.gpu);
        }
        let Variant { groups, lanes, most_passes, .. } = self.variants[variant];
        let mut sum = 0_u32;
        for part in 0..self.parts {
            bench.run(|pass| self.pass_over(variant, part, most_passes, pass))?;
            if self.op == StreamOp::Read {
                let words = (groups * lanes) as usize;
                bench.gpu.read(&self.output, |start, piece| {
                    let words = words.saturating_sub(start as usize / 4);
                    let words = bytemuck::pod_collect_to_vec::<u8, u32>(piece).into_iter().take(words);
                    sum = words.fold(sum, u32::wrapping_add);
                    Ok(())
                })?;
            }
        }
        if self.op == StreamOp::Read {
            let once = reference::checksum(self.elements as usize, SEEDS[0]);
            let expected = once.wrapping_mul(most_passes as u32);
            return if sum == expected {
                Ok(())
            } else {
                Err(BackendError::WrongResult(format!(
                    "the checksum is {sum:#010x}, the reference says {expected:#010x}"
                )))
            };
        }
        self.compare(&(0..self.elements as usize), bench.gpu)?;
        let passes = most_passes.min(groups);
        if passes == 1 {
            return Ok(());
        }
        bench.gpu.poison(&self.output)?;
        bench.run(|pass| self.pass_alone(variant, passes, pass))?;
        self.compare(&self.last_chunk(variant, passes), bench.gpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::wgpu::adapters::Survey;
    use crate::backend::wgpu::timing::Clock;

    #[test]
    fn chunks_come_out_even_and_loops_stay_short() {
        for vectors in [1, 3, 10, 64, 5 * 1024].map(|granules| granules * GPU_STREAM_GRANULE / 4) {
            for walk in WALKS {
                for op in [StreamOp::Read, StreamOp::Copy] {
                    let turns = walk.turns(op, vectors);
                    assert!(
                        turns <= TURNS && vectors.is_multiple_of(turns * u64::from(walk.lanes * walk.unroll)),
                        "{walk:?}"
                    );
                }
            }
        }
    }

    #[test]
    #[ignore = "needs a driver; `scripts/test` installs lavapipe"]
    fn a_pass_that_was_left_out_is_found() {
        let adapters = Survey::take().adapters().unwrap();
        let gpu = Gpu::open(adapters.last().unwrap(), false).unwrap();
        let clock = Clock::new(&gpu).unwrap();
        let bench = Bench { gpu: &gpu, clock: &clock };
        for op in [StreamOp::Write, StreamOp::Copy, StreamOp::Triad] {
            let stream = Stream::new(&gpu, Access::plain(op), 64 * GPU_STREAM_GRANULE, 1).unwrap();
            for variant in 0..stream.variants.len() {
                let passes = stream.variants[variant].most_passes.min(stream.variants[variant].groups);
                assert!(passes > 1, "{op:?} {variant}");
                for (made, right) in [(passes - 1, false), (passes, true)] {
                    gpu.poison(&stream.output).unwrap();
                    bench.run(|pass| stream.pass_alone(variant, made, pass)).unwrap();
                    let result = stream.compare(&stream.last_chunk(variant, passes), &gpu);
                    assert_eq!(result.is_ok(), right, "{op:?} {variant} {made}: {result:?}");
                }
            }
        }
    }
}
