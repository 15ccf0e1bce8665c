//! Streaming kernels: read, write, copy, scale, add, triad over private `f32` arrays, with plain or non-temporal stores.
//!
//! Work per element: 4 bytes for each array touched; 0 to 2 FLOPs. Bound: the bandwidth of the level that holds the arrays.
//! Multiply and add are separate instructions, so that results are bit-identical to the reference on every machine; no level is
//! fast enough for that to matter.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::backend::cpu::arena::Lanes;
use crate::backend::cpu::isa::{Vector, portable::Portable};
use crate::backend::cpu::kernels::{Program, prefetch, prefetch_stream};
use crate::backend::cpu::microarch::Microarchitecture;
use crate::backend::reference::stream::{self as reference, FACTOR, expected};
use crate::backend::{BackendError, CycleLimit};
use crate::data::Seed;
use crate::resource::{Access, Stores, StreamOp};

/// How a pass walks its arrays: at how many places at once (some memory controllers and prefetchers prefer several), by how many vectors at
/// each place per turn of the loop, and what it asks for ahead.
const WALKS: [(usize, usize, Ahead); 6] = [
    (1, 16, Ahead::Nothing),
    (2, 8, Ahead::Nothing),
    (4, 4, Ahead::Nothing),
    (2, 2, Ahead::Nothing),
    (1, 2, Ahead::Near),
    (4, 2, Ahead::Staged),
];

/// What a walk asks for before it needs it.
#[derive(Clone, Copy)]
enum Ahead {
    /// That is left to the hardware.
    Nothing,
    /// What comes [`NEAR`] bytes later, into the first-level cache.
    Near,
    /// What [`prefetch_stream`] asks for.
    Staged,
}

/// Bytes.
const NEAR: usize = 2048;

impl Ahead {
    #[inline(always)]
    fn ask(self, at: *const f32) {
        match self {
            Self::Nothing => {}
            Self::Near => prefetch(at.wrapping_byte_add(NEAR)),
            Self::Staged => prefetch_stream(at),
        }
    }
}

/// Parts by which each place of a walk lags behind the one before it. Without it places are a power of two apart, where memory keeps them in the
/// same bank: two places 256 MiB apart read at 24 GB/s where 33 were to be had.
const LAG: usize = 5;

/// Bytes between arrays beyond their length, so that they do not compete for the same cache sets and store-buffer entries.
const STAGGER: usize = 768;

/// One lane's arrays, and which of some equal parts of them a pass goes over. Every part takes its share at each of the walk's places, so
/// that these lie far apart however small the parts are: two places 64 MiB apart read 7 % faster than two places 1 MiB apart.
#[derive(Clone, Copy)]
struct Arrays {
    first: *mut f32,
    second: *mut f32,
    output: *mut f32,
    elements: usize,
    part: usize,
    parts: usize,
}

/// Some passes over a part of the arrays; non-temporal stores are not fenced. Gives the checksum of all that was read, for [`StreamOp::Read`].
type Passes = unsafe fn(&Arrays, u64) -> u32;

