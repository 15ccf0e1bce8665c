//! Vectors of `f32`, one file per instruction set, and how a kernel written over them is compiled for each. Which one runs is decided at run time.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
pub(super) mod portable;

/// What kernels do with a vector register.
///
/// Implementations are `#[inline(always)]`: they become part of a caller that has the instruction set enabled.
pub(super) trait Vector: Copy {
    /// Elements per vector. Divides 64.
    const WIDTH: usize;
    /// Vectors that the instruction set has room for.
    const REGISTERS: usize;

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

    /// # Safety
    /// The instruction set is available; `WIDTH` elements can be read at `from`.
    unsafe fn load_unaligned(from: *const f32) -> Self;

    /// # Safety
    /// The instruction set is available; `WIDTH` elements can be written at `to`.
    unsafe fn store_unaligned(self, to: *mut f32);

    /// # Safety
    /// The instruction set is available.
    unsafe fn sub(self, other: Self) -> Self;

    /// # Safety
    /// The instruction set is available.
    unsafe fn div(self, other: Self) -> Self;

    /// # Safety
    /// The instruction set is available.
    unsafe fn max(self, other: Self) -> Self;

    /// `self · factor + addend`, rounded once where the instruction set can.
    ///
    /// # Safety
    /// The instruction set is available.
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self;

    /// The sum of the elements.
    ///
    /// # Safety
    /// The instruction set is available.
    unsafe fn sum(self) -> f32;

    /// The sums of the elements of four vectors.
    ///
    /// # Safety
    /// The instruction set is available.
    #[inline(always)]
    unsafe fn four_sums(vectors: [Self; 4]) -> [f32; 4] {
        let mut sums = [0.0; 4];
        for (sum, vector) in sums.iter_mut().zip(vectors) {
            // SAFETY: the caller's.
            *sum = unsafe { vector.sum() };
        }
        sums
    }

    /// The sums of the elements of some vectors.
    ///
    /// # Safety
    /// The instruction set is available.
    #[inline(always)]
    unsafe fn sums<const N: usize>(vectors: [Self; N], to: &mut [f32]) {
        let (fours, rest) = vectors.as_chunks::<4>();
        let (to_fours, to_rest) = to.as_chunks_mut::<4>();
        // SAFETY: the caller's.
        unsafe {
            for (four, to) in fours.iter().zip(to_fours) {
                *to = Self::four_sums(*four);
            }
            for (vector, to) in rest.iter().zip(to_rest) {
                *to = vector.sum();
            }
        }
    }

    /// The largest element.
    ///
    /// # Safety
    /// The instruction set is available.
    unsafe fn largest(self) -> f32;

    /// Shifts the elements' bit patterns left by 23, which makes a small integer an exponent.
    ///
    /// # Safety
    /// The instruction set is available.
    unsafe fn shift_to_exponent(self) -> Self;

    /// # Safety
    /// The instruction set is available; `WIDTH` bfloat16 can be read at `from`.
    unsafe fn from_bf16(from: *const u16) -> Self;

    /// Of `2 · WIDTH` bfloat16 those at even places, and those at odd ones.
    ///
    /// # Safety
    /// The instruction set is available; `2 · WIDTH` bfloat16 can be read at `from`.
    unsafe fn from_bf16_pairs(from: *const u16) -> [Self; 2];

    /// # Safety
    /// The instruction set is available; `WIDTH` binary16 can be read at `from`.
    unsafe fn from_f16(from: *const u16) -> Self;

    /// # Safety
    /// The instruction set is available; `WIDTH` bytes can be read at `from`.
    unsafe fn from_int8(from: *const i8) -> Self;

    /// The four bits at `4 · nibble` of each of `WIDTH` 32-bit words, less 8.
    ///
    /// # Safety
    /// The instruction set is available; `4 · WIDTH` bytes can be read at `from`; `nibble` is below 8.
    unsafe fn from_nibbles(from: *const u8, nibble: u32) -> Self;

    /// Rounds to bfloat16, to nearest even. Not for NaN.
    ///
    /// # Safety
    /// The instruction set is available; `WIDTH` bfloat16 can be written at `to`.
    unsafe fn to_bf16(self, to: *mut u16);
}

/// A kernel compiled for an instruction set.
pub(super) struct Compiled<F> {
    /// The instruction set, for the profile.
    pub(super) isa: &'static str,
    /// Whether this machine has it.
    pub(super) available: fn() -> bool,
    /// The kernel. Calling it needs the instruction set.
    pub(super) function: F,
}

