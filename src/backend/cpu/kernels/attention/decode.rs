//! Decode attention: one new token's queries over the keys and values of all tokens before it.
//!
//! Work: 4 · group · dim · context operations; keys and values loaded once. Bound: the bandwidth of the memory that holds the cache. Keys and values
//! are widened to f32 once for all heads of the group.
//!
//! With four heads to a group, bf16, and AVX-512, a core that loads 256 bytes of keys issues 32 multiply-adds, 8 instructions that widen and 12 that add sums up,
//! and 40 for as many bytes of values: 46 cycles of two units for 512 bytes, so that from 11 bytes per cycle on it is these that bound it, and below they hide behind the loads only in part.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use half::{bf16, f16};

use super::super::dot::wide::{self, Widen};
use super::super::element::{Element, PERIOD, near};
use super::super::{Program, prefetch, prefetch_second};
use super::{DIM, GROUP};
use crate::backend::cpu::arena::Lanes;
use crate::backend::cpu::isa::{Compiled, Vector, best, exp, for_every_isa};
use crate::backend::reference::attention::{KEYS, QUERIES, VALUES, repeated, scale};
use crate::backend::{BackendError, CycleLimit};
use crate::data::Seed;
use crate::dtype::DType;
use crate::workload::cache_bytes;

/// Positions whose scores are kept at a time; contexts come in multiples of it.
const BLOCK: usize = 64;
/// Bytes of a cache line.
const LINE: usize = 64;

/// One head's cache with its queries.
#[derive(Clone, Copy)]
struct Cache {
    keys: *const u8,
    values: *const u8,
    /// Scales of keys, then of values, one for each token; for integers only.
    scales: *const f32,
    context: usize,
    /// The group's queries, already divided by √dim.
    queries: *const f32,
    results: *mut f32,
}

/// Values of a group of heads, one row for each.
type Heads<const LENGTH: usize> = Aligned<[[f32; LENGTH]; GROUP]>;

/// The softmax so far: the largest score of each head, and the sum of its exponentials.
struct Running {
    largest: [f32; GROUP],
    sums: [f32; GROUP],
}

/// Attends to a cache. `FAR` and `NEAR` are the bytes that it asks ahead for, into the second-level cache and into the first; past the end of its keys, a block
/// asks for those of the block that follows.
///
/// # Safety
/// The vector's instruction set is available; everything lies where `cache` says.
#[inline(always)]
unsafe fn attend<V: Vector, F: Widen, const SCALED: bool, const FAR: usize, const NEAR: usize>(cache: &Cache) {
    // SAFETY: the caller's: positions stay below the context, elements below the head's size, both multiples of what they are stepped by.
    unsafe {
        let mut queries = Aligned([[0.0; DIM]; GROUP]);
        let mut results = Aligned([[0.0; DIM]; GROUP]);
        let mut scores = Aligned([[0.0; BLOCK]; GROUP]);
        let mut running = Running { largest: [f32::NEG_INFINITY; GROUP], sums: [0.0; GROUP] };
        for (head, queries) in queries.0.iter_mut().enumerate() {
            for (at, query) in queries.iter_mut().enumerate() {
                *query = cache.queries.add(head * DIM + F::element::<V>(at)).read();
            }
        }
        for first in (0..cache.context).step_by(BLOCK) {
            if V::REGISTERS >= 32 {
                score::<V, F, SCALED, FAR, NEAR, 4>(cache, first, &queries, &mut scores);
            } else {
                score::<V, F, SCALED, FAR, NEAR, 2>(cache, first, &queries, &mut scores);
            }
            soften::<V, SCALED>(cache, first, &mut running, &mut scores, &mut results);
            if V::REGISTERS >= 32 {
                weigh::<V, F, FAR, NEAR, 4>(cache, first, &scores, &mut results);
            } else {
                weigh::<V, F, FAR, NEAR, 2>(cache, first, &scores, &mut results);
            }
        }
        for (head, results) in results.0.iter().enumerate() {
            let share = 1.0 / running.sums[head];
            for (at, result) in results.iter().enumerate() {
                cache.results.add(head * DIM + F::element::<V>(at)).write(result * share);
            }
        }
    }
}

