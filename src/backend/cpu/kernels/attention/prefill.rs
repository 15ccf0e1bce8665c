//! Prefill attention: every token of a prompt attends to itself and those before it, in bfloat16 summed in f32.
//!
//! Work: 4 · group · dim operations for each of context · (context + 1) / 2 pairs. Bound: the multiply-add peak. Keys and values are packed once for
//! the group; then, for some queries at a time, scores of a block of keys, softmax's running maximum and sum, and the block's share of the results.

use half::bf16;

use super::super::Program;
use super::super::element::{Element, near};
use super::super::gemm::step::Step;
use super::super::gemm::tile::{asked, tile};
use super::{DIM, GROUP, dot, weights};
use crate::backend::cpu::arena::Lanes;
use crate::backend::cpu::isa::{Vector, exp};
use crate::backend::{BackendError, CycleLimit};
use crate::data::Seed;
use crate::dtype::DType;

/// Keys whose scores are computed at a time: a multiple of every tile's width.
const KEYS_AT_ONCE: usize = 256;
/// Tiles of queries that share a pass over a block of keys.
const TILES: usize = 4;
/// Most rows of a tile.
const MOST_ROWS: usize = 16;
/// Room between arrays.
const STAGGER: usize = 1344;

/// One head of keys and values with the queries of its group, and room to work in.
#[derive(Clone, Copy)]
pub(in super::super) struct Prompt {
    queries: *const bf16,
    keys: *const bf16,
    values: *const bf16,
    results: *mut f32,
    scratch: *mut u8,
    context: usize,
}

/// Where things lie in the scratch, in bytes.
struct Room {
    packed_values: usize,
    packed_queries: usize,
    scores: usize,
    shares: usize,
    packed_shares: usize,
    end: usize,
}

impl Room {
    fn of(context: usize) -> Self {
        let align = |bytes: usize| bytes.next_multiple_of(64) + STAGGER;
        let packed_values = align(4 * (context + KEYS_AT_ONCE) * DIM);
        let packed_queries = packed_values + align(4 * (context + KEYS_AT_ONCE) * DIM);
        let scores = packed_queries + align(4 * TILES * MOST_ROWS * (DIM + 16));
        let shares = scores + align(4 * TILES * MOST_ROWS * KEYS_AT_ONCE);
        let packed_shares = shares + align(2 * TILES * MOST_ROWS * KEYS_AT_ONCE);
        let end = packed_shares + align(4 * TILES * MOST_ROWS * (KEYS_AT_ONCE + 16));
        Self { packed_values, packed_queries, scores, shares, packed_shares, end }
    }
}

