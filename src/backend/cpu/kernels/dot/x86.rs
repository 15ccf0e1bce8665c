//! Dot products of AVX-512 BF16 and VNNI.

use std::arch::x86_64::*;

use super::Dot;
use super::wide::{GROUP, scale};

/// The bits of 64 bytes as a register of bfloat16.
///
/// # Safety
/// AVX-512F is available.
#[inline(always)]
unsafe fn bf16s(bits: __m512i) -> __m512bh {
    // SAFETY: both types are 64 bytes of the same register.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(bits) }
}

/// bfloat16 by bfloat16, two products to a sum.
pub(in super::super) struct Bf16Dot<const VECTORS: usize>;

impl<const VECTORS: usize> Dot for Bf16Dot<VECTORS> {
    type Sums = [__m512; VECTORS];
    type Result = f32;

    const CHUNK: usize = 32 * VECTORS;
    const BYTES: usize = 64 * VECTORS;
    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn zero() -> [__m512; VECTORS] {
        // SAFETY: the caller's.
        unsafe { [_mm512_setzero_ps(); VECTORS] }
    }

    #[inline(always)]
    unsafe fn step(
        mut sums: [__m512; VECTORS],
        row: *const u8,
        _: usize,
        at: usize,
        activations: *const u8,
    ) -> [__m512; VECTORS] {
        // SAFETY: the caller's.
        unsafe {
            for (vector, sum) in sums.iter_mut().enumerate() {
                let at = 2 * at + 64 * vector;
                let weights = _mm512_loadu_si512(row.add(at).cast());
                let x = _mm512_loadu_si512(activations.add(at).cast());
                *sum = _mm512_dpbf16_ps(*sum, bf16s(weights), bf16s(x));
            }
        }
        sums
    }

    #[inline(always)]
    unsafe fn finish(sums: [__m512; VECTORS], _: *const u8, _: usize) -> f32 {
        // SAFETY: the caller's.
        unsafe {
            let mut total = sums[0];
            for &sum in &sums[1..] {
                total = _mm512_add_ps(total, sum);
            }
            _mm512_reduce_add_ps(total)
        }
    }

    #[inline(always)]
    unsafe fn prepare(activations: *const u8, columns: usize, prepared: *mut u8) {
        // SAFETY: the caller's.
        unsafe { std::ptr::copy_nonoverlapping(activations, prepared, 2 * columns) }
    }
}

/// 4-bit integers in groups of 128, looked up as bfloat16, by bfloat16. The permutation reads the low five bits of each 16-bit word, of which the
/// table ignores the highest.
pub(in super::super) struct Int4Dot;

/// -8 to 7 as bfloat16, twice.
static TABLE: [u16; 32] = {
    let mut table = [0; 32];
    let mut index = 0;
    while index < 32 {
        table[index] = ((((index % 16) as i32 - 8) as f32).to_bits() >> 16) as u16;
        index += 1;
    }
    table
};

impl Dot for Int4Dot {
    type Sums = __m512;
    type Result = f32;

    const CHUNK: usize = GROUP;
    const BYTES: usize = GROUP / 2;
    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn zero() -> __m512 {
        // SAFETY: the caller's.
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn step(sums: __m512, row: *const u8, columns: usize, at: usize, activations: *const u8) -> __m512 {
        // SAFETY: the caller's.
        unsafe {
            let table = _mm512_loadu_si512(TABLE.as_ptr().cast());
            let words = _mm512_loadu_si512(row.add(at / 2).cast());
            let x = activations.add(2 * at);
            let mut products = [_mm512_setzero_ps(); 2];
            macro_rules! quarter {
                ($index:literal, $words:expr) => {
                    let weights = _mm512_permutexvar_epi16($words, table);
                    let x = _mm512_loadu_si512(x.add(64 * $index).cast());
                    products[$index % 2] = _mm512_dpbf16_ps(products[$index % 2], bf16s(weights), bf16s(x));
                };
            }
            quarter!(0, words);
            quarter!(1, _mm512_srli_epi16::<4>(words));
            quarter!(2, _mm512_srli_epi16::<8>(words));
            quarter!(3, _mm512_srli_epi16::<12>(words));
            let scale = _mm512_set1_ps(scale(row, columns, at));
            _mm512_fmadd_ps(_mm512_add_ps(products[0], products[1]), scale, sums)
        }
    }

    #[inline(always)]
    unsafe fn finish(sums: __m512, _: *const u8, _: usize) -> f32 {
        // SAFETY: the caller's.
        unsafe { _mm512_reduce_add_ps(sums) }
    }

    #[inline(always)]
    unsafe fn prepare(activations: *const u8, columns: usize, prepared: *mut u8) {
        // SAFETY: the caller's.
        unsafe { std::ptr::copy_nonoverlapping(activations, prepared, 2 * columns) }
    }
}

/// Bytes by bytes, four products to a sum. Weights are made unsigned by adding 128, and what that adds to the sum is taken off at the end: 128 times the
/// sum of the activations, which stands behind them.
pub(in super::super) struct Int8Dot;

impl Dot for Int8Dot {
    type Sums = __m512i;
    type Result = i32;

    const CHUNK: usize = 64;
    const BYTES: usize = 64;
    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn zero() -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn step(sums: __m512i, row: *const u8, _: usize, at: usize, activations: *const u8) -> __m512i {
        // SAFETY: the caller's.
        unsafe {
            let sign = _mm512_set1_epi32(0x8080_8080_u32 as i32);
            let weights = _mm512_xor_si512(_mm512_loadu_si512(row.add(at).cast()), sign);
            _mm512_dpbusd_epi32(sums, weights, _mm512_loadu_si512(activations.add(at).cast()))
        }
    }

    #[inline(always)]
    unsafe fn finish(sums: __m512i, activations: *const u8, columns: usize) -> i32 {
        // SAFETY: the caller's; `prepare` wrote the sum behind the activations.
        unsafe { _mm512_reduce_add_epi32(sums) - 128 * activations.add(columns).cast::<i32>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn prepare(activations: *const u8, columns: usize, prepared: *mut u8) {
        // SAFETY: the caller's.
        unsafe {
            std::ptr::copy_nonoverlapping(activations, prepared, columns);
            let row = std::slice::from_raw_parts(activations.cast::<i8>(), columns);
            let sum: i32 = row.iter().map(|&element| i32::from(element)).sum();
            prepared.add(columns).cast::<i32>().write_unaligned(sum);
        }
    }
}
