//! Conflicts between the lanes of an access to shared memory.

/// Banks of shared memory, each of which gives one word of four bytes at a time.
const BANKS: u32 = 32;

/// Into how many parts the hardware divides an access, and how many times a part must be repeated because lanes want
/// different words of the same bank. Lanes of up to four bytes go all at once, wider ones in halves, quarters or eighths.
pub(crate) fn conflicts(addresses: &[u64; 32], lanes: u32, bytes: u32) -> (u64, u64) {
    let words_of_lane = bytes.div_ceil(4);
    let at_once = (BANKS / words_of_lane.max(1)).max(1) as usize;
    let (mut parts, mut repeats) = (0, 0);
    for first in (0..32).step_by(at_once) {
        let mut words = [0_u64; BANKS as usize];
        let mut count = 0;
        for lane in first..first + at_once {
            if lanes >> lane & 1 != 0 {
                for word in 0..words_of_lane {
                    words[count] = addresses[lane] / 4 + u64::from(word);
                    count += 1;
                }
            }
        }
        if count > 0 {
            parts += 1;
            repeats += most_of_a_bank(&mut words[..count]) - 1;
        }
    }
    (parts, repeats)
}

/// The largest number of different words that lie in one bank.
fn most_of_a_bank(words: &mut [u64]) -> u64 {
    words.sort_unstable();
    let mut of_bank = [0_u64; BANKS as usize];
    let mut last = None;
    for word in words {
        if last != Some(*word) {
            of_bank[(*word % u64::from(BANKS)) as usize] += 1;
            last = Some(*word);
        }
    }
    of_bank.into_iter().max().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_stride(stride: u64, bytes: u32) -> (u64, u64) {
        conflicts(&std::array::from_fn(|lane| lane as u64 * stride), u32::MAX, bytes)
    }

    #[test]
    fn strides_conflict_as_the_banks_say() {
        assert_eq!(with_stride(4, 4), (1, 0));
        assert_eq!(with_stride(0, 4), (1, 0), "one word for all is a broadcast");
        assert_eq!(with_stride(8, 4), (1, 1));
        assert_eq!(with_stride(128, 4), (1, 31));
        assert_eq!(with_stride(132, 4), (1, 0), "a padded row");
        assert_eq!(with_stride(1, 1), (1, 0));
        assert_eq!(with_stride(16, 16), (4, 0));
        assert_eq!(with_stride(128, 16), (4, 4 * 7));
        assert_eq!(conflicts(&[64; 32], 1, 8), (1, 0), "one lane alone");
    }
}