/// The first of some compiled kernels that this machine can run. The last is for every machine.
pub(super) fn best<F>(kernels: &'static [Compiled<F>]) -> Option<&'static Compiled<F>> {
    kernels.iter().find(|kernel| (kernel.available)())
}

/// Whether this machine has what `for_every_isa` compiles its AVX-512 kernels for.
#[cfg(target_arch = "x86_64")]
pub(super) fn has_avx512() -> bool {
    has_avx2()
        && std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512dq")
}

/// Whether this machine has what `for_every_isa` compiles its AVX2 kernels for.
#[cfg(target_arch = "x86_64")]
pub(super) fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("f16c")
}

/// A table of one function, compiled for every instruction set of the architecture, best first. Within the body, `V` is the vector.
macro_rules! for_every_isa {
    (fn($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block) => {
        const {
            &[
                #[cfg(target_arch = "x86_64")]
                $crate::backend::cpu::isa::Compiled {
                    isa: "AVX-512",
                    available: $crate::backend::cpu::isa::has_avx512,
                    function: {
                        #[allow(dead_code, reason = "not every kernel names its vector")]
                        type V = $crate::backend::cpu::isa::avx512::Avx512;
                        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")]
                        unsafe fn compiled($($argument: $type),*) $(-> $result)? $body
                        compiled as unsafe fn($($type),*) $(-> $result)?
                    },
                },
                #[cfg(target_arch = "x86_64")]
                $crate::backend::cpu::isa::Compiled {
                    isa: "AVX2",
                    available: $crate::backend::cpu::isa::has_avx2,
                    function: {
                        #[allow(dead_code, reason = "not every kernel names its vector")]
                        type V = $crate::backend::cpu::isa::avx2::Avx2;
                        #[target_feature(enable = "avx2,fma,f16c")]
                        unsafe fn compiled($($argument: $type),*) $(-> $result)? $body
                        compiled as unsafe fn($($type),*) $(-> $result)?
                    },
                },
                #[cfg(target_arch = "aarch64")]
                $crate::backend::cpu::isa::Compiled {
                    isa: "NEON",
                    available: || true,
                    function: {
                        #[allow(dead_code, reason = "not every kernel names its vector")]
                        type V = $crate::backend::cpu::isa::neon::Neon;
                        #[target_feature(enable = "neon")]
                        unsafe fn compiled($($argument: $type),*) $(-> $result)? $body
                        compiled as unsafe fn($($type),*) $(-> $result)?
                    },
                },
                $crate::backend::cpu::isa::Compiled {
                    isa: "portable",
                    available: || true,
                    function: {
                        #[allow(dead_code, reason = "not every kernel names its vector")]
                        type V = $crate::backend::cpu::isa::portable::Portable;
                        unsafe fn compiled($($argument: $type),*) $(-> $result)? $body
                        compiled as unsafe fn($($type),*) $(-> $result)?
                    },
                },
            ]
        }
    };
}
pub(super) use for_every_isa;

/// e to the power of each element, to about two units in the last place between -87 and 88; beyond, the value there.
///
/// # Safety
/// The vector's instruction set is available.
#[inline(always)]
pub(super) unsafe fn exp<V: Vector>(x: V) -> V {
    // SAFETY: the caller's.
    unsafe {
        let zero = V::splat(0.0);
        let x = x.max(V::splat(-87.0));
        let x = zero.sub(zero.sub(x).max(V::splat(-88.0)));
        // Adding 1.5 · 2²³ leaves the nearest integer in the low bits.
        let magic = V::splat(12_582_912.0);
        let shifted = x.mul_add(V::splat(std::f32::consts::LOG2_E), magic);
        let n = shifted.sub(magic);
        // ln 2 in two parts, so that the remainder is exact.
        let r = n.mul_add(V::splat(-0.693_359_4), x);
        let r = n.mul_add(V::splat(2.121_944_4e-4), r);
        // Cephes' polynomial for the remainder.
        let mut p = V::splat(1.987_569_1e-4);
        p = p.mul_add(r, V::splat(1.398_199_9e-3));
        p = p.mul_add(r, V::splat(8.333_452e-3));
        p = p.mul_add(r, V::splat(4.166_579_6e-2));
        p = p.mul_add(r, V::splat(1.666_666_5e-1));
        p = p.mul_add(r, V::splat(0.5));
        let p = p.mul_add(r.mul(r), r.add(V::splat(1.0)));
        p.mul(shifted.shift_to_exponent().add_bits(V::splat(1.0)))
    }
}