/// Scores of a block: its keys times the queries, `POSITIONS` at a time, so that a query that was loaded serves them all.
///
/// # Safety
/// As for [`attend`]; the block lies within the context.
#[inline(always)]
unsafe fn score<
    V: Vector,
    F: Widen,
    const SCALED: bool,
    const FAR: usize,
    const NEAR: usize,
    const POSITIONS: usize,
>(
    cache: &Cache,
    first: usize,
    queries: &Heads<DIM>,
    scores: &mut Heads<BLOCK>,
) {
    let row = DIM * F::BYTES;
    // SAFETY: the caller's.
    unsafe {
        for position in (0..BLOCK).step_by(POSITIONS) {
            let key = cache.keys.add((first + position) * row);
            let mut products = [[V::splat(0.0); POSITIONS]; GROUP];
            for at in (0..DIM).step_by(2 * V::WIDTH) {
                let mut keys = [[V::splat(0.0); 2]; POSITIONS];
                for (index, keys) in keys.iter_mut().enumerate() {
                    let from = key.add(index * row + at * F::BYTES);
                    if (at * F::BYTES).is_multiple_of(LINE) {
                        ask_ahead::<FAR, NEAR>(from, LINE);
                    }
                    *keys = F::load_two(from);
                }
                for (queries, products) in queries.0.iter().zip(&mut products) {
                    for half in 0..2 {
                        let query = V::load_unaligned(queries.as_ptr().add(at + half * V::WIDTH));
                        for (product, key) in products.iter_mut().zip(keys) {
                            *product = key[half].mul_add(query, *product);
                        }
                    }
                }
            }
            for (products, scores) in products.into_iter().zip(&mut scores.0) {
                let to = &mut scores[position..position + POSITIONS];
                V::sums(products, to);
                if SCALED {
                    for (index, score) in to.iter_mut().enumerate() {
                        *score *= cache.scales.add(first + position + index).read();
                    }
                }
            }
        }
    }
}

/// Makes a block's scores weights of the softmax so far, and results so far of the same measure.
///
/// # Safety
/// As for [`score`].
#[inline(always)]
unsafe fn soften<V: Vector, const SCALED: bool>(
    cache: &Cache,
    first: usize,
    running: &mut Running,
    scores: &mut Heads<BLOCK>,
    results: &mut Heads<DIM>,
) {
    // SAFETY: the caller's.
    unsafe {
        for (head, scores) in scores.0.iter_mut().enumerate() {
            let scores = scores.as_mut_ptr();
            let mut most = V::load_unaligned(scores);
            for at in (V::WIDTH..BLOCK).step_by(V::WIDTH) {
                most = most.max(V::load_unaligned(scores.add(at)));
            }
            let largest = running.largest[head];
            let new = largest.max(most.largest());
            let mut sum = V::splat(0.0);
            for at in (0..BLOCK).step_by(V::WIDTH) {
                let weight = exp(V::load_unaligned(scores.add(at)).sub(V::splat(new)));
                sum = sum.add(weight);
                if SCALED {
                    let scale = V::load_unaligned(cache.scales.add(cache.context + first + at));
                    weight.mul(scale).store_unaligned(scores.add(at));
                } else {
                    weight.store_unaligned(scores.add(at));
                }
            }
            if new > largest {
                // The first block comes with nothing to bring along: e⁻⁸⁷ times zero.
                let factor = exp(V::splat(largest.max(f32::MIN) - new)).largest();
                running.sums[head] *= factor;
                for at in (0..DIM).step_by(V::WIDTH) {
                    let to = results.0[head].as_mut_ptr().add(at);
                    V::load_unaligned(to).mul(V::splat(factor)).store_unaligned(to);
                }
                running.largest[head] = new;
            }
            running.sums[head] += sum.sum();
        }
    }
}

