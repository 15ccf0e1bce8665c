//! Holds the table of rooms in ARCHITECTURE.md: which module may import which. Reads every `crate::` path in the source.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The table of ARCHITECTURE.md: each room with what it may import. A room may always import itself.
fn table() -> BTreeMap<String, Vec<String>> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    let rows =
        page.lines().skip_while(|line| !line.starts_with("| room |")).skip(2).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let imports = cells[2].split(',').map(str::trim).filter(|word| *word != "–");
        (cells[0].trim_matches('`').to_owned(), imports.map(str::to_owned).collect())
    };
    rows.map(row).collect()
}

/// Rooms whose tests drive other rooms.
const TESTS_MAY_IMPORT: &[(&str, &[&str])] = &[("stats", &["data"]), ("resource", &["dtype"]), ("fit", &["dtype"])];

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The rooms that a text imports: every first word after `crate::`, also within `use crate::{a, b}`.
fn imports(text: &str) -> Vec<String> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut rooms = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let list = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(list, _)| list);
        for item in list.unwrap_or(rest).split(',').take(if list.is_some() { usize::MAX } else { 1 }) {
            let word: String = item.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            rooms.push(word);
        }
    }
    rooms
}

#[test]
fn rooms_import_only_what_their_table_allows() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let allowed = table();
    assert!(allowed.len() > 8, "the table of ARCHITECTURE.md could not be read");
    let in_tests: BTreeMap<&str, &[&str]> = TESTS_MAY_IMPORT.iter().copied().collect();
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in files {
        let inside = file.strip_prefix(&source).unwrap();
        let room = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if ["lib", "main", "cli"].contains(&room.as_str()) {
            continue;
        }
        let table = allowed.get(&room).unwrap_or_else(|| panic!("room `{room}` is not in the table"));
        let text = fs::read_to_string(&file).unwrap();
        let (code, tests) = text.split_once("#[cfg(test)]\nmod tests").unwrap_or((&text, ""));
        for (imported, extra) in imports(code)
            .into_iter()
            .map(|word| (word, &[][..]))
            .chain(imports(tests).into_iter().map(|word| (word, in_tests.get(room.as_str()).copied().unwrap_or(&[]))))
        {
            seen += 1;
            if imported != room && !table.contains(&imported) && !extra.contains(&imported.as_str()) {
                wrong.push(format!("{} imports `{imported}`", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 100, "only {seen} imports were found: the reading is broken");
}

#[test]
fn the_library_does_not_know_the_command() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let library = fs::read_to_string(source.join("lib.rs")).unwrap();
    assert!(!library.contains("mod cli"));
}

#[test]
fn features_are_chosen_by_file() {
    // Gates choose files, in the `mod.rs` of what has features, and nowhere else.
    let gates = ["backend/mod.rs", "model/hub/mod.rs", "report/png/mod.rs"];
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        if ["cfg(feature", "cfg(not(feature", "cfg_attr(feature", "cfg_attr(not(feature"]
            .iter()
            .any(|gate| text.contains(gate))
        {
            assert!(gates.iter().any(|gate| file.ends_with(gate)), "{} has a feature gate", file.display());
        }
    }
}
