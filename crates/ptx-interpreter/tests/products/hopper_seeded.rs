//! Faults that are put into Hopper's kernel, one at a time, as a person might make them.

use ptx_interpreter::{Options, Schedule};

use crate::hopper::{Product, TILES};
use crate::seeded::{changed_in, line, without};
use crate::support::FORMATS;

/// The kernel that faults are put into: four tiles of one block, each of more strips than there are places for.
fn product() -> Product<'static> {
    Product { format: &FORMATS[1], tile: &TILES[2], rows: 70, columns: 140, length: 640, of_part: 10, blocks: 1 }
}

/// A pair of blocks, whose second one has parts of tiles. What the last strip of a tile is given back for is the next tile.
fn pair() -> Product<'static> {
    Product { format: &FORMATS[1], tile: &TILES[3], rows: 140, columns: 264, length: 320, of_part: 5, blocks: 1 }
}

fn changed(change: impl Fn(&str) -> String) -> String {
    changed_in(&Product::text(), &product().entry(), change)
}

/// What is said of a text in the plain order with everything late, otherwise when threads are interrupted as well.
fn found(text: &str) -> Option<String> {
    found_in(&product(), text)
}

fn found_in(product: &Product<'_>, text: &str) -> Option<String> {
    let plain = std::iter::once(Schedule::Plain);
    let mut orders = plain.chain((0..6).map(|seed| Schedule::Preemptive { seed }));
    orders.find_map(|schedule| {
        let races = schedule != Schedule::Plain;
        let options = Options { schedule, races, budget: 1 << 26, ..Options::default() };
        product.run(text, options).err()
    })
}

/// Each fault is found, and what is said of it holds a word.
fn assert_found(word: &str, name: &str, text: &str) {
    let said = found(text).unwrap_or_else(|| panic!("{name} is not found"));
    assert!(said.contains(word), "{name}: {said}");
}

#[test]
fn the_kernel_itself_is_right() {
    assert_eq!(found(&Product::text()), None);
}

/// Asks for the end of the other phase.
fn other_parity(line: &str) -> String {
    let (before, after) = line.split_once("done, [").unwrap();
    let (barrier, after) = after.split_once("], ").unwrap();
    let (parity, after) = after.split_once(';').unwrap();
    let (declared, ask) = before.split_once("mbarrier").unwrap();
    format!("{declared} .reg .b32 other; xor.b32 other, {parity}, 1; mbarrier{ask}done, [{barrier}], other;{after}")
}

/// Does not ask at all.
fn no_wait(line: &str) -> String {
    let (before, after) = line.split_once("mbarrier").unwrap();
    format!("{before}setp.eq.u32 done, 0, 0;{}", after.split_once(';').unwrap().1)
}

#[test]
fn wrong_phases_are_found() {
    // The first one waits for room, the second for strips.
    for (number, words) in [(0, ["deadlock", "is written while"]), (1, ["before they are written"; 2])] {
        let text = changed(|body| line(body, "try_wait", number, other_parity));
        assert_found(words[0], "the other parity", &text);
        let text = changed(|body| line(body, "try_wait", number, no_wait));
        let said = found(&text).unwrap();
        assert!(said.contains(words[1]) || said.contains("more arrive"), "no wait: {said}");
    }
}

#[test]
fn arrivals_that_are_missing_or_too_many_are_found() {
    for number in 0..2 {
        let text = changed(|body| without(body, "mbarrier.arrive.shared", number));
        assert_found("deadlock", "a strip that is not given back", &text);
    }
    let text = changed(|body| without(body, "mbarrier.arrive.expect_tx", 0));
    assert_found("deadlock", "bytes that nobody announces", &text);
    for (name, bytes) in [("too many", 32), ("too few", -32)] {
        let text = changed(|body| {
            let announced = |line: &str| {
                let (before, register) = line.trim_end_matches(';').rsplit_once(' ').unwrap();
                format!("add.s32 {register}, {register}, {bytes}; {before} {register};")
            };
            line(body, "mbarrier.arrive.expect_tx", 0, announced)
        });
        assert!(found(&text).is_some(), "{name} bytes are not found");
    }
    // Four warps are done with a strip, each by itself.
    let text = changed(|body| {
        let fewer = |line: &str| line.replace("], %r", "], 1; // %r");
        line(body, "mbarrier.init", 1, fewer)
    });
    assert_found("while a product of matrices is on its way", "a barrier for fewer", &text);
}

#[test]
fn sums_that_are_not_waited_for_are_found() {
    let text = changed(|body| body.replace("wgmma.wait_group.sync.aligned 1;", "wgmma.wait_group.sync.aligned 2;"));
    assert_found("while a product of matrices is on its way", "room is given back too early", &text);
    let text = changed(|body| without(body, "wgmma.wait_group.sync.aligned 1;", 0));
    assert_found("while a product of matrices is on its way", "room is given back too early", &text);
    let text = changed(|body| without(body, "wgmma.wait_group.sync.aligned 0;", 0));
    assert_found("before it has a value", "sums are written too early", &text);
    let text = changed(|body| without(body, "wgmma.commit_group", 0));
    assert_found("", "products that belong to no group", &text);
}

