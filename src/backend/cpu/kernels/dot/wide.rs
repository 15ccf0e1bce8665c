//! Dot products of weights that are widened to `f32` on the way to the multiply-add. For every instruction set.

use std::marker::PhantomData;

use super::Dot;
use crate::backend::cpu::isa::Vector;

/// A format that is widened element by element.
pub(in super::super) trait Widen {
    /// Bytes of an element.
    const BYTES: usize;

    /// # Safety
    /// The vector's instruction set is available, and `WIDTH` elements can be read.
    unsafe fn load<V: Vector>(from: *const u8) -> V;

    /// Two vectors of as many elements as they hold, in the order that is cheapest: element [`Widen::element`] of them stands at each place.
    ///
    /// # Safety
    /// The vector's instruction set is available, and `2 · WIDTH` elements can be read.
    #[inline(always)]
    unsafe fn load_two<V: Vector>(from: *const u8) -> [V; 2] {
        // SAFETY: the caller's.
        unsafe { [Self::load(from), Self::load(from.add(V::WIDTH * Self::BYTES))] }
    }

    /// The element that stands at a place of a row that [`Widen::load_two`] loads.
    #[inline(always)]
    fn element<V: Vector>(place: usize) -> usize {
        place
    }
}

macro_rules! widen {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, |$from:ident| $load:expr $(, { $($two:tt)* })?) => {
        $(#[$doc])*
        pub(in super::super) struct $name;

        impl Widen for $name {
            const BYTES: usize = $bytes;

            #[inline(always)]
            unsafe fn load<V: Vector>($from: *const u8) -> V {
                // SAFETY: the caller's.
                unsafe { $load }
            }

            $($($two)*)?
        }
    };
}

widen!(/** `f32` as it is. */ F32, 4, |from| V::load_unaligned(from.cast()));
widen!(/** bfloat16. */ Bf16, 2, |from| V::from_bf16(from.cast()), {
    /// Those at even places, then those at odd ones: an instruction for each vector, not two.
    #[inline(always)]
    unsafe fn load_two<V: Vector>(from: *const u8) -> [V; 2] {
        // SAFETY: the caller's.
        unsafe { V::from_bf16_pairs(from.cast()) }
    }

    #[inline(always)]
    fn element<V: Vector>(place: usize) -> usize {
        let (pair, within) = (place / (2 * V::WIDTH), place % (2 * V::WIDTH));
        2 * (pair * V::WIDTH + within % V::WIDTH) + within / V::WIDTH
    }
});
widen!(/** IEEE half. */ F16, 2, |from| V::from_f16(from.cast()));
widen!(/** Bytes. */ Int8, 1, |from| V::from_int8(from.cast()));

/// Weights `W` against activations `A`, both widened, with some vectors of sums.
pub(in super::super) struct Wide<V, W, A, const VECTORS: usize>(PhantomData<(V, W, A)>);

impl<V: Vector, W: Widen, A: Widen, const VECTORS: usize> Dot for Wide<V, W, A, VECTORS> {
    type Sums = [V; VECTORS];
    type Result = f32;

    const CHUNK: usize = VECTORS * V::WIDTH;
    const BYTES: usize = Self::CHUNK * W::BYTES;
    const REGISTERS: usize = V::REGISTERS;

    #[inline(always)]
    unsafe fn zero() -> [V; VECTORS] {
        // SAFETY: the caller's.
        unsafe { [V::splat(0.0); VECTORS] }
    }

    #[inline(always)]
    unsafe fn step(
        mut sums: [V; VECTORS],
        row: *const u8,
        _: usize,
        at: usize,
        activations: *const u8,
    ) -> [V; VECTORS] {
        // SAFETY: the caller's.
        unsafe {
            for (vector, sum) in sums.iter_mut().enumerate() {
                let at = at + vector * V::WIDTH;
                let weights: V = W::load(row.add(at * W::BYTES));
                *sum = weights.mul_add(V::load_unaligned(activations.cast::<f32>().add(at)), *sum);
            }
        }
        sums
    }

