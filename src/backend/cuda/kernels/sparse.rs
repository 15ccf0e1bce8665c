//! Where sparse factors are zero, as the kernels make it: `kernels/elements.cuh`.

use crate::dtype::DType;

/// Neighbours of a row of which half are zero.
const fn group(input: DType) -> u32 {
    if input.format().bits == 32 { 2 } else { 4 }
}

/// The places of a group that are not zero, from its random bits.
fn places(input: DType, random: u32) -> Vec<u32> {
    if group(input) == 2 {
        return vec![random & 1];
    }
    let number = ((random >> 16) * 6) >> 16;
    let pair = 0xED_9C84_u32 >> (4 * number);
    vec![pair & 3, (pair >> 2) & 3]
}

/// A row with the elements that are held of it at their places, by the random bits of each group.
pub(super) fn spread(input: DType, held: &[f64], random: impl Fn(u32) -> u32) -> Vec<f64> {
    let (of_group, of_held) = (group(input) as usize, group(input) as usize / 2);
    let mut row = vec![0.0; 2 * held.len()];
    for (index, (held, row)) in held.chunks(of_held).zip(row.chunks_mut(of_group)).enumerate() {
        for (element, place) in held.iter().zip(places(input, random(index as u32))) {
            row[place as usize] = *element;
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_pair_of_places_occurs() {
        let pairs: BTreeSet<Vec<u32>> = (0..1 << 16).map(|high| places(DType::Bf16, high << 16)).collect();
        let expected = [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]];
        assert_eq!(pairs.into_iter().collect::<Vec<_>>(), expected.map(|pair| pair.to_vec()));
        assert_eq!([0, 1].map(|random| places(DType::Tf32, random)), [vec![0], vec![1]]);
    }

    proptest! {
        #[test]
        fn half_of_each_group_is_zero_and_nothing_is_lost(held in prop::collection::vec(1.0_f64..2.0, 16), seed: u32) {
            for input in [DType::Tf32, DType::F16, DType::Int8] {
                let row = spread(input, &held, |group| seed.wrapping_mul(group + 1));
                let kept: Vec<f64> = row.iter().copied().filter(|element| *element != 0.0).collect();
                prop_assert_eq!(&kept, &held);
                let of_group = group(input) as usize;
                prop_assert!(row.chunks(of_group).all(|group| group.iter().filter(|e| **e != 0.0).count() == of_group / 2));
            }
        }
    }
}