/// Attends with all queries, by tiles of ROWS · COLUMNS.
///
/// # Safety
/// The instruction sets of vector and step are available; everything lies where `prompt` says; the context is a multiple of 64.
#[inline(always)]
pub(in super::super) unsafe fn attend<V, S, const ROWS: usize, const VECTORS: usize, const COLUMNS: usize>(
    prompt: &Prompt,
) where
    V: Vector,
    S: Step<Element = bf16, Sum = f32>,
{
    const {
        assert!(
            COLUMNS == VECTORS * S::WIDTH
                && KEYS_AT_ONCE.is_multiple_of(COLUMNS)
                && DIM.is_multiple_of(COLUMNS)
                && ROWS <= MOST_ROWS
        );
    };
    let (context, words) = (prompt.context, DIM / S::GROUP);
    let room = Room::of(context);
    // SAFETY: panels lie where the room says; rows and columns stay within the context, which is padded to whole blocks where panels are read.
    unsafe {
        let at = |offset: usize| prompt.scratch.add(offset);
        let packed_keys = at(0).cast::<S::Word>();
        for key in (0..context).step_by(COLUMNS) {
            let from = prompt.keys.add(key * DIM);
            S::pack::<COLUMNS, true>(from, DIM, COLUMNS.min(context - key), words, packed_keys.add(key * words));
        }
        let packed_values = at(room.packed_values).cast::<S::Word>();
        pack_values::<S, COLUMNS>(prompt, packed_values);
        let (queries, scores) = (at(room.packed_queries).cast::<S::Word>(), at(room.scores).cast::<f32>());
        let (shares, packed) = (at(room.shares).cast::<bf16>(), at(room.packed_shares).cast::<S::Word>());
        for head in 0..GROUP {
            for first in (0..context).step_by(TILES * ROWS) {
                let rows = (TILES * ROWS).min(context - first);
                let from = prompt.queries.add((head * context + first) * DIM);
                for row in (0..rows).step_by(ROWS) {
                    let panel = queries.add(row * (words + 16));
                    S::pack::<ROWS, false>(from.add(row * DIM), DIM, ROWS.min(rows - row), words, panel);
                }
                let results = prompt.results.add((head * context + first) * DIM);
                std::slice::from_raw_parts_mut(results, rows * DIM).fill(0.0);
                let (mut largest, mut sums) = ([f32::NEG_INFINITY; TILES * MOST_ROWS], [0.0_f32; TILES * MOST_ROWS]);
                for block in (0..first + rows).step_by(KEYS_AT_ONCE) {
                    // Keys after the last of these queries are not looked at, but for the rest of a panel.
                    let keys = (first + rows - block).min(KEYS_AT_ONCE).next_multiple_of(COLUMNS);
                    for column in (0..keys).step_by(COLUMNS) {
                        for row in (0..rows).step_by(ROWS) {
                            let (a, b) = (queries.add(row * (words + 16)), packed_keys.add((block + column) * words));
                            let to = scores.add(row * KEYS_AT_ONCE + column);
                            let next =
                                b.wrapping_add(COLUMNS * words).cast::<u8>().wrapping_add(row / ROWS * asked(words));
                            tile::<S, ROWS, VECTORS, COLUMNS>(words, a, b, next, to, KEYS_AT_ONCE, false);
                        }
                    }
                    for row in 0..rows {
                        let seen = (first + row + 1).saturating_sub(block).min(keys);
                        let (scores, shares) = (scores.add(row * KEYS_AT_ONCE), shares.add(row * KEYS_AT_ONCE));
                        let (old, to) = (largest[row], results.add(row * DIM));
                        let (new, sum) = softmax::<V>(scores, shares, seen, keys, old);
                        if new > old {
                            let factor = factor::<V>(old, new);
                            sums[row] *= factor;
                            for at in (0..DIM).step_by(V::WIDTH) {
                                V::load_unaligned(to.add(at)).mul(V::splat(factor)).store_unaligned(to.add(at));
                            }
                            largest[row] = new;
                        }
                        sums[row] += sum;
                    }
                    for row in (0..rows).step_by(ROWS) {
                        let height = ROWS.min(rows - row);
                        let from = shares.add(row * KEYS_AT_ONCE);
                        S::pack::<ROWS, false>(from, KEYS_AT_ONCE, height, keys / S::GROUP, packed);
                        for column in (0..DIM).step_by(COLUMNS) {
                            // Panels of values: all positions of some columns lie together.
                            let b = packed_values.add(column * padded(context) / S::GROUP + block / S::GROUP * COLUMNS);
                            let next = b.wrapping_add(COLUMNS * padded(context) / S::GROUP).cast();
                            let to = results.add(row * DIM + column);
                            if height == ROWS {
                                tile::<S, ROWS, VECTORS, COLUMNS>(keys / S::GROUP, packed, b, next, to, DIM, true);
                            } else {
                                // The scores are not needed any more, and wide enough.
                                tile::<S, ROWS, VECTORS, COLUMNS>(
                                    keys / S::GROUP,
                                    packed,
                                    b,
                                    next,
                                    scores,
                                    COLUMNS,
                                    false,
                                );
                                for row in 0..height {
                                    for column in 0..COLUMNS {
                                        *to.add(row * DIM + column) += *scores.add(row * COLUMNS + column);
                                    }
                                }
                            }
                        }
                    }
                }
                for (row, &sum) in sums.iter().enumerate().take(rows) {
                    let (to, sum) = (results.add(row * DIM), V::splat(sum));
                    for at in (0..DIM).step_by(V::WIDTH) {
                        V::load_unaligned(to.add(at)).div(sum).store_unaligned(to.add(at));
                    }
                }
            }
        }
    }
}

/// Positions in a panel of values: whole blocks of keys.
const fn padded(context: usize) -> usize {
    context.next_multiple_of(KEYS_AT_ONCE)
}

/// Packs values so that a group of positions of one column is a word. Positions beyond the context are zero: their shares are, too.
///
/// # Safety
/// Everything lies where `prompt` says, and the panels fit.
#[inline(always)]
unsafe fn pack_values<S: Step<Element = bf16>, const COLUMNS: usize>(prompt: &Prompt, to: *mut S::Word) {
    let positions = padded(prompt.context);
    // SAFETY: the caller's.
    unsafe {
        for first in (0..DIM).step_by(COLUMNS) {
            let panel = to.add(first * positions / S::GROUP);
            for position in (0..positions).step_by(S::GROUP) {
                for column in 0..COLUMNS {
                    let mut group = [bf16::ZERO; 4];
                    for (within, element) in group.iter_mut().enumerate().take(S::GROUP) {
                        if position + within < prompt.context {
                            *element = prompt.values.add((position + within) * DIM + first + column).read();
                        }
                    }
                    panel.add(position / S::GROUP * COLUMNS + column).write(S::weight(group.as_ptr()));
                }
            }
        }
    }
}