/// The loop: `OP` says what is done, `NT` selects non-temporal stores, `WALK` is the index of one of the [`WALKS`].
///
/// # Safety
/// The vector's instruction set is available; the arrays hold `elements` values, a multiple of 256 times `parts`, aligned to 64 bytes, and
/// `part` is below `parts`.
#[inline(always)]
unsafe fn passes<V: Vector, const OP: u8, const NT: bool, const WALK: usize>(arrays: &Arrays, passes: u64) -> u32 {
    let (streams, per_stream, ahead) = const { WALKS[WALK] };
    const READ: u8 = StreamOp::Read as u8;
    const WRITE: u8 = StreamOp::Write as u8;
    const COPY: u8 = StreamOp::Copy as u8;
    const SCALE: u8 = StreamOp::Scale as u8;
    const ADD: u8 = StreamOp::Add as u8;
    let &Arrays { first, second, output, elements, part, parts } = arrays;
    let (distance, length) = (elements / streams, elements / streams / parts);
    // SAFETY: `at` stays below `elements` and is a multiple of the vector's width; the rest is the caller's.
    unsafe {
        let factor = V::splat(FACTOR);
        let mut sums = [V::splat(0.0); 8];
        let mut begin = [0; 4];
        for (stream, begin) in begin.iter_mut().enumerate().take(streams) {
            *begin = stream * distance + (part + stream * LAG) % parts * length;
        }
        for _ in 0..passes {
            // Touches all memory as far as the compiler knows, so that it cannot merge passes; it emits nothing.
            std::arch::asm!("", options(nostack, preserves_flags));
            let mut start = 0;
            while start < length {
                for stream in 0..streams {
                    for vector in 0..per_stream {
                        let at = begin[stream] + start + vector * V::WIDTH;
                        if OP != WRITE {
                            ahead.ask(first.wrapping_add(at));
                            if OP >= ADD {
                                ahead.ask(second.wrapping_add(at));
                            }
                        }
                        if OP == READ {
                            let sum = &mut sums[(stream * per_stream + vector) % 8];
                            *sum = sum.add_bits(V::load(first.add(at)));
                            continue;
                        }
                        let value = match OP {
                            WRITE => factor,
                            COPY => V::load(first.add(at)),
                            SCALE => V::load(first.add(at)).mul(factor),
                            ADD => V::load(first.add(at)).add(V::load(second.add(at))),
                            _ => V::load(first.add(at)).mul(factor).add(V::load(second.add(at))),
                        };
                        if NT {
                            value.store_non_temporal(output.add(at));
                        } else {
                            value.store(output.add(at));
                        }
                    }
                }
                start += per_stream * V::WIDTH;
            }
        }
        if OP != READ {
            return 0;
        }
        let mut total = sums[0];
        for &sum in &sums[1..] {
            total = total.add_bits(sum);
        }
        let mut lanes = Aligned([0.0; 16]);
        total.store(lanes.0.as_mut_ptr());
        lanes.0.iter().fold(0, |sum, lane| sum.wrapping_add(lane.to_bits()))
    }
}

#[repr(align(64))]
struct Aligned([f32; 16]);

/// Fills an array with a value no kernel produces.
#[inline(always)]
fn poison(array: &mut [f32]) {
    array.fill(f32::NAN);
}

/// The kernels of one instruction set, and its data routines compiled for it.
struct Kernels {
    isa: &'static str,
    non_temporal: bool,
    select: fn(Access, usize) -> Option<Passes>,
    /// Orders non-temporal stores before what follows; comes after the last pass.
    fence: unsafe fn(),
    fill: unsafe fn(&mut [f32], Seed),
    poison: unsafe fn(&mut [f32]),
    first_difference: unsafe fn(StreamOp, &[f32], [Seed; 2]) -> Option<usize>,
    checksum: unsafe fn(usize, Seed) -> u32,
}