/// Adds a block's values, by their weights, to the results: `VECTORS` vectors of each head at a time.
///
/// # Safety
/// As for [`score`].
#[inline(always)]
unsafe fn weigh<V: Vector, F: Widen, const FAR: usize, const NEAR: usize, const VECTORS: usize>(
    cache: &Cache,
    first: usize,
    weights: &Heads<BLOCK>,
    results: &mut Heads<DIM>,
) {
    let row = DIM * F::BYTES;
    // SAFETY: the caller's.
    unsafe {
        for part in (0..DIM).step_by(VECTORS * V::WIDTH) {
            let mut sums = [[V::splat(0.0); VECTORS]; GROUP];
            for (sums, results) in sums.iter_mut().zip(&results.0) {
                for (vector, sum) in sums.iter_mut().enumerate() {
                    *sum = V::load_unaligned(results.as_ptr().add(part + vector * V::WIDTH));
                }
            }
            for position in 0..BLOCK {
                let value = cache.values.add((first + position) * row + part * F::BYTES);
                if part == 0 {
                    ask_ahead::<FAR, NEAR>(value, row);
                }
                let mut values = [V::splat(0.0); VECTORS];
                for (pair, values) in values.chunks_exact_mut(2).enumerate() {
                    values.copy_from_slice(&F::load_two::<V>(value.add(2 * pair * V::WIDTH * F::BYTES)));
                }
                for (sums, weights) in sums.iter_mut().zip(&weights.0) {
                    let weight = V::splat(weights[position]);
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = weight.mul_add(value, *sum);
                    }
                }
            }
            for (sums, results) in sums.into_iter().zip(&mut results.0) {
                for (vector, sum) in sums.into_iter().enumerate() {
                    sum.store_unaligned(results.as_mut_ptr().add(part + vector * V::WIDTH));
                }
            }
        }
    }
}

/// Asks for what comes after some bytes.
#[inline(always)]
fn ask_ahead<const FAR: usize, const NEAR: usize>(from: *const u8, bytes: usize) {
    if FAR > 0 {
        for line in (0..bytes).step_by(LINE) {
            prefetch_second(from.wrapping_add(FAR + line));
            prefetch(from.wrapping_add(NEAR + line));
        }
    }
}

#[repr(align(64))]
struct Aligned<T>(T);

type Attend = unsafe fn(&Cache);

/// How far a kernel asks ahead, as its name says it.
const WALKS: [&str; 3] = ["", ", ahead", ", far ahead"];

/// What depends on the format of the cache.
struct Format {
    kv: DType,
    bytes: usize,
    /// One for each of [`WALKS`].
    attend: [&'static [Compiled<Attend>]; WALKS.len()],
    scaled: bool,
    fill: fn(&mut [u8], Seed),
    /// The exact elements of the rows that repeat, scaled as the seed has it.
    exact: fn(&[u8], Seed) -> Vec<Vec<f64>>,
}

struct Of<T>(PhantomData<T>);

impl<T: Element> Of<T> {
    fn fill(rows: &mut [u8], seed: Seed) {
        for index in 0..rows.len() / size_of::<T>() {
            // SAFETY: the element lies within the rows; they need not be aligned.
            unsafe { rows.as_mut_ptr().cast::<T>().add(index).write_unaligned(T::random(seed, index as u32)) };
        }
    }

    fn row(rows: &[u8], row: usize) -> Vec<T> {
        let bytes = &rows[row * DIM * size_of::<T>()..][..DIM * size_of::<T>()];
        // SAFETY: the elements lie within the row; they need not be aligned.
        (0..DIM).map(|index| unsafe { bytes.as_ptr().cast::<T>().add(index).read_unaligned() }).collect()
    }