/// One row of a block: scores become shares of the results, relative to the largest score so far, which is given back with the shares' sum.
/// Scores from `seen` on are of later tokens, and their shares are 0.
///
/// # Safety
/// The vector's instruction set is available; `keys` scores can be read and as many shares be written.
#[inline(always)]
unsafe fn softmax<V: Vector>(scores: *mut f32, shares: *mut bf16, seen: usize, keys: usize, old: f32) -> (f32, f32) {
    // SAFETY: the caller's; `keys` is a multiple of 16, and so of every vector.
    unsafe {
        for later in seen..keys {
            scores.add(later).write(f32::NEG_INFINITY);
        }
        let mut most = V::splat(old);
        for at in (0..keys).step_by(V::WIDTH) {
            most = most.max(V::load_unaligned(scores.add(at)));
        }
        let new = most.largest();
        let scale = V::splat(1.0 / (DIM as f32).sqrt());
        let mut sum = V::splat(0.0);
        let mut at = 0;
        while at < seen {
            let share = exp(V::load_unaligned(scores.add(at)).sub(V::splat(new)).mul(scale));
            sum = sum.add(share);
            share.to_bf16(shares.add(at).cast());
            at += V::WIDTH;
        }
        let mut total = sum.sum();
        if at > seen {
            // The last vector reached into later tokens, whose shares are as small as exponentials get here, but not 0.
            for later in seen..at {
                total -= shares.add(later).read().to_f32();
            }
        }
        for later in seen..keys {
            shares.add(later).write(bf16::ZERO);
        }
        (new, total)
    }
}

/// What results so far are scaled by when the largest score grows.
///
/// # Safety
/// The vector's instruction set is available.
#[inline(always)]
unsafe fn factor<V: Vector>(old: f32, new: f32) -> f32 {
    if old == f32::NEG_INFINITY {
        return 0.0;
    }
    let mut factor = [0.0_f32; 16];
    // SAFETY: the caller's; 16 elements hold every vector.
    unsafe { exp(V::splat((old - new) / (DIM as f32).sqrt())).store_unaligned(factor.as_mut_ptr()) };
    factor[0]
}

/// One way to do it.
pub(in super::super) struct Engine {
    pub(in super::super) name: &'static str,
    pub(in super::super) available: fn() -> bool,
    pub(in super::super) attend: unsafe fn(&Prompt),
}

const QUERIES: Seed = Seed(970);
const KEYS: Seed = Seed(971);
const VALUES: Seed = Seed(972);
/// Of the results, the rows of each so many are computed anew.
const EVERY: usize = 37;

/// Prefill attention on its lanes' memory: queries, keys, values, results, scratch.
pub(in crate::backend::cpu) struct Prefill {
    context: usize,
    lanes: Lanes,
    engines: Vec<&'static Engine>,
    names: Vec<String>,
}

impl Prefill {
    /// Bytes a lane needs.
    pub(in crate::backend::cpu) fn bytes(_: DType, context: u64) -> u64 {
        (Self::offsets(context as usize)[4] + Room::of(context as usize).end) as u64
    }

    /// Where queries, keys, values, results and scratch begin.
    fn offsets(context: usize) -> [usize; 5] {
        let head = context * DIM;
        let keys = 2 * GROUP * head + STAGGER;
        let values = keys + 2 * head + STAGGER;
        let results = values + 2 * head + STAGGER;
        [0, keys, values, results, results + 4 * GROUP * head + STAGGER]
    }

    pub(in crate::backend::cpu) fn new(kv: DType, context: u64, lanes: Lanes) -> Result<Self, BackendError> {
        if kv != DType::Bf16 {
            return Err(BackendError::no_kernel(format!("there is no kernel for prompts in {kv}")));
        }
        if context == 0 || !context.is_multiple_of(64) {
            return Err(BackendError::unsupported(format!("{context} tokens are no multiple of 64")));
        }
        let engines = super::super::gemm::prefill_engines();
        let names = engines.iter().map(|engine| engine.name.to_owned()).collect();
        Ok(Self { context: context as usize, lanes, engines, names })
    }

    fn prompt(&self, lane: usize) -> Prompt {
        let [queries, keys, values, results, scratch] = Self::offsets(self.context);
        let start = self.lanes.start(lane);
        // SAFETY: everything lies within the lane's memory.
        unsafe {
            Prompt {
                queries: start.add(queries).cast(),
                keys: start.add(keys).cast(),
                values: start.add(values).cast(),
                results: start.add(results).cast(),
                scratch: start.add(scratch),
                context: self.context,
            }
        }
    }

    fn attend(&self, variant: usize, lane: usize) {
        // SAFETY: the engine is available on this machine, and the prompt lies within its lane's memory.
        unsafe { (self.engines[variant].attend)(&self.prompt(lane)) }
    }
}

