//! Matrix products by Hopper's `wgmma`: `kernels/gemm_warpgroup.cu`.

use super::gemm::divide;
use crate::backend::BackendError;
use crate::backend::cuda::gpu::{Argument, Function, Gpu, Grid};
use crate::backend::cuda::ptx::Source;
use crate::backend::cuda::tensor_map::{Tensor, TensorMap};
use crate::workload::Shape;

/// Bytes of a row that are multiplied at a time.
const STRIP: u64 = 128;
/// Threads of a warpgroup, and rows that one multiplies.
const GROUP: u32 = 128;
const ROWS: u32 = 64;
/// Columns and rows of sums that a warp writes at a time; it has two such pieces in shared memory.
const PIECE: [u32; 2] = [32, 16];
/// Bytes of the barriers that go with a strip.
const BARRIERS: u32 = 16;

/// A tile of C, strips in shared memory, and blocks that go together: each fetches its part of their columns of B for all of them.
#[derive(Clone, Copy, Debug)]
struct Tile {
    tall: u32,
    wide: u32,
    stages: u32,
    together: u32,
}

const fn tile(tall: u32, wide: u32, stages: u32, together: u32) -> Tile {
    Tile { tall, wide, stages, together }
}

/// The tiles that are tried, as far as the product has rows for them.
const TILES: [Tile; 4] = [tile(64, 128, 8, 1), tile(128, 128, 6, 1), tile(128, 256, 4, 1), tile(128, 256, 4, 2)];

impl Tile {
    /// Bytes of shared memory.
    const fn shared(self) -> u32 {
        let pieces = self.tall / 16 * 2 * PIECE[0] * PIECE[1] * 4;
        self.stages * ((self.tall + self.wide) * STRIP as u32 + BARRIERS) + pieces
    }

    /// Those who multiply, and those who fetch.
    const fn threads(self) -> u32 {
        (self.tall / ROWS + 1) * GROUP
    }

    /// Whether the product has more than half a tile of rows; the flat tile is for few.
    const fn suits(self, shape: Shape) -> bool {
        if self.tall == ROWS { shape.m <= 4 * ROWS as u64 } else { shape.m * 2 > self.of_all() }
    }

    /// Rows of the tiles of blocks that go together.
    const fn of_all(self) -> u64 {
        (self.tall * self.together) as u64
    }

    /// What its kernels are called, and what people are told.
    const fn names(self) -> (&'static str, &'static str) {
        if self.together == 1 { ("warpgroup", "") } else { ("pair", " in pairs") }
    }
}

/// A product as kernels are told of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operands {
    /// Where A lies, and all copies of B.
    pub(super) a: u64,
    pub(super) b: u64,
    /// Where sums go, and sums of parts.
    pub(super) c: u64,
    pub(super) partial: u64,
}

/// A tile and parts of the length that suit a product.
pub(super) struct Offer {
    pub(super) function: Function,
    pub(super) grid: Grid,
    pub(super) parts: u64,
    pub(super) of_part: u64,
    pub(super) name: String,
    tile: Tile,
}

/// Whether a compute capability has these kernels.
pub(super) const fn suits(capability: (u32, u32)) -> bool {
    matches!(capability, (9, 0))
}

/// What is tried of a product whose elements have so many bytes, of a format's name, with some copies of B.
pub(super) fn offers(
    gpu: &Gpu,
    format: &str,
    (shape, element): (Shape, u64),
    copies: u64,
) -> Result<Vec<Offer>, BackendError> {
    let mut offers = Vec::new();
    let Shape { m, n, k } = shape;
    // Places in tensors are signed numbers of 32 bits.
    if !suits(gpu.found.capability) || n.saturating_mul(copies).max(m).max(k) > i32::MAX as u64 {
        return Ok(offers);
    }
    for tile in TILES.into_iter().filter(|tile| tile.suits(shape)) {
        let (name, in_pairs) = tile.names();
        let entry = format!("gemm_{name}_{format}_{}x{}", tile.tall, tile.wide);
        let function = gpu.function_with_shared(Source::GemmWarpgroup, &entry, tile.shared())?;
        let grid = Grid { blocks: 1, threads: tile.threads(), shared: tile.shared() };
        // Tiles of blocks that go together count as one here.
        let together = u64::from(tile.together);
        let at_once = u64::from(gpu.resident_blocks(&function, grid)? * gpu.found.multiprocessors) / together;
        let tiles = m.div_ceil(tile.of_all()) * n.div_ceil(tile.wide.into());
        let strips = (k * element).div_ceil(STRIP);
        let mut divisions = vec![(1, strips), divide(strips, tiles, at_once)];
        divisions.dedup();
        for (parts, of_part) in divisions {
            let grid = Grid { blocks: (at_once.clamp(1, tiles * parts) * together) as u32, ..grid };
            let of_length = if parts > 1 { format!(", the length in {parts} parts") } else { String::new() };
            let name = format!("wgmma, tiles of {}×{}{in_pairs}{of_length}", tile.tall, tile.wide);
            offers.push(Offer { function: function.clone(), grid, parts, of_part, name, tile });
        }
    }
    Ok(offers)
}

