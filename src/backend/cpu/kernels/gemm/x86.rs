//! Steps of x86: FMA on AVX-512 and AVX2, dot products of AVX-512 BF16 and of VNNI.

use std::arch::x86_64::*;
use std::is_x86_feature_detected;

use half::bf16;

use super::super::prefetch;
use super::engine::{Engine, engine, few, prefill};
use super::step::Step;
use crate::backend::cpu::isa::avx2::Avx2;
use crate::backend::cpu::isa::avx512::Avx512;
use crate::backend::cpu::isa::{has_avx2, has_avx512};
use crate::backend::cpu::kernels::attention::prefill::Engine as Prefill;
use crate::backend::cpu::kernels::dot::wide::{self, Wide};
use crate::backend::cpu::kernels::dot::x86::{Bf16Dot, Int8Dot};
use crate::dtype::DType;

/// The methods that steps with sums in one vector type have in common.
macro_rules! sums {
    ($sum:ty, $register:ty, $zero:ident, $splat:ident, $load:ident, $store:ident, $add:ident, |$x:ident, $y:ident| $plus:expr) => {
        #[inline(always)]
        unsafe fn zero() -> $register {
            // SAFETY: the caller's.
            unsafe { $zero() }
        }

        #[inline(always)]
        unsafe fn splat_sum(sum: $sum) -> $register {
            // SAFETY: the caller's.
            unsafe { $splat(sum) }
        }

        #[inline(always)]
        unsafe fn load_sums(from: *const $sum) -> $register {
            // SAFETY: the caller's.
            unsafe { $load(from.cast()) }
        }

        #[inline(always)]
        unsafe fn store_sums(sums: $register, to: *mut $sum) {
            // SAFETY: the caller's.
            unsafe { $store(to.cast(), sums) }
        }

        #[inline(always)]
        unsafe fn add_sums(a: $register, b: $register) -> $register {
            // SAFETY: the caller's.
            unsafe { $add(a, b) }
        }

        #[inline(always)]
        fn add($x: $sum, $y: $sum) -> $sum {
            $plus
        }
    };
}

/// A floating-point multiply-add on whole registers of words.
macro_rules! float_step {
    ($name:ident, $element:ty, $word:ty, $register:ty, $width:literal, $fma:ident, $splat:ident, $load:ident,
     ($($sums:tt)*), |$from:ident| $activation:expr, pack: { $($pack:tt)* }) => {
        pub(super) struct $name;

        impl Step for $name {
            type Element = $element;
            type Sum = $word;
            type Word = $word;
            type Sums = $register;
            type Factor = $register;

            const GROUP: usize = 1;
            const WIDTH: usize = $width;

            sums!($word, $register, $($sums)*, |a, b| a + b);

            #[inline(always)]
            unsafe fn splat(from: *const $word) -> $register {
                // SAFETY: the caller's.
                unsafe { $splat(*from) }
            }

            #[inline(always)]
            unsafe fn load(from: *const $word) -> $register {
                // SAFETY: the caller's.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn step(sums: $register, activations: $register, weights: $register) -> $register {
                // SAFETY: the caller's.
                unsafe { $fma(activations, weights, sums) }
            }

            #[inline(always)]
            unsafe fn activation($from: *const $element) -> $word {
                // SAFETY: the caller's.
                unsafe { $activation }
            }

            $($pack)*
        }
    };
}

