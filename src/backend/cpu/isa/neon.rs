//! NEON: 4 elements, on every 64-bit Arm.

use std::arch::aarch64::*;

use super::Vector;

#[derive(Clone, Copy)]
pub(in crate::backend::cpu) struct Neon(float32x4_t);

impl Vector for Neon {
    const WIDTH: usize = 4;
    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's.
        Self(unsafe { vld1q_f32(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { vst1q_f32(to, self.0) }
    }

    /// STNP stores a pair of registers with a hint that they are not needed again; here the vector's two halves.
    #[inline(always)]
    unsafe fn store_non_temporal(self, to: *mut f32) {
        // SAFETY: the caller's; 16 bytes are written at `to`.
        unsafe {
            let upper = vextq_f32::<2>(self.0, self.0);
            std::arch::asm!(
                "stnp {lower:d}, {upper:d}, [{to}]",
                to = in(reg) to, lower = in(vreg) self.0, upper = in(vreg) upper,
                options(nostack, preserves_flags),
            );
        }
    }

    #[inline(always)]
    unsafe fn fence() {
        // SAFETY: a barrier touches nothing.
        unsafe { std::arch::asm!("dmb ishst", options(nostack, preserves_flags)) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller's.
        Self(unsafe { vdupq_n_f32(value) })
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller's.
        Self(unsafe { vaddq_f32(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: the caller's.
        Self(unsafe { vmulq_f32(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn add_bits(self, other: Self) -> Self {
        // SAFETY: the caller's.
        unsafe { Self(vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(self.0), vreinterpretq_u32_f32(other.0)))) }
    }

    #[inline(always)]
    unsafe fn load_unaligned(from: *const f32) -> Self {
        // SAFETY: the caller's.
        Self(unsafe { vld1q_f32(from) })
    }

    #[inline(always)]
    unsafe fn store_unaligned(self, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { vst1q_f32(to, self.0) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the caller's.
        Self(unsafe { vsubq_f32(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: the caller's.
        Self(unsafe { vdivq_f32(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: the caller's.
        Self(unsafe { vmaxq_f32(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: the caller's.
        Self(unsafe { vfmaq_f32(addend.0, self.0, factor.0) })
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the caller's.
        unsafe { vaddvq_f32(self.0) }
    }

    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        // SAFETY: the caller's.
        unsafe { vmaxvq_f32(self.0) }
    }

    #[inline(always)]
    unsafe fn shift_to_exponent(self) -> Self {
        // SAFETY: the caller's.
        Self(unsafe { vreinterpretq_f32_u32(vshlq_n_u32::<23>(vreinterpretq_u32_f32(self.0))) })
    }

    #[inline(always)]
    unsafe fn from_bf16(from: *const u16) -> Self {
        // SAFETY: the caller's.
        Self(unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(from))) })
    }

    #[inline(always)]
    unsafe fn from_bf16_pairs(from: *const u16) -> [Self; 2] {
        // SAFETY: the caller's.
        unsafe {
            let pairs = vreinterpretq_u32_u16(vld1q_u16(from));
            let odd = vandq_u32(pairs, vdupq_n_u32(0xffff_0000));
            [Self(vreinterpretq_f32_u32(vshlq_n_u32::<16>(pairs))), Self(vreinterpretq_f32_u32(odd))]
        }
    }

    /// FCVTL, which every 64-bit Arm has.
    #[inline(always)]
    unsafe fn from_f16(from: *const u16) -> Self {
        // SAFETY: the caller's; the instruction touches two registers.
        unsafe {
            let (halves, widened): (uint16x4_t, float32x4_t) = (vld1_u16(from), vdupq_n_f32(0.0));
            let mut widened = widened;
            std::arch::asm!(
                "fcvtl {wide:v}.4s, {half:v}.4h",
                wide = inout(vreg) widened, half = in(vreg) halves,
                options(pure, nomem, nostack, preserves_flags),
            );
            Self(widened)
        }
    }

    #[inline(always)]
    unsafe fn from_int8(from: *const i8) -> Self {
        // SAFETY: the caller's: four bytes are read.
        unsafe {
            let word = vreinterpret_s8_u32(vdup_n_u32(from.cast::<u32>().read_unaligned()));
            Self(vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(word)))))
        }
    }

    #[inline(always)]
    unsafe fn from_nibbles(from: *const u8, nibble: u32) -> Self {
        // SAFETY: the caller's.
        unsafe {
            let words = vshlq_u32(vreinterpretq_u32_u8(vld1q_u8(from)), vdupq_n_s32(-4 * nibble as i32));
            let value = vandq_u32(words, vdupq_n_u32(15));
            Self(vsubq_f32(vcvtq_f32_u32(value), vdupq_n_f32(8.0)))
        }
    }

    #[inline(always)]
    unsafe fn to_bf16(self, to: *mut u16) {
        // SAFETY: the caller's.
        unsafe {
            let bits = vreinterpretq_u32_f32(self.0);
            let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
            let rounded = vaddq_u32(vaddq_u32(bits, odd), vdupq_n_u32(0x7fff));
            vst1_u16(to, vshrn_n_u32::<16>(rounded));
        }
    }
}
