//! Maps of tensors, with which kernels from Hopper on have boxes of matrices copied. The driver's function that makes them came with CUDA 12, so that it is looked for before it is
//! called.

use std::ffi::{c_uint, c_void};
use std::sync::OnceLock;

use cudarc::driver::sys::{
    self, CUtensorMapDataType as Kind, CUtensorMapFloatOOBfill as Fill, CUtensorMapInterleave as Interleave,
    CUtensorMapL2promotion as Promotion, CUtensorMapSwizzle as Swizzle,
};

use super::driver::{Code, look_up};
use super::gpu::Gpu;
use crate::backend::BackendError;

/// Dimensions of a tensor here at most.
const MOST_RANK: usize = 3;

/// What the driver wrote down of a tensor, as kernels take it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(128))]
pub(super) struct TensorMap([u64; 16]);

/// A tensor in device memory. The first dimension is the one whose elements follow one another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tensor<const RANK: usize> {
    pub(super) address: u64,
    /// Bytes of an element: 1, 2 or 4.
    pub(super) element: u64,
    /// Elements in each dimension, which lie without gaps.
    pub(super) sizes: [u64; RANK],
    /// Elements of a box in each dimension. In the first they are 128 bytes, whose vectors of 16 are exchanged by the number of their row.
    pub(super) tile: [u32; RANK],
}

type Encode = unsafe extern "C" fn(
    *mut TensorMap,
    c_uint,
    c_uint,
    *mut c_void,
    *const u64,
    *const u64,
    *const u32,
    *const u32,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
) -> Code;

/// The driver's function, if it has it.
fn encoder() -> Option<Encode> {
    static FOUND: OnceLock<Option<Encode>> = OnceLock::new();
    // SAFETY: the type is the function's, whose enums are numbers of 32 bits; whoever has a device has loaded the driver.
    *FOUND.get_or_init(|| unsafe { look_up("cuTensorMapEncodeTiled") }.ok())
}

impl<const RANK: usize> Tensor<RANK> {
    /// Has the driver write the map.
    ///
    /// # Errors
    /// When the driver is too old, or refuses the tensor.
    pub(super) fn map(&self, gpu: &Gpu) -> Result<TensorMap, BackendError> {
        const { assert!(RANK >= 1 && RANK <= MOST_RANK, "a stride for each dimension but the first") };
        let encode =
            encoder().ok_or_else(|| BackendError::no_kernel("the CUDA driver lacks `cuTensorMapEncodeTiled`"))?;
        let kind = match self.element {
            1 => Kind::CU_TENSOR_MAP_DATA_TYPE_UINT8,
            2 => Kind::CU_TENSOR_MAP_DATA_TYPE_UINT16,
            4 => Kind::CU_TENSOR_MAP_DATA_TYPE_UINT32,
            bytes => return Err(BackendError::System(format!("no tensor has elements of {bytes} bytes"))),
        };
        let mut strides = [0; MOST_RANK];
        let mut bytes = self.element;
        for (stride, size) in strides.iter_mut().zip(self.sizes) {
            bytes = bytes.saturating_mul(size);
            *stride = bytes;
        }
        let steps = [1; RANK];
        let mut map = TensorMap([0; 16]);
        // SAFETY: the map is aligned as the driver wants it; the lists have an entry for each dimension (strides one less), and all outlive the call. The driver keeps the address
        // and does not follow it.
        let result = unsafe {
            encode(
                &raw mut map,
                kind as c_uint,
                RANK as c_uint,
                std::ptr::without_provenance_mut(self.address as usize),
                self.sizes.as_ptr(),
                strides.as_ptr(),
                self.tile.as_ptr(),
                steps.as_ptr(),
                Interleave::CU_TENSOR_MAP_INTERLEAVE_NONE as c_uint,
                Swizzle::CU_TENSOR_MAP_SWIZZLE_128B as c_uint,
                Promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B as c_uint,
                Fill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE as c_uint,
            )
        };
        gpu.checked(result)?;
        Ok(map)
    }
}

const _: () = assert!(size_of::<TensorMap>() == size_of::<sys::CUtensorMap>(), "a map is what the driver's is");
