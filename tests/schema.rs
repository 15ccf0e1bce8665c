//! The committed JSON Schemas are those that the types generate.

use std::fs;
use std::path::Path;

#[test]
fn the_committed_schemas_are_current() {
    for (name, schema) in [("profile", rooflab::profile::schema()), ("estimate", rooflab::estimate::schema())] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("profiles/schema/{name}-1.json"));
        let generated = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == generated,
            "{} is not current; renew it with `cargo run -- generate schema {name} > profiles/schema/{name}-1.json`",
            path.display()
        );
    }
}
