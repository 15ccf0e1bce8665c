//! Drives `rooflab profile ask` on a small invented profile: products with a formula, curves, absences and a datasheet.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod common;

use common::{Home, finish};

/// The invented profile.
const PRODUCTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/profiles/products-0.1.json");

/// Asks the invented profile; gives exit code and standard output.
fn ask(arguments: &[&str]) -> (i32, String) {
    let (resource, rest) = arguments.split_first().unwrap();
    let (code, out, err) = Home::new().run(&[&["profile", "ask", resource, PRODUCTS], rest].concat());
    assert_eq!(err, "");
    (code, out)
}

/// Fails with exit code 2, says all of these, and writes nothing to standard output.
fn fails(arguments: &[&str], says: &[&str]) {
    let (code, out, err) = Home::new().run(&[&["profile", "ask"], arguments].concat());
    assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
    for part in says {
        assert!(err.contains(part), "{arguments:?} does not say `{part}`:\n{err}");
    }
}

#[test]
fn products_are_answered_by_points_neighbours_and_the_formula() {
    let shapes = ["16x4096x4096", "64x2048x2048", "16x8192x4096", "4096x65536x65536"];
    let arguments: Vec<&str> =
        std::iter::once("gemm.bf16.f32").chain(shapes.iter().flat_map(|s| ["--shape", s])).collect();
    let (code, out) = ask(&arguments);
    assert_eq!(code, 0);
    insta::assert_snapshot!("products", out);
}

#[test]
fn curves_are_answered_along_their_axis() {
    let (code, out) = ask(&["gemv.bf16", "--bytes", "1MB", "--bytes", "50M", "--bytes", "4Gi"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!("curve", out);
    let (code, out) = ask(&["attention.decode.f16", "--tokens", "4000"]);
    assert_eq!(code, 0);
    assert!(out.contains("between 1000 tokens and 16000 tokens"), "{out}");
}

#[test]
fn substitutes_and_datasheets_say_so() {
    let mut text = String::new();
    for arguments in [
        &["compute.matrix.bf16.f32"][..],
        &["attention.decode.bf16", "--tokens", "1000"],
        &["gemv.int8.f32", "--bytes", "1M"],
        &["link.host.h2d", "--bytes", "1G"],
    ] {
        let (code, out) = ask(arguments);
        assert_eq!(code, 0, "{out}");
        text += &out;
    }
    insta::assert_snapshot!("substitutes", text);
}

#[test]
fn what_is_not_known_answers_no() {
    let (code, out) = ask(&["gemm.int8.int32", "--shape", "1x1024x1024"]);
    assert_eq!(code, 1);
    assert!(out.contains("not known: skipped: effort quick leaves it out"), "{out}");
    // Nothing of the whole device stands for one core.
    for core in [&["memory.read@core"][..], &["memory.read", "--core"]] {
        let (code, out) = ask(core);
        assert_eq!(code, 1);
        assert!(out.contains("memory.read@core") && out.contains("it is not in this profile"), "{out}");
    }
}

#[test]
fn answers_are_rows_in_json() {
    let (code, out) = ask(&["gemv.bf16", "--bytes", "100M", "--bytes", "1G", "--json"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!("json", out);
    let (code, out) = ask(&["latency.l1", "--json"]);
    assert_eq!(code, 1);
    assert!(out.contains("\"answer\": \"missing\""), "{out}");
}

#[test]
fn the_profile_may_come_from_standard_input_and_the_datasheet_from_another() {
    let home = Home::new();
    let measured = home.run(&["probe", "-d", "mock", "-p", "overhead.*", "--no-save", "--json"]).1;
    let arguments = ["profile", "ask", "memory.dram.read", "-", "--datasheet", PRODUCTS];
    let (code, out, _) = finish(home.rooflab(&arguments).write_stdin(measured));
    assert_eq!(code, 0);
    assert!(out.contains("51.2 GB/s") && out.contains("two channels of DDR4-3200"), "{out}");
}

#[test]
fn questions_that_make_no_sense_are_errors() {
    fails(&["gemm.f17", PRODUCTS], &["`gemm.f17` is not a resource this rooflab knows", "hint:"]);
    fails(
        &["memory.read", PRODUCTS, "--shape", "1x2x3"],
        &["`memory.read` is asked at the bytes of a working set", "hint: give `--bytes SIZE`"],
    );
    fails(
        &["compute.vector.f32", PRODUCTS, "--bytes", "1M"],
        &["has one value, not a curve", "hint: leave out the size"],
    );
    fails(&["gemm.f32", PRODUCTS, "--tokens", "1"], &["is asked at the shape of a product", "--shape MxNxK"]);
    fails(&["memory.read", PRODUCTS, "--bytes", "1M", "--tokens", "1"], &["cannot be used with"]);
    fails(&["gemm.f32", PRODUCTS, "--shape", "16x16"], &["is not a shape such as `16x4096x4096`"]);
    fails(&["memory.read", PRODUCTS, "--bytes", "0"], &["a size is above zero"]);
    fails(&["memory.read", "nobody"], &["there is no profile `nobody`", "hint: no profile is stored yet"]);
    fails(&["memory.read", "-", "--datasheet", "-"], &["standard input holds one profile"]);
    fails(&[], &["required arguments were not provided"]);
}
