//! Two memories side by side: bytes that are the same, and how far apart the numbers are that are not.

use std::ops::Range;

use half::{bf16, f16};

/// A format of numbers in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    F32,
    F16,
    Bf16,
}

impl Format {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    const fn bytes(self) -> usize {
        if matches!(self, Self::F32) { 4 } else { 2 }
    }

    /// The number in as many bytes.
    fn read(self, bytes: &[u8]) -> f64 {
        let word = bytes.iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        match self {
            Self::F32 => f64::from(f32::from_bits(word)),
            Self::F16 => f16::from_bits(word as u16).to_f64(),
            Self::Bf16 => bf16::from_bits(word as u16).to_f64(),
        }
    }

    /// The unit in the last place of a number.
    fn unit(self, value: f64) -> f64 {
        let (least, digits) = match self {
            Self::F32 => (-126, 23),
            Self::F16 => (-14, 10),
            Self::Bf16 => (-126, 7),
        };
        // The exponent as f64 has it, which holds every number here as a normal one.
        let exponent = ((value.abs().to_bits() >> 52) as i32 - 1023).max(least);
        f64::from(exponent - digits).exp2()
    }
}

/// How far numbers may be apart: units in the last place of each, and roundings of an f32 as large as the largest number of the memory,
/// for sums in which larger numbers cancel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tolerance {
    pub(crate) format: Format,
    pub(crate) units: f64,
    pub(crate) of_largest: f64,
}

/// Half a unit in the last place of an f32, relative to it.
const ROUNDING: f64 = 1.0 / (1_u64 << 24) as f64;

/// A place where memories are further apart than they may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) address: u64,
    pub(crate) ours: Vec<u8>,
    pub(crate) theirs: Vec<u8>,
}

/// What a comparison came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Difference {
    /// Bytes that were compared, and those that were the same.
    pub(crate) compared: u64,
    pub(crate) equal: u64,
    /// Bytes that may be anything.
    pub(crate) free: u64,
    /// The largest difference of two numbers in units of the last place.
    pub(crate) largest: f64,
    /// Numbers, or words where there are no numbers, that are further apart than they may be, and the first of them.
    pub(crate) wrong: u64,
    pub(crate) first: Option<Place>,
}

impl Difference {
    /// Whether every byte was the same.
    pub(crate) fn is_equal(&self) -> bool {
        self.equal == self.compared
    }

    /// Compares two memories that lie at an address. `free` are the addresses of bytes that may be anything.
    pub(crate) fn add(
        &mut self,
        address: u64,
        (ours, theirs): (&[u8], &[u8]),
        free: &[Range<u64>],
        tolerance: Option<Tolerance>,
    ) {
        let whole = address..address + ours.len() as u64;
        let shared = |range: &Range<u64>| range.end.min(whole.end).saturating_sub(range.start.max(whole.start));
        let free_bytes: u64 = free.iter().map(shared).sum();
        self.free += free_bytes;
        self.compared += ours.len() as u64 - free_bytes;
        if ours == theirs {
            self.equal += ours.len() as u64 - free_bytes;
            return;
        }
        let step = tolerance.map_or(4, |tolerance| tolerance.format.bytes());
        let numbers =
            |tolerance: Tolerance| theirs.chunks_exact(step).map(move |bytes| tolerance.format.read(bytes).abs());
        let largest = tolerance
            .map_or(0.0, |tolerance| numbers(tolerance).filter(|number| number.is_finite()).fold(0.0_f64, f64::max));
        for (place, (a, b)) in (address..).step_by(step).zip(ours.chunks(step).zip(theirs.chunks(step))) {
            if free.iter().any(|range| range.contains(&place)) {
                continue;
            }
            self.equal += a.iter().zip(b).filter(|(a, b)| a == b).count() as u64;
            if a != b && !self.is_near(a, b, largest, tolerance) {
                self.wrong += 1;
                self.first.get_or_insert_with(|| Place { address: place, ours: a.to_vec(), theirs: b.to_vec() });
            }
        }
    }

