//! Tensor maps: what a driver writes down of a tensor for copies of boxes of it (`CUtensorMap`), here in a form of its own.

/// Bytes of a map.
pub const TENSOR_MAP_BYTES: usize = 128;
/// What a map begins with: other bytes are none.
const MAGIC: u64 = 0x7469_6c65_6d61_7000;
const WORDS: usize = TENSOR_MAP_BYTES / 8;
/// Dimensions at most, and elements of a box in each.
const MOST_RANK: usize = 5;
const MOST_OF_BOX: u32 = 256;
/// What addresses and strides are multiples of, and bytes of a box's rows where they are exchanged.
const GRANULE: u64 = 16;
const EXCHANGED_BYTES: u64 = 128;

/// A tensor in global memory, and the boxes of it that are copied. The first dimension is the one whose elements follow
/// one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorMap {
    /// Where it begins.
    pub address: u64,
    /// Bytes of an element: 1, 2, 4 or 8.
    pub element_bytes: u32,
    /// Elements in each dimension.
    pub sizes: Vec<u64>,
    /// Bytes from an element to the next one in each dimension but the first.
    pub strides: Vec<u64>,
    /// Elements of a box in each dimension.
    pub tile: Vec<u32>,
    /// Whether vectors of 16 bytes are exchanged in shared memory: bits 4 to 6 of their address by bits 7 to 9.
    pub exchanged: bool,
}

impl TensorMap {
    /// What a driver refuses.
    ///
    /// # Errors
    /// The reason.
    pub fn check(&self) -> Result<(), String> {
        let rank = self.sizes.len();
        if rank == 0 || rank > MOST_RANK || self.strides.len() + 1 != rank || self.tile.len() != rank {
            return Err(format!("a tensor has 1 to {MOST_RANK} dimensions, and a stride for each but the first"));
        }
        if !matches!(self.element_bytes, 1 | 2 | 4 | 8) {
            return Err(format!("elements of {} bytes", self.element_bytes));
        }
        if !self.address.is_multiple_of(GRANULE) || self.strides.iter().any(|stride| !stride.is_multiple_of(GRANULE)) {
            return Err(format!("the address and strides are multiples of {GRANULE}"));
        }
        let is_long = |stride: &u64| *stride >= 1 << 40;
        if self.strides.iter().any(is_long) || self.sizes.iter().any(|size| *size == 0 || *size > 1 << 32) {
            return Err("a size is 0 or beyond 2³², or a stride beyond 2⁴⁰".to_owned());
        }
        if self.tile.iter().any(|count| *count == 0 || *count > MOST_OF_BOX) {
            return Err(format!("a box has 1 to {MOST_OF_BOX} elements in each dimension"));
        }
        let row = self.row_bytes();
        if !row.is_multiple_of(GRANULE) || self.exchanged && row > EXCHANGED_BYTES {
            return Err(format!("a box has rows of {row} bytes"));
        }
        Ok(())
    }

    /// Bytes of a box in its first dimension.
    pub(crate) fn row_bytes(&self) -> u64 {
        u64::from(self.element_bytes) * self.tile.first().map_or(0, |count| u64::from(*count))
    }

    /// Bytes of a box.
    pub(crate) fn box_bytes(&self) -> u64 {
        self.tile.iter().fold(u64::from(self.element_bytes), |bytes, count| bytes * u64::from(*count))
    }

    /// The map as a driver hands it out.
    pub fn to_bytes(&self) -> [u8; TENSOR_MAP_BYTES] {
        let mut words = [0_u64; WORDS];
        words[0] = MAGIC | self.sizes.len() as u64;
        words[1] = self.address;
        words[2] = u64::from(self.element_bytes) | u64::from(self.exchanged) << 32;
        for (word, size) in words[3..].iter_mut().zip(self.sizes.iter().take(MOST_RANK)) {
            *word = *size;
        }
        for (word, stride) in words[3 + MOST_RANK..].iter_mut().zip(self.strides.iter().take(MOST_RANK - 1)) {
            *word = *stride;
        }
        for (index, count) in self.tile.iter().take(MOST_RANK).enumerate() {
            words[2 + 2 * MOST_RANK + index / 2] |= u64::from(*count) << (32 * (index % 2));
        }
        let mut bytes = [0; TENSOR_MAP_BYTES];
        for (piece, word) in bytes.chunks_exact_mut(8).zip(words) {
            piece.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The map of some bytes, unless they are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut words = [0_u64; WORDS];
        for (word, piece) in words.iter_mut().zip(bytes.get(..TENSOR_MAP_BYTES)?.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*piece);
        }
        let rank = (words[0] ^ MAGIC) as usize;
        if words[0] & !0xff != MAGIC || !(1..=MOST_RANK).contains(&rank) {
            return None;
        }
        let of_box = |index: usize| (words[2 + 2 * MOST_RANK + index / 2] >> (32 * (index % 2))) as u32;
        let map = Self {
            address: words[1],
            element_bytes: words[2] as u32,
            sizes: words[3..3 + rank].to_vec(),
            strides: words[3 + MOST_RANK..2 + MOST_RANK + rank].to_vec(),
            tile: (0..rank).map(of_box).collect(),
            exchanged: words[2] >> 32 != 0,
        };
        map.check().ok().map(|()| map)
    }

