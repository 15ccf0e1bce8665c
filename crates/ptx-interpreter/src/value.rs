//! Values in the 64-bit slots of registers: a slot holds the bits of a value, and zeros above them.

/// A Rust type that a slot can hold.
pub(crate) trait Value: Copy {
    /// The value in the low bits of a slot.
    fn from_slot(slot: u64) -> Self;
    /// The slot that holds the value.
    fn slot(self) -> u64;
}

macro_rules! integer_values {
    ($($signed:ty, $unsigned:ty;)*) => {$(
        impl Value for $unsigned {
            #[inline]
            fn from_slot(slot: u64) -> Self {
                slot as $unsigned
            }
            #[inline]
            fn slot(self) -> u64 {
                u64::from(self)
            }
        }
        impl Value for $signed {
            #[inline]
            fn from_slot(slot: u64) -> Self {
                slot as $signed
            }
            #[inline]
            fn slot(self) -> u64 {
                u64::from(self as $unsigned)
            }
        }
    )*};
}

integer_values! { i8, u8; i16, u16; i32, u32; }

impl Value for u64 {
    #[inline]
    fn from_slot(slot: u64) -> Self {
        slot
    }
    #[inline]
    fn slot(self) -> u64 {
        self
    }
}

impl Value for i64 {
    #[inline]
    fn from_slot(slot: u64) -> Self {
        slot as i64
    }
    #[inline]
    fn slot(self) -> u64 {
        self as u64
    }
}

impl Value for f32 {
    #[inline]
    fn from_slot(slot: u64) -> Self {
        f32::from_bits(slot as u32)
    }
    #[inline]
    fn slot(self) -> u64 {
        u64::from(self.to_bits())
    }
}

impl Value for f64 {
    #[inline]
    fn from_slot(slot: u64) -> Self {
        f64::from_bits(slot)
    }
    #[inline]
    fn slot(self) -> u64 {
        self.to_bits()
    }
}

impl Value for bool {
    #[inline]
    fn from_slot(slot: u64) -> Self {
        slot & 1 != 0
    }
    #[inline]
    fn slot(self) -> u64 {
        u64::from(self)
    }
}

/// Two values of 16 bits in one register, the first in the low half.
impl Value for [u16; 2] {
    #[inline]
    fn from_slot(slot: u64) -> Self {
        [slot as u16, (slot >> 16) as u16]
    }
    #[inline]
    fn slot(self) -> u64 {
        u64::from(self[0]) | u64::from(self[1]) << 16
    }
}