macro_rules! kernels {
    ($module:ident, $isa:literal, $vector:ty, non_temporal: $nt:literal, $(#[$feature:meta])*) => {
        mod $module {
            use super::*;

            pub(super) static KERNELS: Kernels =
                Kernels { isa: $isa, non_temporal: $nt, select, fence, fill, poison, first_difference, checksum };

            $(#[$feature])*
            unsafe fn run<const OP: u8, const NT: bool, const WALK: usize>(arrays: &Arrays, count: u64) -> u32 {
                // SAFETY: the caller's; this function has the instruction set enabled.
                unsafe { passes::<$vector, OP, NT, WALK>(arrays, count) }
            }

            fn select(access: Access, walk: usize) -> Option<Passes> {
                macro_rules! choose {
                    ($walk:literal: $op_:ident) => {
                        match access.stores {
                            Stores::Plain => run::<{ StreamOp::$op_ as u8 }, false, $walk>,
                            Stores::NonTemporal => run::<{ StreamOp::$op_ as u8 }, true, $walk>,
                        }
                    };
                    ($walk:literal) => {
                        match access.op {
                            StreamOp::Read => choose!($walk: Read) as Passes,
                            StreamOp::Write => choose!($walk: Write),
                            StreamOp::Copy => choose!($walk: Copy),
                            StreamOp::Scale => choose!($walk: Scale),
                            StreamOp::Add => choose!($walk: Add),
                            StreamOp::Triad => choose!($walk: Triad),
                        }
                    };
                }
                match walk {
                    0 => Some(choose!(0)),
                    1 => Some(choose!(1)),
                    2 => Some(choose!(2)),
                    3 => Some(choose!(3)),
                    4 => Some(choose!(4)),
                    5 => Some(choose!(5)),
                    _ => None,
                }
            }

            $(#[$feature])*
            fn fence() {
                // SAFETY: this function has the instruction set enabled.
                unsafe { <$vector as Vector>::fence() }
            }

            $(#[$feature])*
            fn fill(array: &mut [f32], seed: Seed) {
                reference::fill(0, array, seed);
            }

            $(#[$feature])*
            fn poison(array: &mut [f32]) {
                super::poison(array);
            }

            $(#[$feature])*
            fn first_difference(op: StreamOp, output: &[f32], seeds: [Seed; 2]) -> Option<usize> {
                reference::first_difference(op, 0, output, seeds)
            }

            $(#[$feature])*
            fn checksum(elements: usize, seed: Seed) -> u32 {
                reference::checksum(elements, seed)
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernels!(avx512, "avx512", crate::backend::cpu::isa::avx512::Avx512, non_temporal: true, #[target_feature(enable = "avx512f")]);
#[cfg(target_arch = "x86_64")]
kernels!(avx2, "avx2", crate::backend::cpu::isa::avx2::Avx2, non_temporal: true, #[target_feature(enable = "avx2")]);
#[cfg(target_arch = "aarch64")]
kernels!(neon, "neon", crate::backend::cpu::isa::neon::Neon, non_temporal: true, #[target_feature(enable = "neon")]);
kernels!(portable, "portable", Portable, non_temporal: false,);

/// The instruction sets this machine has, widest first.
fn available() -> Vec<&'static Kernels> {
    let mut sets = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            sets.push(&avx512::KERNELS);
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            sets.push(&avx2::KERNELS);
        }
    }
    #[cfg(target_arch = "aarch64")]
    sets.push(&neon::KERNELS);
    sets.push(&portable::KERNELS);
    sets
}

/// A streaming workload on its lanes' memory.
pub(in crate::backend::cpu) struct Stream {
    access: Access,
    elements: usize,
    parts: u64,
    /// The part each lane comes to next.
    next: Vec<AtomicU64>,
    lanes: Lanes,
    kernels: &'static Kernels,
    passes: Vec<Passes>,
    names: Vec<String>,
    limit: Option<CycleLimit>,
}

impl Stream {
    /// Bytes a lane needs.
    pub(in crate::backend::cpu) fn bytes(access: Access, elements: u64) -> u64 {
        access.op.arrays() * (elements * 4 + STAGGER as u64)
    }

    pub(in crate::backend::cpu) fn new(
        access: Access,
        elements: u64,
        parts: u64,
        lanes: Lanes,
        microarchitecture: Option<&'static Microarchitecture>,
    ) -> Result<Self, BackendError> {
        Self::with_kernels(available()[0], access, elements, parts, lanes, microarchitecture)
    }

    fn with_kernels(
        kernels: &'static Kernels,
        access: Access,
        elements: u64,
        parts: u64,
        lanes: Lanes,
        microarchitecture: Option<&'static Microarchitecture>,
    ) -> Result<Self, BackendError> {
        if access.stores == Stores::NonTemporal && !kernels.non_temporal {
            return Err(BackendError::unsupported(
                "the portable kernels have no non-temporal stores; this CPU has neither AVX2 nor NEON",
            ));
        }
        let passes: Vec<Passes> = (0..WALKS.len()).filter_map(|walk| (kernels.select)(access, walk)).collect();
        let name = |(streams, vectors, ahead)| {
            let places = if streams == 1 { "1 stream".to_owned() } else { format!("{streams} streams") };
            let ahead = match ahead {
                Ahead::Nothing => String::new(),
                Ahead::Near => format!(", {} kB ahead", NEAR / 1024),
                Ahead::Staged => ", ahead".to_owned(),
            };
            format!("{}, {places} by {vectors} vectors{ahead}", kernels.isa)
        };
        let names = WALKS.map(name);
        Ok(Self {
            access,
            elements: elements as usize,
            parts,
            next: (0..lanes.count()).map(|_| AtomicU64::new(0)).collect(),
            lanes,
            kernels,
            passes,
            names: names.into(),
            limit: microarchitecture.and_then(|core| core.stream_limit(access.op)),
        })
    }

    fn arrays(&self, lane: usize) -> Arrays {
        let start = self.lanes.start(lane).cast::<f32>();
        let stride = self.elements + STAGGER / 4;
        // Arrays a kernel does not touch take no room, so that the footprint is the workload's.
        let reads = self.access.op.arrays_read() as usize;
        // SAFETY: the lane has room for the arrays that are touched, each with its stagger.
        unsafe {
            Arrays {
                first: start,
                second: start.add(if reads > 1 { stride } else { 0 }),
                output: start.add(if self.access.op.arrays_written() > 0 { reads * stride } else { 0 }),
                elements: self.elements,
                part: 0,
                parts: self.parts as usize,
            }
        }
    }

    fn seeds(lane: usize) -> [Seed; 2] {
        [Seed(2 * lane as u32 + 1), Seed(2 * lane as u32 + 2)]
    }
}

impl Program for Stream {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn fill(&self, lane: usize) {
        let (arrays, seeds) = (self.arrays(lane), Self::seeds(lane));
        let inputs = [arrays.first, arrays.second].into_iter().zip(seeds).take(self.access.op.arrays_read() as usize);
        for (array, seed) in inputs {
            // SAFETY: the array lies in this lane's memory, which nobody else uses; `available` found the instruction set.
            unsafe { (self.kernels.fill)(std::slice::from_raw_parts_mut(array, arrays.elements), seed) }
        }
    }

    fn run(&self, variant: usize, lane: usize, iterations: u64) {
        let (arrays, passes) = (self.arrays(lane), self.passes[variant]);
        if self.parts == 1 {
            // SAFETY: `available` found the instruction set, and `arrays` fits the lane's memory.
            std::hint::black_box(unsafe { passes(&arrays, iterations) });
        } else {
            let first = self.next[lane].load(Ordering::Relaxed);
            for iteration in 0..iterations {
                let part = Arrays { part: ((first + iteration) % self.parts) as usize, ..arrays };
                // SAFETY: as above.
                std::hint::black_box(unsafe { passes(&part, 1) });
            }
            self.next[lane].store((first + iterations) % self.parts, Ordering::Relaxed);
        }
        // SAFETY: as above.
        unsafe { (self.kernels.fence)() }
    }

    fn verify(&self, variant: usize, lane: usize) -> Result<(), String> {
        let (arrays, seeds) = (self.arrays(lane), Self::seeds(lane));
        let (op, kernels) = (self.access.op, self.kernels);
        // SAFETY: the slices lie in this lane's memory, which nobody else uses, and are used one at a time; the data routines are
        // of an instruction set that `available` found.
        unsafe {
            let slice = |start: *mut f32| std::slice::from_raw_parts_mut(start, arrays.elements);
            if op.arrays_written() > 0 {
                (kernels.poison)(slice(arrays.output));
            }
            let mut sum = 0_u32;
            for part in 0..arrays.parts {
                sum = sum.wrapping_add(self.passes[variant](&Arrays { part, ..arrays }, 1));
            }
            (kernels.fence)();
            if op == StreamOp::Read {
                let expected = (kernels.checksum)(arrays.elements, seeds[0]);
                return if sum == expected {
                    Ok(())
                } else {
                    Err(format!("the checksum is {sum:#010x}, the reference says {expected:#010x}"))
                };
            }
            let output = slice(arrays.output);
            match (kernels.first_difference)(op, output, seeds) {
                None => Ok(()),
                Some(index) => Err(format!(
                    "element {index} is {}, the reference says {}",
                    output[index],
                    expected(op, index, seeds)
                )),
            }
        }
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::arena::Arena;

    fn every_access() -> impl Iterator<Item = Access> {
        StreamOp::ALL.iter().flat_map(|&op| {
            let plain = std::iter::once(Access::plain(op));
            plain.chain((op != StreamOp::Read).then_some(Access::non_temporal(op)))
        })
    }

    #[test]
    fn every_kernel_of_every_instruction_set_matches_the_reference() {
        let mut arena = Arena::default();
        let mut checked = 0;
        for kernels in available() {
            for access in every_access() {
                for elements in [256, 512, 10 * 256, 4096, 4096 + 256] {
                    let parts = if elements % 1024 == 0 { 4 } else { 1 };
                    let lanes = arena.lanes(2, Stream::bytes(access, elements)).unwrap();
                    let refused = access.stores == Stores::NonTemporal && !kernels.non_temporal;
                    let stream = Stream::with_kernels(kernels, access, elements, parts, lanes, None);
                    assert_eq!(stream.is_err(), refused, "{access} with {}", kernels.isa);
                    let Ok(stream) = stream else { continue };
                    (0..2).for_each(|lane| stream.fill(lane));
                    for variant in 0..stream.variants().len() {
                        for lane in 0..2 {
                            stream.verify(variant, lane).unwrap_or_else(|error| panic!("{access} {elements} {error}"));
                            checked += 1;
                        }
                    }
                }
            }
        }
        let operations: usize = available().iter().map(|set| if set.non_temporal { 11 } else { 6 }).sum();
        assert_eq!(checked, operations * 5 * WALKS.len() * 2);
        #[cfg(target_arch = "x86_64")]
        let wide = [std::arch::is_x86_feature_detected!("avx2"), std::arch::is_x86_feature_detected!("avx512f")];
        #[cfg(target_arch = "aarch64")]
        let wide = [true];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let wide = [false];
        assert_eq!(available().len(), 1 + wide.iter().filter(|&&has| has).count());
    }

    #[test]
    fn a_damaged_result_is_noticed() {
        let mut arena = Arena::default();
        let seeds = Stream::seeds(0);
        let lanes = arena.lanes(1, Stream::bytes(Access::plain(StreamOp::Triad), 512)).unwrap();
        for op in [StreamOp::Write, StreamOp::Copy, StreamOp::Scale, StreamOp::Add, StreamOp::Triad] {
            let stream = Stream::new(Access::plain(op), 512, 2, lanes.clone(), None).unwrap();
            stream.fill(0);
            stream.verify(0, 0).unwrap();
            let arrays = stream.arrays(0);
            // SAFETY: the arrays lie in the arena's memory, used by this test alone.
            let output = unsafe { std::slice::from_raw_parts_mut(arrays.output, 512) };
            for index in [0, 17, 511] {
                let kept = output[index];
                output[index] = f32::from_bits(kept.to_bits() ^ 1);
                assert_eq!(reference::first_difference(op, 0, output, seeds), Some(index));
                output[index] = kept;
            }
            assert_eq!(reference::first_difference(op, 0, output, seeds), None);
        }
    }

    #[test]
    fn reading_too_little_changes_the_checksum() {
        let seeds = Stream::seeds(0);
        assert_ne!(reference::checksum(512, seeds[0]), reference::checksum(511, seeds[0]));
    }
}