    fn exact(rows: &[u8], seed: Seed) -> Vec<Vec<f64>> {
        let integers = T::DTYPE == DType::Int8;
        let of_row = |row| {
            let scale = if integers { f64::from(scale(seed, row)) } else { 1.0 };
            Self::row(rows, row).into_iter().map(|element| element.value() * scale).collect()
        };
        (0..PERIOD).map(of_row).collect()
    }
}

macro_rules! cache_format {
    ($element:ty, $widen:ty, $scaled:literal) => {
        Format {
            kv: <$element as Element>::DTYPE,
            bytes: size_of::<$element>(),
            attend: [
                // SAFETY, of all: the caller's; the kernel is compiled for the instruction set of `V`.
                // SAFETY: as above.
                for_every_isa!(fn(cache: &Cache) { unsafe { attend::<V, $widen, $scaled, 0, 0>(cache) } }),
                // SAFETY: as above.
                for_every_isa!(fn(cache: &Cache) { unsafe { attend::<V, $widen, $scaled, 4096, 1024>(cache) } }),
                // SAFETY: as above.
                for_every_isa!(fn(cache: &Cache) { unsafe { attend::<V, $widen, $scaled, 16_384, 2048>(cache) } }),
            ],
            scaled: $scaled,
            fill: Of::<$element>::fill,
            exact: Of::<$element>::exact,
        }
    };
}

static FORMATS: [Format; 3] =
    [cache_format!(bf16, wide::Bf16, false), cache_format!(f16, wide::F16, false), cache_format!(i8, wide::Int8, true)];

/// Decode attention over its lanes' caches; behind them lie the queries and the results.
pub(in crate::backend::cpu) struct Decode {
    format: &'static Format,
    context: usize,
    caches: usize,
    lanes: Lanes,
    kernels: Vec<Attend>,
    names: Vec<String>,
    /// The rows that keys and values repeat.
    keys: Vec<u8>,
    values: Vec<u8>,
    /// The cache each lane comes to next.
    next: Vec<AtomicU64>,
}

impl Decode {
    /// Bytes a lane needs.
    pub(in crate::backend::cpu) fn bytes(kv: DType, context: u64, caches: u64) -> u64 {
        cache_bytes(kv, context) * caches + 2 * 4 * (GROUP * DIM) as u64 + 2 * 1024
    }

    pub(in crate::backend::cpu) fn new(
        kv: DType,
        context: u64,
        caches: u64,
        lanes: Lanes,
    ) -> Result<Self, BackendError> {
        let Some(format) = FORMATS.iter().find(|format| format.kv == kv) else {
            return Err(BackendError::no_kernel(format!("there is no kernel for a cache of {kv}")));
        };
        if context == 0 || caches == 0 || !context.is_multiple_of(BLOCK as u64) {
            return Err(BackendError::unsupported(format!("{context} tokens are no multiple of {BLOCK}")));
        }
        let native = |(walk, compiled): (&str, &'static [Compiled<Attend>])| {
            best(compiled).map(|kernel| (format!("{}{walk}", kernel.isa), kernel.function))
        };
        let (names, kernels) = WALKS.into_iter().zip(format.attend).filter_map(native).unzip();
        let rows = |seed: Seed| {
            let mut rows = vec![0; PERIOD * DIM * format.bytes];
            (format.fill)(&mut rows, seed);
            rows
        };
        Ok(Self {
            format,
            context: context as usize,
            caches: caches as usize,
            next: (0..lanes.count()).map(|_| AtomicU64::new(0)).collect(),
            lanes,
            kernels,
            names,
            keys: rows(KEYS),
            values: rows(VALUES),
        })
    }

    fn cache(&self, lane: usize, cache: usize) -> Cache {
        let start = self.lanes.start(lane);
        let half = self.context * DIM * self.format.bytes;
        let bytes = cache_bytes(self.format.kv, self.context as u64) as usize;
        // SAFETY: caches, queries and results lie within the lane's memory.
        unsafe {
            let keys = start.add(cache * bytes);
            let queries = start.add(self.caches * bytes).cast::<f32>();
            Cache {
                keys,
                values: keys.add(half),
                scales: keys.add(2 * half).cast(),
                context: self.context,
                queries,
                results: queries.add(GROUP * DIM + 256),
            }
        }
    }

