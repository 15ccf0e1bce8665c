//! Matrix products as they ship: every kernel of every format against a plain product, also when threads are interrupted
//! and copies arrive late; and faults put into them, each of which must be found.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

mod hopper;
mod hopper_seeded;
mod hopper_tests;
mod issue_seeded;
mod seeded;
mod support;

use ptx_interpreter::{Options, Schedule};
use support::{FORMATS, Product, TILES};

/// Sizes that no tile divides, and one that some do.
const SIZES: [(usize, usize, usize); 2] = [(70, 140, 5), (16, 128, 9)];

fn schedules() -> impl Iterator<Item = Options> {
    let preemptive = |seed| Schedule::Preemptive { seed };
    let all = [Schedule::Plain, preemptive(1), preemptive(2)];
    all.into_iter().map(|schedule| Options { schedule, races: true, ..Options::default() })
}

#[test]
fn every_tile_of_every_format_is_a_plain_product() {
    for format in &FORMATS {
        for tile in &TILES {
            for (rows, columns, strips) in SIZES {
                let product = Product { format, tile, rows, columns, strips, of_part: strips };
                let counters = product.run(&product.text(), Options::default()).unwrap();
                let tiles = rows.div_ceil(tile.tall) * columns.div_ceil(tile.wide);
                let whole = tiles * tile.tall * tile.wide;
                assert_eq!(counters.operations.matrix, 2 * (whole * product.length()) as u64, "{product}");
                assert_eq!(counters.bank_conflicts, 0, "{product}");
                assert_eq!(counters.distinct_stored, 4 * (rows * columns) as u64, "{product}");
                assert_eq!(counters.distinct_loaded, 64 * ((rows + columns) * strips) as u64, "{product}");
            }
        }
    }
}

#[test]
fn products_do_not_depend_on_who_runs_first() {
    for tile in &TILES {
        let product = Product { format: &FORMATS[1], tile, rows: 70, columns: 72, strips: 6, of_part: 6 };
        for options in schedules() {
            product.run(&product.text(), options).unwrap_or_else(|what| panic!("{product}: {what}"));
        }
    }
}

#[test]
fn parts_of_the_length_are_added_up() {
    for format in &FORMATS {
        // Parts of two strips, and a last one of one.
        let product = Product { format, tile: &TILES[0], rows: 20, columns: 132, strips: 5, of_part: 2 };
        let counters = product.run(&product.text(), Options::default()).unwrap();
        assert_eq!(counters.distinct_stored, 3 * 4 * 20 * 132, "{product}");
    }
}
