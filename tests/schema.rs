//! The committed JSON Schema is the one that the types generate.

use std::fs;
use std::path::Path;

#[test]
fn the_committed_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/schema/profile-1.json");
    let generated = serde_json::to_string_pretty(&rooflab::profile::schema()).unwrap() + "\n";
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "{} is not current; renew it with `cargo run -- generate schema > profiles/schema/profile-1.json`",
        path.display()
    );
}