/// Packing by transposing square blocks of words in registers: of 16 × 16, unless said otherwise.
macro_rules! transposing_pack {
    (|$row:ident, $weights:ident| $words:expr) => {
        transposing_pack!(16, _mm512_setzero_si512, transposed, _mm512_storeu_si512, |$row, $weights| $words);
    };
    ($size:literal, $zero:ident, $transposed:ident, $store:ident, |$row:ident, $weights:ident| $words:expr) => {
        #[inline(always)]
        unsafe fn pack<const ROWS: usize, const WEIGHTS: bool>(
            from: *const Self::Element,
            stride: usize,
            present: usize,
            words: usize,
            to: *mut Self::Word,
        ) {
            // SAFETY: the caller's; words come in multiples of 16. When ROWS is no multiple of the block, the last rows' stores write too
            // much, over what later columns and then the rows before put right.
            unsafe {
                for first_row in (0..ROWS).step_by($size).rev() {
                    let mut word = 0;
                    while word < words {
                        let mut block = [$zero(); $size];
                        for (row, line) in block.iter_mut().enumerate() {
                            let source = (first_row + row).min(present - 1);
                            if first_row + row < ROWS {
                                let ($row, $weights) = (from.add(source * stride + word * Self::GROUP), WEIGHTS);
                                // Rows lie too far apart for the hardware to see a pattern.
                                prefetch($row.wrapping_add(AHEAD * Self::GROUP));
                                *line = $words;
                            }
                        }
                        let block = $transposed(block);
                        for (column, line) in block.iter().enumerate() {
                            $store(to.add((word + column) * ROWS + first_row).cast(), *line);
                        }
                        word += $size;
                    }
                }
            }
        }
    };
}

/// Transposes 8 × 8 words of 64 bits.
///
/// # Safety
/// AVX-512F is available.
#[inline(always)]
unsafe fn transposed_wide(mut r: [__m512d; 8]) -> [__m512d; 8] {
    // SAFETY: the caller's.
    unsafe {
        let mut t = r;
        for i in 0..4 {
            t[2 * i] = _mm512_unpacklo_pd(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm512_unpackhi_pd(r[2 * i], r[2 * i + 1]);
        }
        for i in 0..2 {
            for (lane, half) in [(0, 0), (1, 1)] {
                r[4 * i + lane] = _mm512_shuffle_f64x2::<0x88>(t[4 * i + half], t[4 * i + 2 + half]);
                r[4 * i + 2 + lane] = _mm512_shuffle_f64x2::<0xdd>(t[4 * i + half], t[4 * i + 2 + half]);
            }
        }
        for i in 0..4 {
            t[i] = _mm512_shuffle_f64x2::<0x88>(r[i], r[i + 4]);
            t[i + 4] = _mm512_shuffle_f64x2::<0xdd>(r[i], r[i + 4]);
        }
        t
    }
}

/// Transposes 16 × 16 words.
///
/// # Safety
/// AVX-512F is available.
#[inline(always)]
unsafe fn transposed(mut r: [__m512i; 16]) -> [__m512i; 16] {
    // SAFETY: the caller's.
    unsafe {
        let mut t = r;
        for i in 0..8 {
            t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
        }
        for i in 0..4 {
            r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
            r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
            r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
            r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
        }
        for i in 0..4 {
            t[i] = _mm512_shuffle_i32x4::<0x88>(r[i], r[i + 4]);
            t[i + 4] = _mm512_shuffle_i32x4::<0xdd>(r[i], r[i + 4]);
            t[i + 8] = _mm512_shuffle_i32x4::<0x88>(r[i + 8], r[i + 12]);
            t[i + 12] = _mm512_shuffle_i32x4::<0xdd>(r[i + 8], r[i + 12]);
        }
        for i in 0..4 {
            r[i] = _mm512_shuffle_i32x4::<0x88>(t[i], t[i + 8]);
            r[i + 8] = _mm512_shuffle_i32x4::<0xdd>(t[i], t[i + 8]);
            r[i + 4] = _mm512_shuffle_i32x4::<0x88>(t[i + 4], t[i + 12]);
            r[i + 12] = _mm512_shuffle_i32x4::<0xdd>(t[i + 4], t[i + 12]);
        }
        r
    }
}

/// Words ahead that packing asks for: four cache lines of 32-bit words.
const AHEAD: usize = 64;

/// A bfloat16 as `f32`.
///
/// # Safety
/// An element can be read.
#[inline(always)]
unsafe fn widened(from: *const bf16) -> f32 {
    // SAFETY: the caller's.
    f32::from_bits(u32::from(unsafe { from.read() }.to_bits()) << 16)
}

float_step!(
    F32Avx512, f32, f32, __m512, 16, _mm512_fmadd_ps, _mm512_set1_ps, _mm512_loadu_ps,
    (_mm512_setzero_ps, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps),
    |from| from.read(),
    pack: { transposing_pack!(|row, _weights| _mm512_loadu_si512(row.cast())); }
);
float_step!(
    F64Avx512, f64, f64, __m512d, 8, _mm512_fmadd_pd, _mm512_set1_pd, _mm512_loadu_pd,
    (_mm512_setzero_pd, _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_add_pd),
    |from| from.read(),
    pack: { transposing_pack!(8, _mm512_setzero_pd, transposed_wide, _mm512_storeu_pd, |row, _weights| _mm512_loadu_pd(row)); }
);
float_step!(
    WideAvx512, bf16, f32, __m512, 16, _mm512_fmadd_ps, _mm512_set1_ps, _mm512_loadu_ps,
    (_mm512_setzero_ps, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps),
    |from| widened(from),
    pack: {
        transposing_pack!(
            |row, _weights| _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(row.cast())))
        );
    }
);
float_step!(
    F32Avx2, f32, f32, __m256, 8, _mm256_fmadd_ps, _mm256_set1_ps, _mm256_loadu_ps,
    (_mm256_setzero_ps, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps),
    |from| from.read(),
    pack: {}
);
float_step!(
    F64Avx2, f64, f64, __m256d, 4, _mm256_fmadd_pd, _mm256_set1_pd, _mm256_loadu_pd,
    (_mm256_setzero_pd, _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_add_pd),
    |from| from.read(),
    pack: {}
);
float_step!(
    WideAvx2, bf16, f32, __m256, 8, _mm256_fmadd_ps, _mm256_set1_ps, _mm256_loadu_ps,
    (_mm256_setzero_ps, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps),
    |from| widened(from),
    pack: {}
);

