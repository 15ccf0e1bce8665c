//! Vectors of `f32` for the streaming kernels, one file per instruction set. Which one runs is decided at run time.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
pub(super) mod portable;

/// What a streaming kernel does with a vector register.
///
/// Implementations are `#[inline(always)]`: they become part of a caller that has the instruction set enabled.
pub(super) trait Vector: Copy {
    /// Elements per vector. Divides 64.
    const WIDTH: usize;

    /// # Safety
    /// The instruction set is available; `WIDTH` elements can be read at `from`, which is aligned to the vector.
    unsafe fn load(from: *const f32) -> Self;

    /// # Safety
    /// The instruction set is available; `WIDTH` elements can be written at `to`, which is aligned to the vector.
    unsafe fn store(self, to: *mut f32);

    /// A store that goes past the caches.
    ///
    /// # Safety
    /// As for [`Vector::store`]; [`Vector::fence`] follows before the data is relied upon.
    unsafe fn store_non_temporal(self, to: *mut f32);

    /// Orders non-temporal stores before what follows.
    ///
    /// # Safety
    /// The instruction set is available.
    unsafe fn fence();

    /// # Safety
    /// The instruction set is available.
    unsafe fn splat(value: f32) -> Self;

    /// # Safety
    /// The instruction set is available.
    unsafe fn add(self, other: Self) -> Self;

    /// # Safety
    /// The instruction set is available.
    unsafe fn mul(self, other: Self) -> Self;

    /// Adds the elements' bit patterns as wrapping 32-bit integers: a checksum that does not depend on the order.
    ///
    /// # Safety
    /// The instruction set is available.
    unsafe fn add_bits(self, other: Self) -> Self;

    /// Asks for the data at an address, which need not exist.
    fn prefetch(from: *const f32);
}
