//! What the host computes of large arrays, dealt out to its processors: a GPU's memory is filled and compared faster than one of them can compute.

use std::num::NonZero;
use std::ops::Range;
use std::thread;

/// Threads at most, and items from which on it is worth starting another.
const MOST: usize = 16;
const LEAST: usize = 1 << 18;

/// Items that each of some threads takes.
fn share(items: usize) -> usize {
    let processors = thread::available_parallelism().map_or(1, NonZero::get).min(MOST);
    items.div_ceil(processors).max(LEAST)
}

/// Has the parts of a slice filled, each from the index of its first item on.
pub(in crate::backend) fn fill<T: Send>(items: &mut [T], fill: impl Fn(usize, &mut [T]) + Sync) {
    let share = share(items.len());
    let mut parts = items.chunks_mut(share).enumerate();
    let Some((_, first)) = parts.next() else { return };
    thread::scope(|scope| {
        for (index, part) in parts {
            let fill = &fill;
            scope.spawn(move || fill(index * share, part));
        }
        fill(0, first);
    });
}

/// What a function says of the parts of some range of indices, in their order.
pub(in crate::backend) fn map<R: Send>(items: usize, look: impl Fn(Range<usize>) -> R + Sync) -> Vec<R> {
    let share = share(items);
    let part = |index: usize| index * share..items.min((index + 1) * share);
    let mut said: Vec<Option<R>> = (0..items.div_ceil(share)).map(|_| None).collect();
    let mut places = said.iter_mut().enumerate();
    let Some((_, first)) = places.next() else { return Vec::new() };
    thread::scope(|scope| {
        for (index, place) in places {
            let look = &look;
            scope.spawn(move || *place = Some(look(part(index))));
        }
        *first = Some(look(part(0)));
    });
    said.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_in_one_part() {
        for count in [0, 1, LEAST - 1, LEAST + 1, 5 * LEAST + 3] {
            let mut items = vec![0_u32; count];
            fill(&mut items, |first, part| {
                for (index, item) in part.iter_mut().enumerate() {
                    *item += (first + index) as u32 + 1;
                }
            });
            assert!(items.iter().zip(1..).all(|(&item, expected)| item == expected), "{count}");
            let parts = map(count, |part| part);
            assert_eq!(parts.iter().map(ExactSizeIterator::len).sum::<usize>(), count);
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }
}