/// VDPBF16PS: two products of bfloat16 to each sum.
pub(super) struct DotBf16Avx512;

impl Step for DotBf16Avx512 {
    type Element = bf16;
    type Sum = f32;
    type Word = u32;
    type Sums = __m512;
    type Factor = __m512i;

    const GROUP: usize = 2;
    const WIDTH: usize = 16;

    sums!(f32, __m512, _mm512_setzero_ps, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, |a, b| a
        + b);

    #[inline(always)]
    unsafe fn splat(from: *const u32) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_set1_epi32(from.read() as i32) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u32) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn step(sums: __m512, activations: __m512i, weights: __m512i) -> __m512 {
        // SAFETY: the caller's; both types are 64 bytes of the same register.
        unsafe {
            _mm512_dpbf16_ps(
                sums,
                std::mem::transmute::<__m512i, __m512bh>(activations),
                std::mem::transmute::<__m512i, __m512bh>(weights),
            )
        }
    }

    #[inline(always)]
    unsafe fn activation(from: *const bf16) -> u32 {
        // SAFETY: the caller's.
        unsafe { from.cast::<u32>().read_unaligned() }
    }

    transposing_pack!(|row, _weights| _mm512_loadu_si512(row.cast()));
}

/// The steps of VPDPBUSD: four products of bytes to each sum, unsigned weights by signed activations.
macro_rules! vnni_step {
    ($name:ident, $width:literal, $register:ty, $splat:ident, $dot:ident, $load:ident, ($($sums:tt)*), pack: { $($pack:tt)* }) => {
        pub(super) struct $name;

        impl Step for $name {
            type Element = i8;
            type Sum = i32;
            type Word = u32;
            type Sums = $register;
            type Factor = $register;

            const GROUP: usize = 4;
            const WIDTH: usize = $width;
            const OFFSET: bool = true;

            sums!(i32, $register, $($sums)*, |a, b| a.wrapping_add(b));

            #[inline(always)]
            unsafe fn splat(from: *const u32) -> $register {
                // SAFETY: the caller's.
                unsafe { $splat(from.read() as i32) }
            }

            #[inline(always)]
            unsafe fn load(from: *const u32) -> $register {
                // SAFETY: the caller's.
                unsafe { $load(from.cast()) }
            }

            #[inline(always)]
            unsafe fn step(sums: $register, activations: $register, weights: $register) -> $register {
                // SAFETY: the caller's.
                unsafe { $dot(sums, weights, activations) }
            }

            #[inline(always)]
            unsafe fn activation(from: *const i8) -> u32 {
                // SAFETY: the caller's.
                unsafe { from.cast::<u32>().read_unaligned() }
            }

            #[inline(always)]
            unsafe fn weight(from: *const i8) -> u32 {
                // SAFETY: the caller's.
                unsafe { from.cast::<u32>().read_unaligned() ^ 0x8080_8080 }
            }

            #[inline(always)]
            unsafe fn start(from: *const i8, elements: usize) -> Option<i32> {
                // SAFETY: the caller's.
                let row = unsafe { std::slice::from_raw_parts(from, elements) };
                Some(-128 * row.iter().map(|&element| i32::from(element)).sum::<i32>())
            }

            $($pack)*
        }
    };
}

