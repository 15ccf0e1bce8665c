//! Steps in plain Rust on groups of four words, which compilers turn into the baseline vectors of their target: also those of NEON.

use half::bf16;

use super::engine::{Engine, engine, few, prefill};
use super::step::Step;
#[cfg(target_arch = "aarch64")]
use crate::backend::cpu::isa::neon::Neon;
#[cfg(not(target_arch = "aarch64"))]
use crate::backend::cpu::isa::portable::Portable;
use crate::backend::cpu::kernels::attention::prefill::Engine as Prefill;
use crate::backend::cpu::kernels::dot::wide::{self, Wide};
use crate::dtype::DType;

macro_rules! plain_step {
    ($name:ident, $element:ty, $sum:ty, |$a:ident, $x:ident, $w:ident| $step:expr, |$p:ident, $q:ident| $plus:expr, |$from:ident| $word:expr) => {
        pub(super) struct $name;

        impl Step for $name {
            type Element = $element;
            type Sum = $sum;
            type Word = $sum;
            type Sums = [$sum; 4];
            type Factor = [$sum; 4];

            const GROUP: usize = 1;
            const WIDTH: usize = 4;

            #[inline(always)]
            unsafe fn zero() -> [$sum; 4] {
                [<$sum>::default(); 4]
            }

            #[inline(always)]
            unsafe fn splat_sum(sum: $sum) -> [$sum; 4] {
                [sum; 4]
            }

            #[inline(always)]
            unsafe fn splat(from: *const $sum) -> [$sum; 4] {
                // SAFETY: the caller's.
                [unsafe { from.read() }; 4]
            }

            #[inline(always)]
            unsafe fn load(from: *const $sum) -> [$sum; 4] {
                // SAFETY: the caller's.
                unsafe { from.cast::<[$sum; 4]>().read() }
            }

            #[inline(always)]
            unsafe fn step(sums: [$sum; 4], activations: [$sum; 4], weights: [$sum; 4]) -> [$sum; 4] {
                std::array::from_fn(|i| {
                    let ($a, $x, $w) = (sums[i], activations[i], weights[i]);
                    $step
                })
            }

            #[inline(always)]
            unsafe fn load_sums(from: *const $sum) -> [$sum; 4] {
                // SAFETY: the caller's.
                unsafe { from.cast::<[$sum; 4]>().read() }
            }

            #[inline(always)]
            unsafe fn store_sums(sums: [$sum; 4], to: *mut $sum) {
                // SAFETY: the caller's.
                unsafe { to.cast::<[$sum; 4]>().write(sums) }
            }

            #[inline(always)]
            unsafe fn add_sums(a: [$sum; 4], b: [$sum; 4]) -> [$sum; 4] {
                std::array::from_fn(|i| Self::add(a[i], b[i]))
            }

            #[inline(always)]
            fn add($p: $sum, $q: $sum) -> $sum {
                $plus
            }

            #[inline(always)]
            unsafe fn activation($from: *const $element) -> $sum {
                // SAFETY: the caller's.
                unsafe { $word }
            }
        }
    };
}

/// Fused where every processor of the architecture fuses; a fused operation without hardware would be a call.
macro_rules! multiply_add {
    ($sum:expr, $x:expr, $w:expr) => {
        if cfg!(target_arch = "aarch64") { $x.mul_add($w, $sum) } else { $sum + $x * $w }
    };
}

plain_step!(PlainF32, f32, f32, |sum, x, w| multiply_add!(sum, x, w), |a, b| a + b, |from| from.read());
plain_step!(PlainF64, f64, f64, |sum, x, w| multiply_add!(sum, x, w), |a, b| a + b, |from| from.read());
plain_step!(PlainBf16, bf16, f32, |sum, x, w| multiply_add!(sum, x, w), |a, b| a + b, |from| from.read().to_f32());
plain_step!(PlainInt8, i8, i32, |sum, x, w| sum.wrapping_add(x.wrapping_mul(w)), |a, b| a.wrapping_add(b), |from| {
    i32::from(from.read())
});

#[cfg(target_arch = "aarch64")]
pub(super) static ENGINES: &[Engine] = &[
    few!("NEON FMA, unpacked", Wide<Neon, wide::F32, wide::F32, 1>, DType::F32, DType::F32, || true, 16),
    few!("widened to f32, NEON FMA, unpacked", Wide<Neon, wide::Bf16, wide::Bf16, 1>, DType::Bf16, DType::F32, || true, 16),
    engine!("NEON FMA, 6×16 tile", PlainF32, || true, 6, 4, 16),
    engine!("NEON FMA, 6×8 tile", PlainF64, || true, 6, 2, 8),
    engine!("widened to f32, NEON FMA, 6×16 tile", PlainBf16, || true, 6, 4, 16),
    engine!("widened to 32 bits, NEON MLA, 6×16 tile", PlainInt8, || true, 6, 4, 16),
];

#[cfg(not(target_arch = "aarch64"))]
pub(super) static ENGINES: &[Engine] = &[
    few!("baseline, unpacked", Wide<Portable, wide::F32, wide::F32, 1>, DType::F32, DType::F32, || true, 16),
    few!("widened to f32, baseline, unpacked", Wide<Portable, wide::Bf16, wide::Bf16, 1>, DType::Bf16, DType::F32, || true, 16),
    engine!("baseline, 4×8 tile", PlainF32, || true, 4, 2, 8),
    engine!("baseline, 4×8 tile", PlainF64, || true, 4, 2, 8),
    engine!("widened to f32, baseline, 4×8 tile", PlainBf16, || true, 4, 2, 8),
    engine!("widened to 32 bits, baseline, 4×8 tile", PlainInt8, || true, 4, 2, 8),
];

#[cfg(target_arch = "aarch64")]
pub(super) static PREFILL: &[Prefill] =
    &[prefill!("widened to f32, NEON FMA, 6×16 tile", Neon, PlainBf16, || true, 6, 4, 16)];

#[cfg(not(target_arch = "aarch64"))]
pub(super) static PREFILL: &[Prefill] =
    &[prefill!("widened to f32, baseline, 4×8 tile", Portable, PlainBf16, || true, 4, 2, 8)];
