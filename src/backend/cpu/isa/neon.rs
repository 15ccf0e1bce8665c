//! NEON: 4 elements, on every 64-bit Arm.

use std::arch::aarch64::{
    float32x4_t, vaddq_f32, vaddq_u32, vdupq_n_f32, vextq_f32, vld1q_f32, vmulq_f32, vreinterpretq_f32_u32,
    vreinterpretq_u32_f32, vst1q_f32,
};

use super::Vector;

#[derive(Clone, Copy)]
pub(in crate::backend::cpu) struct Neon(float32x4_t);

impl Vector for Neon {
    const WIDTH: usize = 4;

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
    fn prefetch(from: *const f32) {
        // SAFETY: a prefetch of any address is harmless.
        unsafe {
            std::arch::asm!("prfm pldl1keep, [{from}]", from = in(reg) from, options(nostack, preserves_flags, readonly))
        }
    }
}
