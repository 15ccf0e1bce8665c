//! The product as each crate wants to be called.

use faer::{Accum, MatMut, MatRef, Par};
use rten_gemm::{GemmExecutor, GemmInT, GemmInputA, GemmInputB, GemmOptions, GemmOutT};
use rten_tensor::NdTensorView;

use crate::matrices::{Matrices, Shape};

pub fn gemm<T: num::Number>(work: &mut Matrices<T>, threads: usize) {
    let Shape { m, n, k } = work.shape;
    let parallelism = if threads > 1 { gemm::Parallelism::Rayon(threads) } else { gemm::Parallelism::None };
    // SAFETY: the strides are those of matrices that have these sizes.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            work.c.as_mut_ptr(),
            1,
            n as isize,
            false,
            work.a.as_ptr(),
            1,
            k as isize,
            work.b.as_ptr(),
            k as isize,
            1,
            T::ZERO,
            T::ONE,
            false,
            false,
            false,
            parallelism,
        );
    }
}

pub fn faer<T: num::Number>(work: &mut Matrices<T>, threads: usize) {
    let Shape { m, n, k } = work.shape;
    let parallelism = if threads > 1 { Par::rayon(threads) } else { Par::Seq };
    let a = MatRef::from_row_major_slice(&work.a, m, k);
    let b = MatRef::from_row_major_slice(&work.b, n, k);
    let c = MatMut::from_row_major_slice_mut(&mut work.c, m, n);
    faer::linalg::matmul::matmul(c, Accum::Replace, a, b.transpose(), T::ONE, parallelism);
}

macro_rules! matrixmultiply {
    ($name:ident, $type:ty, $multiply:path) => {
        pub fn $name(work: &mut Matrices<$type>) {
            let Shape { m, n, k } = work.shape;
            let (row, wide) = (k as isize, n as isize);
            let (a, b, c) = (work.a.as_ptr(), work.b.as_ptr(), work.c.as_mut_ptr());
            // SAFETY: the strides are those of matrices that have these sizes.
            unsafe { $multiply(m, k, n, 1.0, a, row, 1, b, 1, row, 0.0, c, wide, 1) }
        }
    };
}

matrixmultiply!(matrixmultiply_f32, f32, matrixmultiply::sgemm);
matrixmultiply!(matrixmultiply_f64, f64, matrixmultiply::dgemm);

pub fn rten<A: GemmInT, B: GemmInT, C: GemmOutT>(executor: &GemmExecutor<A, B, C>) -> impl Fn(&mut Matrices<A, B, C>) {
    move |work| {
        let Shape { m, n, k } = work.shape;
        let a = NdTensorView::from_data([m, k], work.a.as_slice());
        let b = NdTensorView::from_data([n, k], work.b.as_slice());
        let (a, b) = (GemmInputA::Unpacked(a), GemmInputB::Unpacked(b.transposed()));
        executor.gemm(&mut work.c, a, b, GemmOptions::default()).expect("the sizes fit");
    }
}

mod num {
    /// What `gemm` and `faer` both multiply.
    pub trait Number: faer::traits::ComplexField + 'static {
        const ZERO: Self;
        const ONE: Self;
    }

    impl Number for f32 {
        const ZERO: Self = 0.0;
        const ONE: Self = 1.0;
    }

    impl Number for f64 {
        const ZERO: Self = 0.0;
        const ONE: Self = 1.0;
    }
}