#[test]
fn missing_fences_are_found() {
    let text = changed(|body| without(body, "wgmma.fence", 0));
    assert_found("`wgmma.fence`", "zeros that are not fenced", &text);
    for number in 0..4 {
        let text = changed(|body| without(body, "fence.proxy.async", number));
        assert_found("`fence.proxy.async`", "sums that are not fenced", &text);
    }
    let text = changed(|body| without(body, "fence.mbarrier_init", 0));
    assert_found("`fence.proxy.async`", "barriers that are not fenced", &text);
}

#[test]
fn missing_barriers_are_found() {
    let text = changed(|body| without(body, "bar.sync", 0));
    assert_found("there is none", "barriers that are used too early", &text);
    for number in 0..8 {
        let text = changed(|body| without(body, "bar.warp.sync", number));
        assert!(found(&text).is_some(), "barrier {number} around a warp's sums is not missed");
    }
}

#[test]
fn sums_that_are_overwritten_or_lost_are_found() {
    for number in 2..4 {
        let text = changed(|body| without(body, "wait_group.read 1;", number));
        assert_found("while a copy to a tensor is on its way", "sums that are overwritten", &text);
    }
    let text = changed(|body| without(body, "wait_group.read 0;", 0));
    assert_found("ends before", "a block that ends too early", &text);
    let text = changed(|body| without(body, "bulk.commit_group", 3));
    assert_found("", "copies that belong to no group", &text);
}

#[test]
fn places_that_do_not_agree_are_found() {
    // The first and the last exclusive or are of parities, the others of where sums lie.
    for number in 1..6 {
        let text = changed(|body| line(body, "xor.b32", number, |line| line.replace("xor.b32", "or.b32")));
        assert_found("", "another place of sums", &text);
    }
    let text = changed(|body| body.replace("4611686293305360384", "4611686224585883648"));
    assert_found("row", "eight rows that are 512 bytes", &text);
    let text = changed(|body| body.replace("4611686293305360384", "9223372311732748288"));
    assert_found("exchanged", "another exchange", &text);
    let text = changed(|body| line(body, "st.shared.v2", 1, |line| line.replace("]", "+128]")));
    assert_found("", "a row of sums too far", &text);
    let swapped = |line: &str| {
        let (before, after) = line.split_once(", {").unwrap();
        let (place, after) = after.split_once('}').unwrap();
        let (column, row) = place.split_once(", ").unwrap();
        format!("{before}, {{{row}, {column}}}{after}")
    };
    let text = changed(|body| line(body, "tensor.2d", 0, swapped));
    assert_found("row", "rows for columns", &text);
}

#[test]
fn blocks_that_do_not_wait_for_each_other_are_found() {
    let found = |name: &str, change: &dyn Fn(&str) -> String| {
        let text = changed_in(&Product::text(), &pair().entry(), change);
        found_in(&pair(), &text).unwrap_or_else(|| panic!("{name} is not found"))
    };
    assert_eq!(found_in(&pair(), &Product::text()), None);
    let said = found("meeting at the start", &|body| without(body, "barrier.cluster", 0));
    assert!(said.contains("there is none"), "{said}");
    let said = found("meeting at the end", &|body| without(body, "barrier.cluster", 1));
    assert!(said.contains("has ended"), "{said}");
    for number in 0..2 {
        let to_oneself = |line: &str| line.replace("mapa.shared::cluster.u32 there, ", "mov.u32 there, ");
        let own = |line: &str| {
            let (before, after) =
                to_oneself(line).split_once(", %").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
            let (first, after) = after.split_once(", ").unwrap();
            format!("{before}, %{first};{}", after.split_once(';').unwrap().1)
        };
        let said = found("strips that only oneself is told of", &|body| line(body, "mapa", number, own));
        assert!(!said.is_empty());
    }
    let one_block = |body: &str| line(body, "mov.u16", 0, |line| line.replace(", 3;", ", 1;"));
    assert!(found("half of B for one of them", &one_block).contains("deadlock"));
    let said = found("fewer arrivals", &|body| line(body, ", 16;", 0, |line| line.replace(", 16;", ", 8;")));
    assert!(said.contains("is on its way") || said.contains("more arrive"), "{said}");
}

/// Right, but slow: columns beside each other meet those of the rows after the next in a bank.
#[test]
fn sums_that_meet_in_a_bank_are_counted() {
    let near = |line: &str| {
        let (before, after) =
            line.replace("selp.f32", "mov.f32").split_once(", ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        format!("{before}, {};", after.split_once(',').unwrap().0)
    };
    let text = changed(|body| {
        let body = (0..64).fold(body.to_owned(), |body, _| line(&body, "selp.f32", 0, near));
        line(&body, "and.b32", 4, |line| line.replace(", 64;", ", 0;"))
    });
    let counters = product().run(&text, Options::default()).unwrap();
    assert!(counters.bank_conflicts >= counters.shared_accesses, "{counters:?}");
}