    /// The parts of a box from a place on: for each its offset in the box, and where it lies in the tensor, if it does. A
    /// part is a vector, or an element where vectors are within the tensor by a part only.
    pub(crate) fn parts(&self, place: &[i64]) -> Vec<(u64, u32, Option<u64>)> {
        let mut parts = Vec::new();
        let row_bytes = self.row_bytes();
        let element = u64::from(self.element_bytes);
        let rows: u64 = self.tile.iter().skip(1).map(|count| u64::from(*count)).product();
        for row in 0..rows {
            let mut rest = row;
            let mut start = Some(self.address);
            // The dimensions after that of a row.
            let further = self.tile.iter().zip(place).zip(&self.sizes).skip(1).zip(&self.strides);
            for (((&of_box, &first), &size), &stride) in further {
                let of_box = u64::from(of_box);
                let index = first + (rest % of_box) as i64;
                rest /= of_box;
                let index = u64::try_from(index).ok().filter(|&index| index < size);
                start = start.zip(index).map(|(start, index)| start.wrapping_add(index.wrapping_mul(stride)));
            }
            let within = |at: u64, bytes: u64| {
                let first = place[0] * element as i64 + at as i64;
                let end = (self.sizes[0] * element) as i64;
                let is_within = first >= 0 && first + bytes as i64 <= end;
                start.filter(|_| is_within).map(|start| start.wrapping_add(first as u64))
            };
            for at in (0..row_bytes).step_by(GRANULE as usize) {
                match within(at, GRANULE) {
                    Some(address) if address.is_multiple_of(GRANULE) => {
                        parts.push((row * row_bytes + at, GRANULE as u32, Some(address)));
                    }
                    _ => {
                        for at in (at..at + GRANULE).step_by(element as usize) {
                            parts.push((row * row_bytes + at, self.element_bytes, within(at, element)));
                        }
                    }
                }
            }
        }
        parts
    }

    /// Where a byte of a box lies in shared memory, the box beginning at an address.
    pub(crate) fn place(&self, start: u64, offset: u64) -> u64 {
        let straight = start + offset;
        if self.exchanged { straight ^ (straight >> 7 & 7) << 4 } else { straight }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> TensorMap {
        let (sizes, strides) = (vec![40, 3], vec![96]);
        TensorMap { address: 0x1000, element_bytes: 2, sizes, strides, tile: vec![16, 2], exchanged: true }
    }

    #[test]
    fn maps_survive_as_bytes() {
        let (map, bytes) = (matrix(), matrix().to_bytes());
        assert_eq!(TensorMap::from_bytes(&bytes), Some(map));
        let cube = TensorMap {
            sizes: vec![40, 3, 1 << 32],
            strides: vec![96, 1 << 39],
            tile: vec![256, 1, 255],
            exchanged: false,
            ..matrix()
        };
        assert_eq!(TensorMap::from_bytes(&cube.to_bytes()), Some(cube));
        assert_eq!(TensorMap::from_bytes(&[0; 128]), None);
        assert_eq!(TensorMap::from_bytes(&bytes[..127]), None);
    }

    #[test]
    fn what_drivers_refuse_is_refused() {
        assert_eq!(matrix().check(), Ok(()));
        for wrong in [
            TensorMap { address: 0x1008, ..matrix() },
            TensorMap { strides: vec![90], ..matrix() },
            TensorMap { strides: vec![], ..matrix() },
            TensorMap { tile: vec![128, 2], ..matrix() },
            TensorMap { tile: vec![4, 2], ..matrix() },
            TensorMap { tile: vec![16, 257], ..matrix() },
            TensorMap { sizes: vec![0, 3], ..matrix() },
            TensorMap { element_bytes: 3, ..matrix() },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn boxes_reach_beyond_the_tensor_on_every_side() {
        let map = matrix();
        assert_eq!(
            map.parts(&[8, 1]),
            [(0, 16, Some(0x1070)), (16, 16, Some(0x1080)), (32, 16, Some(0x10d0)), (48, 16, Some(0x10e0)),]
        );
        let lies = |place: &[i64]| map.parts(place).into_iter().filter_map(|part| part.2).collect::<Vec<_>>();
        assert_eq!(lies(&[32, 2]), [0x1100], "half of the only row");
        assert_eq!(lies(&[-8, -1]), [0x1000]);
        assert_eq!(lies(&[39, 2]), [0x110e], "the last element");
        assert!(lies(&[40, 0]).is_empty() && lies(&[0, 3]).is_empty());
    }

    #[test]
    fn vectors_are_exchanged_by_the_number_of_the_row() {
        let map = TensorMap { tile: vec![64, 2], ..matrix() };
        assert_eq!(map.place(1024, 0), 1024);
        assert_eq!(map.place(1024, 128 + 16), 1024 + 128);
        assert_eq!(map.place(1024, 128 + 34), 1024 + 128 + 50);
        assert_eq!(TensorMap { exchanged: false, ..map }.place(1024, 144), 1024 + 144);
    }
}
