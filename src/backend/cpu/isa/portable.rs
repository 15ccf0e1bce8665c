//! Plain Rust in groups of 4 elements, which compilers turn into the baseline vectors of their target. It has no non-temporal
//! stores.

use super::Vector;

#[derive(Clone, Copy)]
#[repr(align(16))]
pub(in crate::backend::cpu) struct Portable([f32; 4]);

impl Vector for Portable {
    const WIDTH: usize = 4;
    const REGISTERS: usize = 16;

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
    unsafe fn load_unaligned(from: *const f32) -> Self {
        // SAFETY: the caller's.
        Self(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store_unaligned(self, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] - other.0[i]))
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] / other.0[i]))
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].max(other.0[i])))
    }

    /// Rounded twice: a fused operation without hardware would be a call.
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * factor.0[i] + addend.0[i]))
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        (self.0[0] + self.0[2]) + (self.0[1] + self.0[3])
    }

    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        self.0[0].max(self.0[2]).max(self.0[1].max(self.0[3]))
    }

    #[inline(always)]
    unsafe fn shift_to_exponent(self) -> Self {
        Self(std::array::from_fn(|i| f32::from_bits(self.0[i].to_bits() << 23)))
    }

    #[inline(always)]
    unsafe fn from_bf16(from: *const u16) -> Self {
        // SAFETY: the caller's.
        let halves = unsafe { from.cast::<[u16; 4]>().read_unaligned() };
        Self(halves.map(|half| f32::from_bits(u32::from(half) << 16)))
    }

    #[inline(always)]
    unsafe fn from_bf16_pairs(from: *const u16) -> [Self; 2] {
        // SAFETY: the caller's.
        let halves = unsafe { from.cast::<[u16; 8]>().read_unaligned() };
        let at = |place: usize| f32::from_bits(u32::from(halves[place]) << 16);
        [Self(std::array::from_fn(|i| at(2 * i))), Self(std::array::from_fn(|i| at(2 * i + 1)))]
    }

    #[inline(always)]
    unsafe fn from_f16(from: *const u16) -> Self {
        // SAFETY: the caller's.
        let halves = unsafe { from.cast::<[u16; 4]>().read_unaligned() };
        Self(halves.map(|half| half::f16::from_bits(half).to_f32()))
    }

    #[inline(always)]
    unsafe fn from_int8(from: *const i8) -> Self {
        // SAFETY: the caller's.
        Self(unsafe { from.cast::<[i8; 4]>().read_unaligned() }.map(f32::from))
    }

    #[inline(always)]
    unsafe fn from_nibbles(from: *const u8, nibble: u32) -> Self {
        // SAFETY: the caller's.
        let words = unsafe { from.cast::<[u32; 4]>().read_unaligned() };
        Self(words.map(|word| (word.to_le() >> (4 * nibble) & 15) as f32 - 8.0))
    }

    #[inline(always)]
    unsafe fn to_bf16(self, to: *mut u16) {
        let round = |value: f32| ((value.to_bits() + (value.to_bits() >> 16 & 1) + 0x7fff) >> 16) as u16;
        // SAFETY: the caller's.
        unsafe { to.cast::<[u16; 4]>().write_unaligned(self.0.map(round)) }
    }
}
