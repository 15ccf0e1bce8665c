//! The committed JSON Schemas are the ones that the types generate.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use std::fs;
use std::path::Path;

use schemars::Schema;

fn is_current(document: &str, generated: &Schema) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("profiles/schema/{document}-1.json"));
    let generated = serde_json::to_string_pretty(generated).unwrap() + "\n";
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "{} is not current; renew it with `cargo run -- generate schema {document} > profiles/schema/{document}-1.json`",
        path.display()
    );
}

#[test]
fn the_committed_schemas_are_current() {
    is_current("profile", &rooflab::profile::schema());
    is_current("engine", &rooflab::profile::engine_schema());
    is_current("estimate", &rooflab::estimate::schema());
    is_current("diagnosis", &rooflab::diagnose::schema());
    is_current("product", &rooflab::diagnose::product_schema());
    is_current("kernels", &rooflab::diagnose::kernels_schema());
    is_current("observation", &rooflab::observe::schema());
    is_current("validation", &rooflab::validate::schema());
}
