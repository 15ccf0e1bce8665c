//! A matrix product in blocks that fit the caches, after Goto and van de Geijn: weights are packed in blocks of columns, activations in blocks of
//! rows, and a tile in registers goes over them.

use super::engine::Block;
use super::step::Step;
use super::tile::{asked, tile};

/// Sizes of the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blocking {
    /// Most words of k: the deeper, the less often all of C is passed over. A multiple of 16.
    pub(super) k: usize,
    /// Rows of activations: a block of them stays in the second-level cache.
    pub(super) m: usize,
    /// Columns: a block of weights stays in the second- or third-level cache.
    pub(super) n: usize,
}

/// Fewest rows of activations in a block: below, packing would not pay.
const LEAST_ROWS: usize = 28;
/// Bytes to which packed blocks are aligned.
const ALIGNMENT: usize = 64;

impl Blocking {
    /// This blocking with no more rows than half of a second-level cache of some bytes holds, for words of some bytes.
    pub(super) fn within(self, second_level: usize, word: usize) -> Self {
        Self { m: self.m.min(second_level / 2 / (self.k * word)).max(LEAST_ROWS), ..self }
    }

    fn panels<S: Step>(self, rows: usize) -> usize {
        // A panel of activations ends in a row of starting sums, of the size of words.
        (self.m.div_ceil(rows) * rows * (self.k + 1) * size_of::<S::Word>()).next_multiple_of(ALIGNMENT)
    }

    /// Bytes of scratch that a product needs, for tiles of some rows and columns.
    pub(super) fn scratch<S: Step>(self, rows: usize, columns: usize) -> usize {
        let weights = self.n.div_ceil(columns) * columns * self.k * size_of::<S::Word>();
        let edge = rows * columns * size_of::<S::Sum>();
        // Packing may write 16 words beyond its end.
        self.panels::<S>(rows) + weights.next_multiple_of(ALIGNMENT) + edge + 16 * size_of::<S::Word>() + 4 * ALIGNMENT
    }
}

/// Computes a block of C.
///
/// # Safety
/// The step's instruction set is available; the matrices have the sizes given, k is a multiple of 16 words, and the scratch is as large as
/// [`Blocking::scratch`] says and aligned to 64 bytes.
#[inline(always)]
pub(super) unsafe fn product<S: Step, const ROWS: usize, const VECTORS: usize, const COLUMNS: usize>(block: &Block) {
    const { assert!(COLUMNS == VECTORS * S::WIDTH, "a tile is as wide as its vectors") };
    const { assert!(VECTORS <= 4, "there are narrower tiles of one to three vectors") };
    let (a, b, c) = (block.a.cast::<S::Element>(), block.b.cast::<S::Element>(), block.c.cast::<S::Sum>());
    let blocking = block.blocking;
    let words = block.k / S::GROUP;
    // Whole tiles, so that only the last block has an edge.
    let rows = (blocking.m / ROWS).max(1) * ROWS;
    // No shallow rest, which would cost as much of a pass over C as the others.
    let depth = words.div_ceil(words.div_ceil(blocking.k)).next_multiple_of(16);
    // SAFETY: panels, tiles and the scratch lie where the sizes say, which are the caller's.
    unsafe {
        let packed_a = block.scratch.cast::<S::Word>();
        let packed_b = block.scratch.add(blocking.panels::<S>(ROWS) + ALIGNMENT).cast::<S::Word>();
        let edge_at = blocking.n.div_ceil(COLUMNS) * COLUMNS * blocking.k * size_of::<S::Word>() + 2 * ALIGNMENT;
        let edge = packed_b.cast::<u8>().add(edge_at.next_multiple_of(ALIGNMENT)).cast::<S::Sum>();
        for first_n in (0..block.n).step_by(blocking.n) {
            let n = blocking.n.min(block.n - first_n);
            for first_k in (0..words).step_by(depth) {
                let k = depth.min(words - first_k);
                for j in (0..n).step_by(COLUMNS) {
                    let from = b.add((first_n + j) * block.k + first_k * S::GROUP);
                    S::pack::<COLUMNS, true>(from, block.k, COLUMNS.min(n - j), k, packed_b.add(j * k));
                }
                for first_m in (0..block.m).step_by(rows) {
                    let m = rows.min(block.m - first_m);
                    let panel = ROWS * k + if S::OFFSET { ROWS } else { 0 };
                    for (index, i) in (0..m).step_by(ROWS).enumerate() {
                        let from = a.add((first_m + i) * block.k + first_k * S::GROUP);
                        let (present, to) = (ROWS.min(m - i), packed_a.add(index * panel));
                        S::pack::<ROWS, false>(from, block.k, present, k, to);
                        let start = to.add(ROWS * k).cast::<S::Sum>();
                        for row in 0..present {
                            if let Some(sum) = S::start(from.add(row * block.k), k * S::GROUP) {
                                start.add(row).write(sum);
                            }
                        }
                    }
                    for j in (0..n).step_by(COLUMNS) {
                        let width = COLUMNS.min(n - j);
                        for (index, i) in (0..m).step_by(ROWS).enumerate() {
                            let (a, b) = (packed_a.add(index * panel), packed_b.add(j * k));
                            // The next panel of weights comes from far away: these tiles ask for it piece by piece.
                            let next = b.wrapping_add(COLUMNS * k).cast::<u8>().wrapping_add(index * asked(k));
                            let c = c.add((first_m + i) * block.stride + first_n + j);
                            let height = ROWS.min(m - i);
                            let whole = height == ROWS && width.is_multiple_of(S::WIDTH);
                            let (to, stride, add) =
                                if whole { (c, block.stride, first_k > 0) } else { (edge, COLUMNS, false) };
                            match width.div_ceil(S::WIDTH) {
                                1 => tile::<S, ROWS, 1, COLUMNS>(k, a, b, next, to, stride, add),
                                2 => tile::<S, ROWS, 2, COLUMNS>(k, a, b, next, to, stride, add),
                                3 if VECTORS > 3 => tile::<S, ROWS, 3, COLUMNS>(k, a, b, next, to, stride, add),
                                _ => tile::<S, ROWS, VECTORS, COLUMNS>(k, a, b, next, to, stride, add),
                            }
                            if whole {
                                continue;
                            }
                            for row in 0..height {
                                for column in 0..width {
                                    let (from, to) =
                                        (edge.add(row * COLUMNS + column), c.add(row * block.stride + column));
                                    *to = if first_k > 0 { S::add(*to, *from) } else { *from };
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