impl Program for Prefill {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn fill(&self, lane: usize) {
        let prompt = self.prompt(lane);
        let arrays = [(prompt.queries, GROUP, QUERIES), (prompt.keys, 1, KEYS), (prompt.values, 1, VALUES)];
        for (array, heads, seed) in arrays {
            for index in 0..heads * self.context * DIM {
                // SAFETY: the arrays lie within the lane's memory, which nobody else uses.
                unsafe { array.cast_mut().add(index).write(bf16::random(seed, index as u32)) };
            }
        }
    }

    fn run(&self, variant: usize, lane: usize, iterations: u64) {
        (0..iterations).for_each(|_| self.attend(variant, lane));
    }

    fn verify(&self, variant: usize, lane: usize) -> Result<(), String> {
        let (prompt, context) = (self.prompt(lane), self.context);
        // SAFETY: the arrays lie within the lane's memory; the results are only read once the kernel is done.
        let (queries, keys, values) = unsafe {
            std::slice::from_raw_parts_mut(prompt.results, GROUP * context * DIM).fill(f32::NAN);
            self.attend(variant, lane);
            (
                std::slice::from_raw_parts(prompt.queries, GROUP * context * DIM),
                std::slice::from_raw_parts(prompt.keys, context * DIM),
                std::slice::from_raw_parts(prompt.values, context * DIM),
            )
        };
        // SAFETY: as above.
        let results = unsafe { std::slice::from_raw_parts(prompt.results, GROUP * context * DIM) };
        if let Some(at) = results.iter().position(|&result| !near(f64::from(result), 0.0, 1.01)) {
            return Err(format!("element {at} is {}, which is no mean of numbers between -1 and 1", results[at]));
        }
        for row in (0..GROUP * context).step_by(EVERY).chain([GROUP * context - 1]) {
            let seen = row % context + 1;
            let query = &queries[row * DIM..][..DIM];
            let scores: Vec<f64> = keys.chunks_exact(DIM).take(seen).map(|key| dot(key, query)).collect();
            let (weights, sum) = weights(scores.iter().copied());
            let mut expected = vec![0.0; DIM];
            for (weight, value) in weights.iter().zip(values.chunks_exact(DIM)) {
                for (expected, value) in expected.iter_mut().zip(value) {
                    *expected += weight / sum * value.value();
                }
            }
            for (index, expected) in expected.into_iter().enumerate() {
                let found = f64::from(results[row * DIM + index]);
                // Shares are rounded to bfloat16 on their way, in random directions; the fewer there are, the more it shows.
                if !near(found, expected, 2.0 * bf16::ROUNDING / (seen as f64).sqrt() + 1e-5) {
                    return Err(format!("row {row}, element {index} is {found}, the reference says {expected}"));
                }
            }
        }
        Ok(())
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::arena::Arena;

    #[test]
    fn every_engine_of_this_machine_is_right() {
        let mut arena = Arena::default();
        for context in [64, 320, 576] {
            let lanes = arena.lanes(2, Prefill::bytes(DType::Bf16, context)).unwrap();
            let mut prefill = Prefill::new(DType::Bf16, context, lanes).unwrap();
            prefill.engines = super::super::super::gemm::every_prefill_engine();
            prefill.names = prefill.engines.iter().map(|engine| engine.name.to_owned()).collect();
            (0..2).for_each(|lane| prefill.fill(lane));
            for (variant, engine) in prefill.engines.iter().enumerate() {
                for lane in 0..2 {
                    prefill
                        .verify(variant, lane)
                        .unwrap_or_else(|error| panic!("{} at {context}: {error}", engine.name));
                }
            }
        }
    }

    #[test]
    fn a_later_token_that_leaks_in_is_found() {
        let mut arena = Arena::default();
        let lanes = arena.lanes(1, Prefill::bytes(DType::Bf16, 128)).unwrap();
        let prefill = Prefill::new(DType::Bf16, 128, lanes).unwrap();
        prefill.fill(0);
        let prompt = prefill.prompt(0);
        prefill.attend(0, 0);
        // SAFETY: the results lie within the lane's memory.
        let before = unsafe { std::slice::from_raw_parts(prompt.results, 127 * DIM) }.to_vec();
        // The last token changes; no other result may.
        for index in 0..DIM {
            // SAFETY: the last token's keys and values lie within theirs.
            unsafe {
                prompt.keys.cast_mut().add(127 * DIM + index).write(bf16::ONE);
                prompt.values.cast_mut().add(127 * DIM + index).write(bf16::ONE);
            }
        }
        prefill.attend(0, 0);
        // SAFETY: as above.
        let after = unsafe { std::slice::from_raw_parts(prompt.results, 127 * DIM) };
        assert!(before == after);
    }
}