    #[inline(always)]
    unsafe fn finish(sums: [V; VECTORS], _: *const u8, _: usize) -> f32 {
        // SAFETY: the caller's.
        unsafe {
            let mut total = sums[0];
            for &sum in &sums[1..] {
                total = total.add(sum);
            }
            total.sum()
        }
    }

    #[inline(always)]
    unsafe fn prepare(activations: *const u8, columns: usize, prepared: *mut u8) {
        // SAFETY: the caller's.
        unsafe {
            for at in (0..columns).step_by(V::WIDTH) {
                let widened: V = A::load(activations.add(at * A::BYTES));
                widened.store_unaligned(prepared.cast::<f32>().add(at));
            }
        }
    }
}

/// Weights of a group in a row of 4-bit integers.
pub(in super::super) const GROUP: usize = 128;

/// 4-bit integers in groups of 128 with an f16 scale. A row holds the groups' integers, 64 bytes each, then their scales. Within a group, element
/// `32 · j + w` stands at bits `4 · j` of 16-bit word `w`, so that a shift and a table lookup give 32 consecutive elements.
pub(in super::super) struct Int4<V, A>(PhantomData<(V, A)>);

/// The scale of the group that begins at an element.
///
/// # Safety
/// The row is whole, `at` below `columns`.
#[inline(always)]
pub(super) unsafe fn scale(row: *const u8, columns: usize, at: usize) -> f32 {
    // SAFETY: the scales follow the integers, two bytes for a group.
    let bits = unsafe { row.add(columns / 2 + at / GROUP * 2).cast::<u16>().read_unaligned() };
    // Scales are normal numbers: their exponent and mantissa are shifted into place.
    let sign = u32::from(bits & 0x8000) << 16;
    f32::from_bits(sign | ((u32::from(bits & 0x7fff) << 13) + (112 << 23)))
}

impl<V: Vector, A: Widen> Dot for Int4<V, A> {
    type Sums = V;
    type Result = f32;

    const CHUNK: usize = GROUP;
    const BYTES: usize = GROUP / 2;
    const REGISTERS: usize = V::REGISTERS;

    #[inline(always)]
    unsafe fn zero() -> V {
        // SAFETY: the caller's.
        unsafe { V::splat(0.0) }
    }

    #[inline(always)]
    unsafe fn step(sums: V, row: *const u8, columns: usize, at: usize, activations: *const u8) -> V {
        // SAFETY: the caller's. 16 words of 32 bits hold a group; nibble i of word d is element 32 · (i % 4) + 2 · d + i / 4, and that is where
        // `prepare` puts its activation.
        unsafe {
            let (words, x) = (row.add(at / 2), activations.cast::<f32>().add(at));
            let mut products = [V::splat(0.0); 2];
            for nibble in 0..8 {
                for first in (0..16).step_by(V::WIDTH) {
                    let weights = V::from_nibbles(words.add(4 * first), nibble as u32);
                    let product = &mut products[nibble % 2];
                    *product = weights.mul_add(V::load_unaligned(x.add(16 * nibble + first)), *product);
                }
            }
            products[0].add(products[1]).mul_add(V::splat(scale(row, columns, at)), sums)
        }
    }

    #[inline(always)]
    unsafe fn finish(sums: V, _: *const u8, _: usize) -> f32 {
        // SAFETY: the caller's.
        unsafe { sums.sum() }
    }

    #[inline(always)]
    unsafe fn prepare(activations: *const u8, columns: usize, prepared: *mut u8) {
        // SAFETY: the caller's.
        unsafe {
            let mut natural = Aligned([0.0; GROUP]);
            for group in (0..columns).step_by(GROUP) {
                for at in (0..GROUP).step_by(V::WIDTH) {
                    let widened: V = A::load(activations.add((group + at) * A::BYTES));
                    widened.store_unaligned(natural.0.as_mut_ptr().add(at));
                }
                for nibble in 0..8 {
                    for word in 0..16 {
                        let element = 32 * (nibble % 4) + 2 * word + nibble / 4;
                        *prepared.cast::<f32>().add(group + 16 * nibble + word) = natural.0[element];
                    }
                }
            }
        }
    }
}

#[repr(align(64))]
struct Aligned([f32; GROUP]);