/// What a kernel is launched with.
pub(super) struct Maps {
    maps: [TensorMap; 3],
    /// Rows, columns, strips, and strips of a part.
    sizes: [u64; 4],
}

impl Offer {
    /// Has the driver write down where everything lies.
    pub(super) fn maps(
        &self,
        gpu: &Gpu,
        (shape, element): (Shape, u64),
        copies: u64,
        operands: Operands,
    ) -> Result<Maps, BackendError> {
        let Shape { m, n, k } = shape;
        let factor = |address, rows, of_tile| {
            Tensor { address, element, sizes: [k, rows], tile: [(STRIP / element) as u32, of_tile] }.map(gpu)
        };
        let sums = Tensor {
            address: if self.parts > 1 { operands.partial } else { operands.c },
            element: 4,
            sizes: [n, m, self.parts],
            tile: [PIECE[0], PIECE[1], 1],
        };
        let maps = [
            factor(operands.a, m, self.tile.tall)?,
            factor(operands.b, n * copies, self.tile.wide / self.tile.together)?,
            sums.map(gpu)?,
        ];
        Ok(Maps { maps, sizes: [m, n, (k * element).div_ceil(STRIP), self.of_part] })
    }
}

impl Maps {
    /// The arguments of a launch with one of the copies of B.
    pub(super) fn arguments(&self, copy: u64) -> [Argument; 8] {
        let [a, b, c] = self.maps.map(Argument::from);
        let number = |number: u64| Argument::from(number as u32);
        let [rows, columns, strips, of_part] = self.sizes.map(number);
        [a, b, c, number(copy * self.sizes[1]), rows, columns, strips, of_part]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cuda::ptx;

    #[test]
    fn every_tile_of_every_format_has_its_kernel() {
        let mut modules = ptx::ALL.iter().filter(|ptx| ptx.source == Source::GemmWarpgroup);
        let text = modules.next().unwrap().text;
        for format in ["f16", "bf16", "fp8", "int8"] {
            for tile in TILES {
                let entry = format!(".entry gemm_{}_{format}_{}x{}(", tile.names().0, tile.tall, tile.wide);
                let (_, kernel) = text.split_once(&entry).unwrap_or_else(|| panic!("no {entry}"));
                let (_, most) = kernel.split_once(".maxntid ").unwrap();
                assert_eq!(most.split([',', '\n']).next().unwrap().parse(), Ok(tile.threads()), "{entry}");
                let (head, _) = kernel.split_once('{').unwrap();
                let cluster = head.split_once(".reqnctapercluster ").map_or("1", |(_, rest)| &rest[..1]);
                assert_eq!(cluster.parse(), Ok(tile.together), "{entry}");
            }
        }
    }

    /// A block of compute capability 9.0 has 227 KiB.
    #[test]
    fn every_tile_fits() {
        for tile in TILES {
            assert!(tile.shared() <= 227 << 10, "{tile:?}");
            // Boxes begin where a pattern of exchanged vectors does.
            assert!(
                tile.tall % 8 == 0 && tile.wide / tile.together % 8 == 0 && tile.tall <= 256 && tile.wide <= 256,
                "{tile:?}"
            );
        }
    }

    #[test]
    fn every_product_has_a_tile() {
        for m in 1..600 {
            assert!(TILES.iter().any(|tile| tile.suits(Shape { m, n: 4, k: 64 })), "{m}");
        }
    }
}