vnni_step!(
    VnniAvx512, 16, __m512i, _mm512_set1_epi32, _mm512_dpbusd_epi32, _mm512_loadu_si512,
    (_mm512_setzero_si512, _mm512_set1_epi32, _mm512_loadu_si512, _mm512_storeu_si512, _mm512_add_epi32),
    pack: {
        transposing_pack!(|row, weights| {
            let words = _mm512_loadu_si512(row.cast());
            if weights { _mm512_xor_si512(words, _mm512_set1_epi32(0x8080_8080_u32 as i32)) } else { words }
        });
    }
);
vnni_step!(
    VnniAvx2, 8, __m256i, _mm256_set1_epi32, _mm256_dpbusd_avx_epi32, _mm256_loadu_si256,
    (_mm256_setzero_si256, _mm256_set1_epi32, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_add_epi32),
    pack: {}
);

/// VPMADDWD: two products of widened bytes to each sum, for AVX2 without VNNI.
pub(super) struct PairsAvx2;

impl Step for PairsAvx2 {
    type Element = i8;
    type Sum = i32;
    type Word = u32;
    type Sums = __m256i;
    type Factor = __m256i;

    const GROUP: usize = 2;
    const WIDTH: usize = 8;

    sums!(
        i32,
        __m256i,
        _mm256_setzero_si256,
        _mm256_set1_epi32,
        _mm256_loadu_si256,
        _mm256_storeu_si256,
        _mm256_add_epi32,
        |a, b| a.wrapping_add(b)
    );

