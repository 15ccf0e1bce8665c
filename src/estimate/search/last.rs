//! The edge between what does and what does not, found by halving.

use std::convert::Infallible;

/// The last number from one that does up to one that does not, which does: found by halving, where what does comes before what does not.
pub fn last(does: u64, does_not: u64, mut is_met: impl FnMut(u64) -> bool) -> u64 {
    let Ok(last) = try_last(does, does_not, |number| Ok::<_, Infallible>(is_met(number)));
    last
}

/// The same where asking may fail.
///
/// # Errors
/// What asking says.
pub fn try_last<E>(does: u64, does_not: u64, mut is_met: impl FnMut(u64) -> Result<bool, E>) -> Result<u64, E> {
    let (mut does, mut does_not) = (does, does_not);
    while does_not.saturating_sub(does) > 1 {
        let middle = does + (does_not - does) / 2;
        if is_met(middle)? {
            does = middle;
        } else {
            does_not = middle;
        }
    }
    Ok(does)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_that_does_is_found() {
        for edge in 1..40 {
            assert_eq!(last(1, 40, |number| number <= edge), edge);
        }
        assert_eq!(last(7, 8, |_| unreachable!("there is nothing between")), 7);
        assert_eq!(last(1, u64::MAX, |number| number <= 1 << 40), 1 << 40);
        assert_eq!(try_last(1, 40, |number| if number > 9 { Err(number) } else { Ok(true) }), Err(20));
    }
}
