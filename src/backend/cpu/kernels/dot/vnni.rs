//! Integer weights by 16-bit activations on VNNI: activations become 16-bit integers with a scale for each group, and are multiplied byte by byte.
//!
//! The scale is a power of two, so that activations down to a 128th of their group's largest are exact: a bfloat16 has 8 significant bits. Two dot
//! products of bytes take the place of widening every weight to f32.

use std::arch::x86_64::*;

use super::Dot;
use super::wide::{GROUP, scale};

/// Activations of a group, prepared: their high bytes, their low bytes, the sums to start with, and the scale, the same everywhere.
#[repr(C, align(64))]
struct Prepared {
    high: [i8; GROUP],
    low: [i8; GROUP],
    start: [i32; 16],
    scale: [f32; 16],
}

/// The largest activation of a group becomes at most this: then its high byte is 127 at most.
const LARGEST: f32 = 127.0 * 256.0;

/// The largest power of two that takes a number to at most [`LARGEST`]; 1 for zero and what is next to it.
fn factor_for(largest: f32) -> f32 {
    if largest < 1e-30 {
        return 1.0;
    }
    let exact = LARGEST / largest;
    // Without its mantissa, a positive number is the power of two below it.
    f32::from_bits(exact.to_bits() & 0x7f80_0000)
}

/// Which activation each byte of weights is multiplied with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// The one at its own place.
    Natural,
    /// That of 4-bit integers; see [`super::wide::Int4`].
    Nibbles,
}

/// Prepares activations for weights that were made unsigned by adding `offset`.
///
/// # Safety
/// AVX-512 is available; `columns` bfloat16 can be read, and a `Prepared` for each group written.
#[inline(always)]
unsafe fn prepare(activations: *const u8, columns: usize, prepared: *mut u8, offset: i32, order: Order) {
    // SAFETY: the caller's.
    unsafe {
        for group in 0..columns / GROUP {
            let from = activations.cast::<u16>().add(group * GROUP);
            let to = prepared.cast::<Prepared>().add(group);
            let mut values = [_mm512_setzero_ps(); GROUP / 16];
            let mut largest = _mm512_setzero_ps();
            for (index, value) in values.iter_mut().enumerate() {
                let halves = _mm256_loadu_si256(from.add(16 * index).cast());
                *value = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves)));
                largest = _mm512_max_ps(largest, _mm512_abs_ps(*value));
            }
            let power = factor_for(_mm512_reduce_max_ps(largest));
            let factor = _mm512_set1_ps(power);
            let mut sum = _mm512_setzero_si512();
            let (mut high, mut low) = ([[0_i8; 16]; GROUP / 16], [[0_i8; 16]; GROUP / 16]);
            for (index, value) in values.into_iter().enumerate() {
                let integer = _mm512_cvtps_epi32(_mm512_mul_ps(value, factor));
                let low_byte = _mm512_srai_epi32::<24>(_mm512_slli_epi32::<24>(integer));
                let high_byte = _mm512_srai_epi32::<8>(_mm512_sub_epi32(integer, low_byte));
                sum = _mm512_add_epi32(sum, integer);
                _mm_storeu_si128(low[index].as_mut_ptr().cast(), _mm512_cvtepi32_epi8(low_byte));
                _mm_storeu_si128(high[index].as_mut_ptr().cast(), _mm512_cvtepi32_epi8(high_byte));
            }
            arrange(high.as_ptr().cast(), (&raw mut (*to).high).cast(), order);
            arrange(low.as_ptr().cast(), (&raw mut (*to).low).cast(), order);
            (*to).start = [0; 16];
            (*to).start[0] = -offset * _mm512_reduce_add_epi32(sum);
            (*to).scale = [1.0 / power; 16];
        }
    }
}

/// Puts the bytes of a group in order.
///
/// # Safety
/// AVX-512 is available; a group of bytes can be read and written.
#[inline(always)]
unsafe fn arrange(from: *const u8, to: *mut u8, order: Order) {
    // SAFETY: the caller's.
    unsafe {
        if order == Order::Natural {
            std::ptr::copy_nonoverlapping(from, to, GROUP);
            return;
        }
        // Even bytes of weights hold elements from 0 (32 in their high halves), odd ones elements from 64 (96).
        for half in 0..2 {
            let even = _mm512_cvtepu8_epi16(_mm256_loadu_si256(from.add(32 * half).cast()));
            let odd = _mm512_cvtepu8_epi16(_mm256_loadu_si256(from.add(64 + 32 * half).cast()));
            _mm512_storeu_si512(to.add(64 * half).cast(), _mm512_or_si512(even, _mm512_slli_epi16::<8>(odd)));
        }
    }
}

