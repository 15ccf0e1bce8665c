//! Rows of elements as they lie in memory, of a format that is known at run time.

use half::{bf16, f16};

use super::element::{E4m3, Element, PERIOD};
use crate::data::{Seed, bits};
use crate::dtype::DType;

/// Seeded random elements of a format, as they lie in memory.
pub(in crate::backend) fn random(dtype: DType, seed: Seed, count: usize) -> Vec<u8> {
    fn bytes<T: Element + bytemuck::Pod>(seed: Seed, count: usize) -> Vec<u8> {
        let elements: Vec<T> = (0..count as u32).map(|index| T::random(seed, index)).collect();
        bytemuck::cast_slice(&elements).to_vec()
    }
    match dtype {
        DType::F32 => bytes::<f32>(seed, count),
        DType::F64 => bytes::<f64>(seed, count),
        DType::F16 => bytes::<f16>(seed, count),
        DType::Bf16 => bytes::<bf16>(seed, count),
        DType::Fp8E4m3 => bytes::<E4m3>(seed, count),
        _ => bytes::<i8>(seed, count),
    }
}

/// Bits of 1, 2 and 3 in a format, and of the same with the other sign.
const fn few_digits(dtype: DType) -> [u32; 6] {
    const fn of_float(one: u32, two: u32, three: u32, sign: u32) -> [u32; 6] {
        [one, two, three, one | sign, two | sign, three | sign]
    }
    match dtype {
        DType::F32 => of_float(0x3F80_0000, 0x4000_0000, 0x4040_0000, 0x8000_0000),
        DType::F16 => of_float(0x3C00, 0x4000, 0x4200, 0x8000),
        DType::Bf16 => of_float(0x3F80, 0x4000, 0x4040, 0x8000),
        DType::Fp8E4m3 => of_float(0x38, 0x40, 0x44, 0x80),
        _ => [1, 2, 3, 0xFF, 0xFE, 0xFD],
    }
}

/// The exact value of an element in memory.
pub(in crate::backend) fn value(dtype: DType, bytes: &[u8], index: usize) -> f64 {
    match dtype {
        DType::F32 => bytemuck::pod_read_unaligned::<f32>(&bytes[4 * index..][..4]).value(),
        DType::F64 => bytemuck::pod_read_unaligned::<f64>(&bytes[8 * index..][..8]).value(),
        DType::F16 => bytemuck::pod_read_unaligned::<f16>(&bytes[2 * index..][..2]).value(),
        DType::Bf16 => bytemuck::pod_read_unaligned::<bf16>(&bytes[2 * index..][..2]).value(),
        DType::Fp8E4m3 => E4m3(bytes[index]).value(),
        _ => f64::from(bytes[index].cast_signed()),
    }
}

/// Rows that repeat after [`PERIOD`], for memory of any size.
pub(in crate::backend) struct Rows {
    bytes: Vec<u8>,
    row: usize,
}

impl Rows {
    /// Rows of some elements of a format, as many as differ.
    pub(in crate::backend) fn new(dtype: DType, elements: usize, rows: u64, seed: Seed) -> Self {
        let distinct = rows.min(PERIOD as u64) as usize;
        let bytes = random(dtype, seed, distinct * elements);
        let row = bytes.len() / distinct.max(1);
        Self { bytes, row }
    }

    /// The same of whole numbers from 1 to 3 with either sign: sums of their products have so few digits that there is nothing to round.
    pub(in crate::backend) fn of_few_digits(dtype: DType, elements: usize, rows: u64, seed: Seed) -> Self {
        let distinct = rows.min(PERIOD as u64) as usize;
        let numbers = few_digits(dtype);
        let size = dtype.format().bits as usize / 8;
        let mut bytes = Vec::with_capacity(distinct * elements * size);
        for index in 0..(distinct * elements) as u32 {
            let number = numbers[(bits(seed, index) >> 8) as usize % numbers.len()];
            bytes.extend_from_slice(&number.to_le_bytes()[..size]);
        }
        Self { bytes, row: elements * size }
    }

    /// Bytes of a row.
    pub(in crate::backend) const fn row_bytes(&self) -> usize {
        self.row
    }

    /// The rows that differ, one after the other.
    pub(in crate::backend) fn period(&self) -> &[u8] {
        &self.bytes
    }

    /// A row, of those that repeat.
    pub(in crate::backend) fn row(&self, row: usize) -> &[u8] {
        &self.bytes[row % (self.bytes.len() / self.row) * self.row..][..self.row]
    }

    /// The exact values of the rows that differ, each multiplied by something of its own.
    pub(in crate::backend) fn exact(&self, dtype: DType, factor: impl Fn(usize) -> f64) -> Vec<Vec<f64>> {
        let rows = self.bytes.chunks_exact(self.row).enumerate();
        let count = self.row * 8 / dtype.format().bits as usize;
        rows.map(|(row, bytes)| (0..count).map(|index| value(dtype, bytes, index) * factor(row)).collect()).collect()
    }

    /// Fills a piece of memory that begins at some byte.
    pub(in crate::backend) fn fill(&self, start: u64, piece: &mut [u8]) {
        let mut from = (start % self.bytes.len() as u64) as usize;
        let mut done = 0;
        while done < piece.len() {
            let count = (self.bytes.len() - from).min(piece.len() - done);
            piece[done..done + count].copy_from_slice(&self.bytes[from..from + count]);
            (done, from) = (done + count, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_few_digits_have_each_of_six_numbers_about_as_often() {
        for dtype in [DType::F32, DType::F16, DType::Bf16, DType::Fp8E4m3, DType::Int8] {
            let rows = Rows::of_few_digits(dtype, 600, 7, Seed(1));
            assert_eq!(rows.period().len(), 7 * rows.row_bytes());
            let values: Vec<f64> = rows.exact(dtype, |_| 1.0).into_iter().flatten().collect();
            assert_eq!(values.len(), 7 * 600);
            for number in [-3.0, -2.0, -1.0, 1.0, 2.0, 3.0] {
                let count = values.iter().filter(|&&value| value == number).count();
                assert!((600..800).contains(&count), "{dtype}: {count} of {number}");
            }
        }
    }
}
