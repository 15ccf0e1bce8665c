//! Plain Rust in groups of 4 elements, which compilers turn into the baseline vectors of their target. It has no non-temporal
//! stores.

use super::Vector;

#[derive(Clone, Copy)]
#[repr(align(16))]
pub(in crate::backend::cpu) struct Portable([f32; 4]);

impl Vector for Portable {
    const WIDTH: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's.
        unsafe { from.cast::<Self>().read() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { to.cast::<Self>().write(self) }
    }

    #[inline(always)]
    unsafe fn store_non_temporal(self, to: *mut f32) {
        // SAFETY: the caller's. An ordinary store: the kernel table offers no non-temporal kernel for this vector.
        unsafe { self.store(to) }
    }

    #[inline(always)]
    unsafe fn fence() {}

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * other.0[i]))
    }

    #[inline(always)]
    unsafe fn add_bits(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| f32::from_bits(self.0[i].to_bits().wrapping_add(other.0[i].to_bits()))))
    }
    #[inline(always)]
    fn prefetch(_: *const f32) {}
}
