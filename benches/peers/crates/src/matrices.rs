//! The operands, with random elements, and the check of the result.

use std::str::FromStr;

/// m, n and k of C[m, n] = A[m, k] · B[n, k]ᵀ.
#[derive(Clone, Copy)]
pub struct Shape {
    pub m: usize,
    pub n: usize,
    pub k: usize,
}

impl Shape {
    pub fn operations(self) -> f64 {
        2.0 * self.m as f64 * self.n as f64 * self.k as f64
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes: Vec<usize> = text.split('x').filter_map(|size| size.parse().ok()).collect();
        match sizes.as_slice() {
            &[m, n, k] if m * n * k > 0 => Ok(Self { m, n, k }),
            _ => Err(format!("{text} is not a shape such as 512x512x512")),
        }
    }
}

/// A number format.
pub trait Element: Copy {
    /// What the result may be off, as a share of the largest sum possible; integers are exact.
    const TOLERANCE: f64;
    /// An element from 64 random bits: a fraction around 0, or any integer.
    fn random(bits: u64) -> Self;
    fn to_f64(self) -> f64;
}

macro_rules! element {
    ($type:ty, $tolerance:expr, $random:expr) => {
        impl Element for $type {
            const TOLERANCE: f64 = $tolerance;

            fn random(bits: u64) -> Self {
                $random(bits)
            }

            fn to_f64(self) -> f64 {
                f64::from(self)
            }
        }
    };
}

element!(f32, 1e-6, |bits| (bits >> 40) as f32 / (1 << 24) as f32 - 0.5);
element!(f64, 1e-14, |bits| (bits >> 11) as f64 / (1u64 << 53) as f64 - 0.5);
element!(u8, 0.0, |bits| (bits >> 56) as u8);
element!(i8, 0.0, |bits| (bits >> 56) as i8);
element!(i32, 0.0, |bits| bits as i32);

/// All matrices, row by row. C is filled with noise, so that what is not written is noticed.
pub struct Matrices<A, B = A, C = A> {
    pub shape: Shape,
    pub a: Vec<A>,
    pub b: Vec<B>,
    pub c: Vec<C>,
}

impl<A: Element, B: Element, C: Element> Matrices<A, B, C> {
    pub fn new(shape: Shape) -> Self {
        let Shape { m, n, k } = shape;
        let mut state = 1;
        Self { shape, a: random(m * k, &mut state), b: random(n * k, &mut state), c: random(m * n, &mut state) }
    }

    /// Compares some elements of C with sums in binary64.
    pub fn verify(&self) -> Result<(), String> {
        let Shape { m, n, k } = self.shape;
        for sample in 0..256 {
            let (i, j) = (sample * 7919 % m, sample * 104_729 % n);
            let row = self.a[i * k..][..k].iter().map(|x| x.to_f64());
            let column = self.b[j * k..][..k].iter().map(|x| x.to_f64());
            let expected: f64 = row.zip(column).map(|(x, y)| x * y).sum();
            let found = self.c[i * n + j].to_f64();
            // A comparison that a NaN fails.
            if !((found - expected).abs() <= C::TOLERANCE * k as f64) {
                return Err(format!("wrong result: {found} instead of {expected}"));
            }
        }
        Ok(())
    }
}

fn random<T: Element>(length: usize, state: &mut u64) -> Vec<T> {
    (0..length)
        .map(|_| {
            // SplitMix64.
            *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut bits = *state;
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            T::random(bits ^ (bits >> 31))
        })
        .collect()
}
