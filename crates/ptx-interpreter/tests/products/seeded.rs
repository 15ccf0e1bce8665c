//! Faults that are put into a kernel, one at a time, as a person might make them.

use ptx_interpreter::{Options, Schedule};

use crate::support::{FORMATS, Product, TILES};

/// The kernel that faults are put into.
fn product() -> Product<'static> {
    Product { format: &FORMATS[1], tile: &TILES[1], rows: 70, columns: 72, strips: 6, of_part: 6 }
}

fn changed(change: impl Fn(&str) -> String) -> String {
    changed_in(&product().text(), &product().entry(), change)
}

/// A text with a kernel's part changed, which must then be another.
pub(crate) fn changed_in(text: &str, entry: &str, change: impl Fn(&str) -> String) -> String {
    let start = text.find(&format!(".entry {entry}(")).unwrap();
    let end = start + text[start..].find("\n}").unwrap();
    let body = change(&text[start..end]);
    assert_ne!(body, &text[start..end], "nothing was changed");
    [&text[..start], &body, &text[end..]].concat()
}

/// The part with one line replaced: of those that hold a word, the one of this number.
pub(crate) fn line(body: &str, word: &str, number: usize, replace: impl Fn(&str) -> String) -> String {
    let mut seen = 0;
    let lines = body.lines().map(|line| {
        let is_meant = line.contains(word) && seen == number;
        seen += usize::from(line.contains(word));
        if is_meant { replace(line) } else { line.to_owned() }
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub(crate) fn without(body: &str, word: &str, number: usize) -> String {
    line(body, word, number, |_| String::new())
}

/// What is found in the plain order with copies that arrive late, and what when threads are interrupted as well.
fn is_found(text: &str) -> (bool, bool) {
    let fails = |schedule, races| {
        product().run(text, Options { schedule, races, budget: 1 << 24, ..Options::default() }).is_err()
    };
    let plain = fails(Schedule::Plain, false);
    let preemptive = (0..4).any(|seed| fails(Schedule::Preemptive { seed }, true));
    (plain, preemptive)
}

fn assert_found(name: &str, text: &str) {
    let (plain, preemptive) = is_found(text);
    assert!(plain || preemptive, "{name} is not found");
}

#[test]
fn the_kernel_itself_is_right() {
    assert_eq!(is_found(&product().text()), (false, false));
}

#[test]
fn waiting_for_too_little_is_found_in_the_plain_order() {
    for (name, text) in [
        ("a strip too few", changed(|body| body.replace("wait_group 2;", "wait_group 3;"))),
        ("no wait at all", changed(|body| without(body, "wait_group 2", 0))),
        ("a group that never ends", changed(|body| without(body, "commit_group", 3))),
    ] {
        assert!(is_found(&text).0, "{name} is not found");
    }
}

#[test]
fn missing_barriers_are_found() {
    assert_found("no barrier before a strip", &changed(|body| without(body, "bar.sync", 0)));
    assert_found("no barrier before sums overwrite strips", &changed(|body| without(body, "bar.sync", 1)));
    for number in 0..3 {
        let text = changed(|body| without(body, "bar.warp.sync", number));
        assert_found("no barrier of a warp around its sums", &text);
    }
}

#[test]
fn places_that_do_not_agree_are_found() {
    // Two exclusive ors are of copies, four of fragments.
    for number in 0..6 {
        let text = changed(|body| line(body, "xor.b32", number, |line| line.replace("xor.b32", "or.b32")));
        assert_found("another place", &text);
    }
    let text = changed(|body| body.replace(", 8192;", ", 4096;"));
    assert_found("stages that overlap", &text);
}

/// Right, but slow: vectors that lie as they come meet in a bank.
#[test]
fn places_that_meet_in_a_bank_are_counted() {
    let straight = |line: &str| {
        let operands: Vec<&str> =
            line.trim().trim_end_matches(';').split([' ', '\t', ',']).filter(|word| !word.is_empty()).collect();
        format!("mov.b32 {}, {};", operands[1], operands[3])
    };
    let text = changed(|body| (0..6).fold(body.to_owned(), |body, _| line(&body, "xor.b32", 0, straight)));
    let counters = product().run(&text, Options::default()).unwrap();
    assert!(counters.bank_conflicts > counters.shared_accesses / 2, "{counters:?}");
}

#[test]
fn fragments_in_the_wrong_order_are_found() {
    let text = changed(|body| line(body, "ldmatrix", 0, |line| line.replace(".m8n8.x4.", ".m8n8.x4.trans.")));
    assert_found("a transposed fragment", &text);
    let swapped = |line: &str| {
        let start = line.rfind("}, {%r").map_or(0, |start| start);
        let parts: Vec<&str> = line.split('{').collect();
        assert!(start > 0 && parts.len() == 5);
        let (first, second) = parts[3].split_once("}").unwrap().0.split_once(", ").unwrap();
        line.replacen(parts[3], &format!("{second}, {first}}}, "), 1)
    };
    assert_found("halves of B swapped", &changed(|body| line(body, "mma.sync", 0, swapped)));
    let other_sum = changed(|body| without(body, "mma.sync", 5));
    assert_found("a product left out", &other_sum);
}

#[test]
fn edges_are_found() {
    // The first two are of the band and of the part.
    for number in 2..6 {
        let text = changed(|body| {
            line(body, "min.u32", number, |line| {
                let operands: Vec<&str> = line.split_whitespace().collect();
                format!("mov.u32 {} {};", operands[1], operands[2].trim_end_matches(','))
            })
        });
        assert_found("a row beyond the matrix", &text);
    }
    for number in 0..2 {
        let text = changed(|body| line(body, "or.pred", number, |line| line.replace("or.pred", "and.pred")));
        assert_found("a store beyond the matrix", &text);
    }
}

#[test]
fn rows_of_sums_are_found() {
    for number in 0..4 {
        let text = changed(|body| line(body, "st.shared.v2", 1 + 2 * number, |line| line.replace("]", "+160]")));
        assert_found("a row of sums too far", &text);
    }
    let text = changed(|body| line(body, "ld.shared.v4", 1, |line| line.replace("];", "+160];")));
    assert_found("a row of sums read too far", &text);
}