    #[inline(always)]
    unsafe fn splat(from: *const u32) -> __m256i {
        // SAFETY: the caller's.
        unsafe { _mm256_set1_epi32(from.read() as i32) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u32) -> __m256i {
        // SAFETY: the caller's.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn step(sums: __m256i, activations: __m256i, weights: __m256i) -> __m256i {
        // SAFETY: the caller's.
        unsafe { _mm256_add_epi32(sums, _mm256_madd_epi16(activations, weights)) }
    }

    #[inline(always)]
    unsafe fn activation(from: *const i8) -> u32 {
        // SAFETY: the caller's.
        let [low, high] = unsafe { from.cast::<[i8; 2]>().read() };
        u32::from(i16::from(low) as u16) | u32::from(i16::from(high) as u16) << 16
    }
}

fn has_bf16() -> bool {
    has_avx512() && is_x86_feature_detected!("avx512bf16")
}

fn has_vnni() -> bool {
    has_avx512() && is_x86_feature_detected!("avx512vnni")
}

fn has_avx_vnni() -> bool {
    has_avx2() && is_x86_feature_detected!("avxvnni")
}

pub(super) static ENGINES: &[Engine] = &[
    few!(
        "AVX-512 FMA, unpacked", Wide<Avx512, wide::F32, wide::F32, 1>, DType::F32, DType::F32, has_avx512, 32,
        "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"
    ),
    few!(
        "AVX-512 BF16 dot, unpacked",
        Bf16Dot<1>,
        DType::Bf16,
        DType::F32,
        has_bf16,
        32,
        "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma,f16c"
    ),
    few!(
        "widened to f32, AVX-512 FMA, unpacked", Wide<Avx512, wide::Bf16, wide::Bf16, 1>, DType::Bf16, DType::F32, has_avx512, 32,
        "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"
    ),
    few!(
        "AVX-512 VNNI, unpacked",
        Int8Dot,
        DType::Int8,
        DType::Int32,
        has_vnni,
        32,
        "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"
    ),
    few!("FMA3, unpacked", Wide<Avx2, wide::F32, wide::F32, 1>, DType::F32, DType::F32, has_avx2, 16, "avx2,fma,f16c"),
    few!(
        "widened to f32, FMA3, unpacked", Wide<Avx2, wide::Bf16, wide::Bf16, 1>, DType::Bf16, DType::F32, has_avx2, 16,
        "avx2,fma,f16c"
    ),
    engine!(
        "AVX-512 FMA, 14×32 tile",
        F32Avx512,
        has_avx512,
        14,
        2,
        32,
        "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"
    ),
    engine!(
        "AVX-512 FMA, 8×48 tile",
        F32Avx512,
        has_avx512,
        8,
        3,
        48,
        "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"
    ),
    engine!(
        "AVX-512 FMA, 14×16 tile",
        F64Avx512,
        has_avx512,
        14,
        2,
        16,
        "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"
    ),
    engine!(
        "AVX-512 BF16 dot, 14×32 tile",
        DotBf16Avx512,
        has_bf16,
        14,
        2,
        32,
        "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma,f16c"
    ),
    engine!(
        "widened to f32, AVX-512 FMA, 14×32 tile",
        WideAvx512,
        has_avx512,
        14,
        2,
        32,
        "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"
    ),
    engine!(
        "widened to f32, AVX-512 FMA, 8×48 tile",
        WideAvx512,
        has_avx512,
        8,
        3,
        48,
        "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"
    ),
    engine!(
        "AVX-512 VNNI, 14×32 tile",
        VnniAvx512,
        has_vnni,
        14,
        2,
        32,
        "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"
    ),
    engine!(
        "AVX-512 VNNI, 8×48 tile",
        VnniAvx512,
        has_vnni,
        8,
        3,
        48,
        "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"
    ),
    engine!("AVX-VNNI, 6×16 tile", VnniAvx2, has_avx_vnni, 6, 2, 16, "avx2,fma,f16c,avxvnni"),
    engine!("FMA3, 6×16 tile", F32Avx2, has_avx2, 6, 2, 16, "avx2,fma,f16c"),
    engine!("FMA3, 6×8 tile", F64Avx2, has_avx2, 6, 2, 8, "avx2,fma,f16c"),
    engine!("widened to f32, FMA3, 6×16 tile", WideAvx2, has_avx2, 6, 2, 16, "avx2,fma,f16c"),
    engine!("AVX2 16-bit pairs, 6×16 tile", PairsAvx2, has_avx2, 6, 2, 16, "avx2,fma,f16c"),
];

pub(super) static PREFILL: &[Prefill] = &[
    prefill!(
        "AVX-512 BF16 dot, 14×32 tile",
        Avx512,
        DotBf16Avx512,
        has_bf16,
        14,
        2,
        32,
        "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma,f16c"
    ),
    prefill!(
        "widened to f32, AVX-512 FMA, 14×32 tile",
        Avx512,
        WideAvx512,
        has_avx512,
        14,
        2,
        32,
        "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"
    ),
    prefill!("widened to f32, FMA3, 6×16 tile", Avx2, WideAvx2, has_avx2, 6, 2, 16, "avx2,fma,f16c"),
];