/// Adds the products of a group of weights, as unsigned bytes in two registers, times a scale.
///
/// # Safety
/// AVX-512 VNNI is available; the activations are prepared.
#[inline(always)]
unsafe fn add_group(sums: __m512, weights: [__m512i; 2], activations: *const Prepared, scale: __m512) -> __m512 {
    // SAFETY: the caller's.
    unsafe {
        let load = |from: *const i8| _mm512_load_si512(from.cast());
        let (high, low) = ((&raw const (*activations).high).cast::<i8>(), (&raw const (*activations).low).cast::<i8>());
        let start = _mm512_load_si512((&raw const (*activations).start).cast());
        let mut highs = _mm512_dpbusd_epi32(_mm512_setzero_si512(), weights[0], load(high));
        highs = _mm512_dpbusd_epi32(highs, weights[1], load(high.add(64)));
        let mut lows = _mm512_dpbusd_epi32(start, weights[0], load(low));
        lows = _mm512_dpbusd_epi32(lows, weights[1], load(low.add(64)));
        let products = _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32::<8>(highs), lows));
        let scale = _mm512_mul_ps(scale, _mm512_load_ps((&raw const (*activations).scale).cast()));
        _mm512_fmadd_ps(products, scale, sums)
    }
}

/// What both formats of weights have in common.
macro_rules! vnni_dot {
    ($(#[$doc:meta])* $name:ident, bytes: $bytes:expr, offset: $offset:literal, $order:expr,
     |$row:ident, $columns:ident, $at:ident| ($weights:expr, $scale:expr)) => {
        $(#[$doc])*
        pub(in super::super) struct $name;

        impl Dot for $name {
            type Sums = __m512;
            type Result = f32;

            const CHUNK: usize = GROUP;
            const BYTES: usize = $bytes;
            const REGISTERS: usize = 32;

            #[inline(always)]
            unsafe fn zero() -> __m512 {
                // SAFETY: the caller's.
                unsafe { _mm512_setzero_ps() }
            }

            #[inline(always)]
            unsafe fn step(sums: __m512, $row: *const u8, $columns: usize, $at: usize, activations: *const u8) -> __m512 {
                // SAFETY: the caller's.
                unsafe { add_group(sums, $weights, activations.cast::<Prepared>().add($at / GROUP), $scale) }
            }

            #[inline(always)]
            unsafe fn finish(sums: __m512, _: *const u8, _: usize) -> f32 {
                // SAFETY: the caller's.
                unsafe { _mm512_reduce_add_ps(sums) }
            }

            #[inline(always)]
            unsafe fn prepare(activations: *const u8, columns: usize, prepared: *mut u8) {
                // SAFETY: the caller's.
                unsafe { prepare(activations, columns, prepared, $offset, $order) }
            }
        }
    };
}

/// The halves of the bytes at an address.
///
/// # Safety
/// AVX-512 is available; 64 bytes can be read.
#[inline(always)]
unsafe fn halves(from: *const u8) -> [__m512i; 2] {
    // SAFETY: the caller's.
    unsafe {
        let (bytes, mask) = (_mm512_loadu_si512(from.cast()), _mm512_set1_epi8(15));
        [_mm512_and_si512(bytes, mask), _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), mask)]
    }
}

/// 128 signed bytes at an address, as unsigned ones.
///
/// # Safety
/// AVX-512 is available; 128 bytes can be read.
#[inline(always)]
unsafe fn unsigned(from: *const u8) -> [__m512i; 2] {
    // SAFETY: the caller's.
    unsafe {
        let sign = _mm512_set1_epi8(-128);
        [
            _mm512_xor_si512(_mm512_loadu_si512(from.cast()), sign),
            _mm512_xor_si512(_mm512_loadu_si512(from.add(64).cast()), sign),
        ]
    }
}

vnni_dot!(
    /// 4-bit integers in groups of 128, which are stored with 8 added.
    Int4, bytes: GROUP / 2, offset: 8, Order::Nibbles,
    |row, columns, at| (halves(row.add(at / 2)), _mm512_set1_ps(scale(row, columns, at)))
);
vnni_dot!(
    /// Bytes.
    Int8, bytes: GROUP, offset: 128, Order::Natural,
    |row, _columns, at| (unsigned(row.add(at)), _mm512_set1_ps(1.0))
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_powers_of_two_that_fit() {
        for largest in [0.0, 1e-38, 1e-20, 0.003, 0.999, 1.0, 1.5, 3e4, 1e20] {
            let factor = factor_for(largest);
            assert!(factor.log2().fract() == 0.0 && largest * factor <= LARGEST, "{largest}");
            assert!(largest < 1e-30 || largest * factor > LARGEST / 2.0, "{largest}");
        }
    }
}
