//! Decode attention: one new token's queries over the keys and values of all tokens before it.
//!
//! Work: 4 · group · dim · context operations; keys and values loaded once. Bound: the bandwidth of the memory that holds the cache. Keys and values
//! are widened to f32 once for all heads of the group.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use half::{bf16, f16};

use super::super::dot::wide::{self, Widen};
use super::super::element::{Element, PERIOD, near};
use super::super::{Program, prefetch_stream};
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

/// Attends to a cache. `AHEAD` asks for the keys and values that come next; past the end of its keys, a block asks for those of the block that follows.
///
/// # Safety
/// The vector's instruction set is available; everything lies where `cache` says.
#[inline(always)]
unsafe fn attend<V: Vector, F: Widen, const SCALED: bool, const AHEAD: bool>(cache: &Cache) {
    /// Vectors of results that are summed at a time, for each head of the group.
    const VECTORS: usize = 4;
    let row = DIM * F::BYTES;
    // SAFETY: the caller's: positions stay below the context, elements below the head's size, both multiples of what they are stepped by.
    unsafe {
        let mut scores = Aligned([[0.0_f32; BLOCK]; GROUP]);
        let (mut largest, mut sums) = ([f32::NEG_INFINITY; GROUP], [0.0_f32; GROUP]);
        for at in (0..GROUP * DIM).step_by(V::WIDTH) {
            V::splat(0.0).store_unaligned(cache.results.add(at));
        }
        for first in (0..cache.context).step_by(BLOCK) {
            for position in 0..BLOCK {
                let key = cache.keys.add((first + position) * row);
                if AHEAD {
                    ask_ahead(key, row);
                }
                let mut products = [V::splat(0.0); GROUP];
                for at in (0..DIM).step_by(V::WIDTH) {
                    let key = F::load::<V>(key.add(at * F::BYTES));
                    for (head, product) in products.iter_mut().enumerate() {
                        *product = key.mul_add(V::load_unaligned(cache.queries.add(head * DIM + at)), *product);
                    }
                }
                let four = V::four_sums(products);
                let scale = if SCALED { cache.scales.add(first + position).read() } else { 1.0 };
                for (head, sum) in four.into_iter().enumerate() {
                    scores.0[head][position] = if SCALED { sum * scale } else { sum };
                }
            }
            for head in 0..GROUP {
                let scores = scores.0[head].as_mut_ptr();
                let mut most = V::load_unaligned(scores);
                for at in (V::WIDTH..BLOCK).step_by(V::WIDTH) {
                    most = most.max(V::load_unaligned(scores.add(at)));
                }
                let new = largest[head].max(most.largest());
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
                if new > largest[head] {
                    let mut factor = Aligned([0.0_f32; 16]);
                    exp(V::splat(largest[head] - new)).store_unaligned(factor.0.as_mut_ptr());
                    let factor = if largest[head] == f32::NEG_INFINITY { 0.0 } else { factor.0[0] };
                    sums[head] *= factor;
                    for at in (0..DIM).step_by(V::WIDTH) {
                        let to = cache.results.add(head * DIM + at);
                        V::load_unaligned(to).mul(V::splat(factor)).store_unaligned(to);
                    }
                    largest[head] = new;
                }
                sums[head] += sum.sum();
            }
            for part in (0..DIM).step_by(VECTORS * V::WIDTH) {
                let mut results = [[V::splat(0.0); VECTORS]; GROUP];
                for (head, results) in results.iter_mut().enumerate() {
                    for (vector, result) in results.iter_mut().enumerate() {
                        *result = V::load_unaligned(cache.results.add(head * DIM + part + vector * V::WIDTH));
                    }
                }
                for position in 0..BLOCK {
                    let value = cache.values.add((first + position) * row + part * F::BYTES);
                    if AHEAD && part == 0 {
                        ask_ahead(value, row);
                    }
                    let mut values = [V::splat(0.0); VECTORS];
                    for (vector, lane) in values.iter_mut().enumerate() {
                        *lane = F::load::<V>(value.add(vector * V::WIDTH * F::BYTES));
                    }
                    for (head, results) in results.iter_mut().enumerate() {
                        let weight = V::splat(scores.0[head][position]);
                        for (result, value) in results.iter_mut().zip(values) {
                            *result = weight.mul_add(value, *result);
                        }
                    }
                }
                for (head, results) in results.into_iter().enumerate() {
                    for (vector, result) in results.into_iter().enumerate() {
                        result.store_unaligned(cache.results.add(head * DIM + part + vector * V::WIDTH));
                    }
                }
            }
        }
        for (head, sum) in sums.into_iter().enumerate() {
            for at in (0..DIM).step_by(V::WIDTH) {
                let to = cache.results.add(head * DIM + at);
                V::load_unaligned(to).div(V::splat(sum)).store_unaligned(to);
            }
        }
    }
}

/// Asks for what comes after a row.
#[inline(always)]
fn ask_ahead(row: *const u8, bytes: usize) {
    for line in (0..bytes).step_by(64) {
        prefetch_stream(row.wrapping_add(line));
    }
}

#[repr(align(64))]
struct Aligned<T>(T);

type Attend = unsafe fn(&Cache);

/// What depends on the format of the cache.
struct Format {
    kv: DType,
    bytes: usize,
    attend: [(&'static str, &'static [Compiled<Attend>]); 2],
    scaled: bool,
    fill: fn(&mut [u8], Seed),
    reference: fn(&Reference<'_>, &[f32]) -> Vec<f64>,
}

/// What a result is recomputed from: the rows that repeat, the first of them, and how many there are.
struct Reference<'a> {
    keys: &'a [u8],
    values: &'a [u8],
    first: usize,
    context: usize,
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

    /// The exact results.
    fn reference(of: &Reference<'_>, queries: &[f32]) -> Vec<f64> {
        let integers = T::DTYPE == DType::Int8;
        let exact = |rows: &[u8], seed: Seed| -> Vec<Vec<f64>> {
            let of_row = |row| {
                let scale = if integers { f64::from(scale(seed, row)) } else { 1.0 };
                Self::row(rows, row).into_iter().map(|element| element.value() * scale).collect()
            };
            (0..PERIOD).map(of_row).collect()
        };
        let (keys, values) = (exact(of.keys, KEYS), exact(of.values, VALUES));
        repeated(of.first, of.context, queries, |row| &keys[row], |row| &values[row])
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
                ("", for_every_isa!(fn(cache: &Cache) { unsafe { attend::<V, $widen, $scaled, false>(cache) } })),
                // SAFETY: as above.
                (", ahead", for_every_isa!(fn(cache: &Cache) { unsafe { attend::<V, $widen, $scaled, true>(cache) } })),
            ],
            scaled: $scaled,
            fill: Of::<$element>::fill,
            reference: Of::<$element>::reference,
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
        let native = |(walk, compiled): &(&str, &'static [Compiled<Attend>])| {
            best(compiled).map(|kernel| (format!("{}{walk}", kernel.isa), kernel.function))
        };
        let (names, kernels) = format.attend.iter().filter_map(native).unzip();
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
            let of = Reference { keys: &self.keys, values: &self.values, first, context: self.context };
            for (at, expected) in (self.format.reference)(&of, &queries).into_iter().enumerate() {
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
                let every_isa = format.attend.iter().flat_map(|(_, compiled)| compiled.iter());
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