    fn attend(&self, variant: usize, cache: &Cache) {
        // SAFETY: the kernel is available on this machine, and the cache lies within its lane's memory.
        unsafe { (self.kernels[variant])(cache) }
    }
}

impl Program for Decode {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn fill(&self, lane: usize) {
        let row = DIM * self.format.bytes;
        for index in 0..self.caches {
            let cache = self.cache(lane, index);
            for position in 0..self.context {
                let source = (index * self.context + position) % PERIOD;
                // SAFETY: the position lies within the cache, which nobody else uses.
                unsafe {
                    for (to, rows) in [(cache.keys, &self.keys), (cache.values, &self.values)] {
                        let to = to.add(position * row).cast_mut();
                        std::ptr::copy_nonoverlapping(rows.as_ptr().add(source * row), to, row);
                    }
                    if self.format.scaled {
                        let scales = cache.scales.cast_mut();
                        scales.add(position).write(scale(KEYS, source));
                        scales.add(self.context + position).write(scale(VALUES, source));
                    }
                }
            }
        }
        let queries = self.cache(lane, 0).queries.cast_mut();
        for index in 0..GROUP * DIM {
            let query = f32::random(QUERIES, index as u32) / (DIM as f32).sqrt();
            // SAFETY: the queries lie within the lane's memory.
            unsafe { queries.add(index).write(query) };
        }
    }

    fn run(&self, variant: usize, lane: usize, iterations: u64) {
        let first = self.next[lane].load(Ordering::Relaxed);
        for iteration in 0..iterations {
            self.attend(variant, &self.cache(lane, ((first + iteration) % self.caches as u64) as usize));
        }
        self.next[lane].store((first + iterations) % self.caches as u64, Ordering::Relaxed);
    }

    /// Caches that begin with the same row are equal, and so must their results be.
    fn verify(&self, variant: usize, lane: usize) -> Result<(), String> {
        let queries: Vec<f32> =
            (0..GROUP * DIM).map(|index| f32::random(QUERIES, index as u32) / (DIM as f32).sqrt()).collect();
        let (keys, values) = ((self.format.exact)(&self.keys, KEYS), (self.format.exact)(&self.values, VALUES));
        let mut known: Vec<Option<Vec<f32>>> = vec![None; PERIOD];
        for index in 0..self.caches {
            let cache = self.cache(lane, index);
            // SAFETY: the results lie within the lane's memory, which nobody else uses.
            let results = unsafe { std::slice::from_raw_parts_mut(cache.results, GROUP * DIM) };
            results.fill(f32::NAN);
            self.attend(variant, &cache);
            let first = index * self.context % PERIOD;
            if let Some(known) = &known[first] {
                if known != results {
                    return Err(format!("cache {index} gives another result than one of the same content"));
                }
                continue;
            }
            let expected = repeated(first, self.context, &queries, |row| &keys[row], |row| &values[row]);
            for (at, expected) in expected.into_iter().enumerate() {
                let found = f64::from(results[at]);
                // Results are means of numbers below 1.
                if !near(found, expected, 1e-5) {
                    return Err(format!("cache {index}, element {at} is {found}, the reference says {expected}"));
                }
            }
            known[first] = Some(results.to_vec());
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
    fn every_format_is_right_on_every_instruction_set() {
        let mut arena = Arena::default();
        for format in &FORMATS {
            for context in [64, 192, 1088] {
                let lanes = arena.lanes(2, Decode::bytes(format.kv, context, 3)).unwrap();
                let mut decode = Decode::new(format.kv, context, 3, lanes).unwrap();
                (0..2).for_each(|lane| decode.fill(lane));
                let every_isa = format.attend.into_iter().flatten();
                for compiled in every_isa.filter(|compiled| (compiled.available)()) {
                    decode.kernels = vec![compiled.function];
                    for lane in 0..2 {
                        let result = decode.verify(0, lane);
                        result.unwrap_or_else(|error| panic!("{} {}: {error}", format.kv, compiled.isa));
                    }
                }
            }
        }
    }

    #[test]
    fn exchanged_values_are_found() {
        let mut arena = Arena::default();
        let lanes = arena.lanes(1, Decode::bytes(DType::Bf16, 128, 1)).unwrap();
        let decode = Decode::new(DType::Bf16, 128, 1, lanes).unwrap();
        decode.fill(0);
        let values = decode.cache(0, 0).values.cast_mut();
        // SAFETY: the first position's values lie within the cache.
        unsafe { std::ptr::swap_nonoverlapping(values, values.add(256), 64) };
        assert!(decode.verify(0, 0).is_err());
    }
}
