//! Every tile of every format against a plain product, also when threads are interrupted and copies and sums come late.

use ptx_interpreter::{Options, Schedule};

use crate::hopper::{Product, TILES};
use crate::support::FORMATS;

/// Sizes that no tile divides, with more strips than there are places for, and ones that some do.
const SIZES: [(usize, usize, usize); 2] = [(70, 140, 576), (256, 256, 128)];

#[test]
fn every_tile_of_every_format_is_a_plain_product() {
    let text = Product::text();
    for format in &FORMATS {
        for tile in &TILES {
            for (rows, columns, length) in SIZES {
                let length = length * 2 / format.bytes;
                let mut product = Product { format, tile, rows, columns, length, of_part: 99, blocks: 1 };
                product.of_part = product.strips();
                let counters = product.run(&text, Options::default()).unwrap();
                let tiles = rows.div_ceil(tile.tall * tile.together) * tile.together * columns.div_ceil(tile.wide);
                let whole = tiles * tile.tall * tile.wide * product.strips() * 128 / format.bytes;
                assert_eq!(counters.operations.matrix, 2 * whole as u64, "{product}");
                assert_eq!(counters.bank_conflicts, 0, "{product}");
                assert_eq!(counters.distinct_stored, 4 * (rows * columns) as u64, "{product}");
                assert_eq!(counters.stored, counters.distinct_stored, "{product}");
                let bytes = (rows + columns) * length * format.bytes;
                assert_eq!(counters.distinct_loaded, bytes as u64, "{product}");
                // Tiles beside each other each load their rows of A, and those below each other their rows of B; of a pair only one does.
                let of_a = rows * columns.div_ceil(tile.wide);
                let of_b = columns * rows.div_ceil(tile.tall * tile.together);
                assert_eq!(counters.loaded, ((of_a + of_b) * length * format.bytes) as u64, "{product}");
            }
        }
    }
}

#[test]
fn products_do_not_depend_on_who_runs_first() {
    let text = Product::text();
    for (number, tile) in TILES.iter().enumerate() {
        for seed in 0..3 {
            let format = &FORMATS[(number + seed as usize) % FORMATS.len()];
            // Several tiles of a block, whose strips go on where those of the tile before ended.
            let product = Product { format, tile, rows: 130, columns: 140, length: 448, of_part: 99, blocks: 2 };
            let options = Options { schedule: Schedule::Preemptive { seed }, races: true, ..Options::default() };
            product.run(&text, options).unwrap_or_else(|what| panic!("{product}: {what}"));
        }
    }
}

#[test]
fn parts_of_the_length_are_summed_by_themselves() {
    let text = Product::text();
    for format in &FORMATS {
        // Of 8-bit numbers the last strip is half a one.
        let product = Product { format, tile: &TILES[2], rows: 20, columns: 132, length: 320, of_part: 2, blocks: 3 };
        let counters = product.run(&text, Options::default()).unwrap();
        let parts = product.strips().div_ceil(2);
        assert_eq!(counters.distinct_stored, (parts * 4 * 20 * 132) as u64, "{product}");
    }
}
