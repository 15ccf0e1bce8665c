//! Maps of tensors.

use std::ffi::{c_int, c_uint};

use ptx_interpreter::{TENSOR_MAP_BYTES, TensorMap};

use crate::code::Code;
use crate::driver::ready;
use crate::pointer::{In, Out};

/// The first compute capability that copies boxes of tensors.
const FIRST_CAPABILITY: u32 = 90;
/// What maps are aligned to.
const ALIGNMENT: usize = 64;
/// Elements by the number of their type (`CUtensorMapDataType`), which matter by their bytes alone.
const ELEMENT_BYTES: [u32; 13] = [1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4];
/// Vectors of 16 bytes that are exchanged in patterns of 128 (`CU_TENSOR_MAP_SWIZZLE_128B`).
const EXCHANGED: c_int = 3;

/// Bytes of a map, as the driver hands it out.
pub(crate) type Map = [u8; TENSOR_MAP_BYTES];

entries! {
    fn cuTensorMapEncodeTiled(
        map: Out<Map>,
        kind: c_uint,
        rank: c_uint,
        address: u64,
        sizes: In<u64>,
        strides: In<u64>,
        tile: In<u32>,
        element_strides: In<u32>,
        interleave: c_int,
        exchange: c_int,
        promotion: c_int,
        fill: c_int,
    ) {
        let driver = ready()?;
        driver.current()?;
        if driver.knobs.capability < FIRST_CAPABILITY {
            return Err(Code::NOT_SUPPORTED);
        }
        let count = rank as usize;
        let element_bytes = ELEMENT_BYTES.get(kind as usize).copied();
        if !(1..=5).contains(&count) || !(map.0 as usize).is_multiple_of(ALIGNMENT) || !(0..=3).contains(&promotion) {
            return Err(Code::INVALID_VALUE);
        }
        let apart = element_strides.values(count)?.iter().any(|stride| *stride != 1);
        // What nobody asks for so far is not understood either.
        if apart || interleave != 0 || fill != 0 || !matches!(exchange, 0 | EXCHANGED) {
            return Err(Code::NOT_SUPPORTED);
        }
        let own = TensorMap {
            address,
            element_bytes: element_bytes.ok_or(Code::INVALID_VALUE)?,
            sizes: sizes.values(count)?.to_vec(),
            strides: strides.values(count - 1)?.to_vec(),
            tile: tile.values(count)?.to_vec(),
            exchanged: exchange == EXCHANGED,
        };
        own.check().map_err(|reason| {
            eprintln!("stand-in CUDA driver: a map of a tensor: {reason}");
            Code::INVALID_VALUE
        })?;
        map.put(own.to_bytes())?;
        driver.too(|other| {
            other.encode(|encode| {
                encode(
                    map, kind, rank, address, sizes, strides, tile, element_strides, interleave, exchange, promotion,
                    fill,
                )
            })
        })?;
        // Another driver's maps are what the caller gets; here they stand for one's own.
        driver.note_map(map.get()?, own.to_bytes());
        Ok(())
    }
}