    /// Whether two numbers are as near as they must be. Without a tolerance none are.
    fn is_near(&mut self, ours: &[u8], theirs: &[u8], largest: f64, tolerance: Option<Tolerance>) -> bool {
        let Some(tolerance) = tolerance.filter(|tolerance| ours.len() == tolerance.format.bytes()) else {
            return false;
        };
        let (a, b) = (tolerance.format.read(ours), tolerance.format.read(theirs));
        let difference = (a - b).abs();
        if !difference.is_finite() {
            return false;
        }
        let unit = tolerance.format.unit(a.abs().max(b.abs()));
        self.largest = self.largest.max(difference / unit);
        difference <= tolerance.units * unit + tolerance.of_largest * largest * ROUNDING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ours: &[f32], theirs: &[f32], tolerance: Option<Tolerance>) -> Difference {
        let bytes = |numbers: &[f32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>();
        let mut difference = Difference::default();
        difference.add(1 << 20, (&bytes(ours), &bytes(theirs)), &[], tolerance);
        difference
    }

    fn within(format: Format, units: f64, of_largest: f64) -> Option<Tolerance> {
        Some(Tolerance { format, units, of_largest })
    }

    #[test]
    fn the_same_is_equal_also_where_it_is_no_number() {
        let difference = of(&[1.0, f32::NAN], &[1.0, f32::NAN], within(Format::F32, 1.0, 0.0));
        assert!(difference.is_equal());
        assert_eq!((difference.compared, difference.wrong, difference.largest), (8, 0, 0.0));
    }

    #[test]
    fn numbers_are_as_far_apart_as_their_last_places_say() {
        let next = 3.0_f32.next_up().next_up();
        let difference = of(&[1.0, 3.0], &[1.0, next], within(Format::F32, 2.0, 0.0));
        assert_eq!((difference.largest, difference.wrong, difference.equal), (2.0, 0, 7));
        assert_eq!(of(&[1.0, 3.0], &[1.0, next], within(Format::F32, 1.0, 0.0)).wrong, 1);
        let exact = of(&[1.0, 3.0], &[1.0, next], None);
        let place =
            Place { address: (1 << 20) + 4, ours: 3.0_f32.to_le_bytes().into(), theirs: next.to_le_bytes().into() };
        assert_eq!((exact.wrong, exact.first), (1, Some(place)));
        // From the largest subnormal number on, units do not get smaller.
        let tiny = f32::MIN_POSITIVE;
        assert_eq!(
            of(&[0.0, tiny], &[f32::from_bits(3), tiny.next_down()], within(Format::F32, 3.0, 0.0)).largest,
            3.0
        );
    }

    #[test]
    fn what_cancels_is_held_by_the_largest_number() {
        let (ours, theirs) = ([1e-6, 1.0], [1e-6 + 1.0 / (1 << 24) as f32, 1.0]);
        assert_eq!(of(&ours, &theirs, within(Format::F32, 1.0, 0.0)).wrong, 1);
        let difference = of(&ours, &theirs, within(Format::F32, 1.0, 1.0));
        assert!(difference.wrong == 0 && difference.largest > 1e5, "{difference:?}");
    }

    #[test]
    fn halves_have_units_of_their_own() {
        let pair = |format: Format, a: u16, b: u16| {
            let mut difference = Difference::default();
            difference.add(0, (&a.to_le_bytes(), &b.to_le_bytes()), &[], within(format, 1.0, 0.0));
            (difference.largest, difference.wrong)
        };
        assert_eq!(pair(Format::F16, 0x3c00, 0x3c01), (1.0, 0));
        assert_eq!(pair(Format::Bf16, 0x3f80, 0x3f83), (3.0, 1));
        assert_eq!(pair(Format::Bf16, 0x0000, 0x8000), (0.0, 0));
        assert_eq!(pair(Format::F16, 0x7c00, 0x7bff), (0.0, 1));
        assert_eq!(pair(Format::F16, 0x7fff, 0x3c00), (0.0, 1));
    }

    #[test]
    fn what_is_free_is_not_looked_at() {
        let mut difference = Difference::default();
        difference.add(1000, (&[1; 24], &[2; 24]), &[1008..1024, 5000..6000], None);
        assert_eq!((difference.free, difference.compared, difference.equal, difference.wrong), (16, 8, 0, 2));
        let mut difference = Difference::default();
        difference.add(1000, (&[1; 10], &[1; 10]), &[], None);
        assert!(difference.is_equal());
    }
}
