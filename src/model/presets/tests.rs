//! Every preset reads, and has as many parameters as its makers say.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::dtype::DType;
use crate::model::KvFormat;

#[test]
fn parameters_are_the_published_ones() {
    let mut wrong = Vec::new();
    for preset in presets() {
        let model = preset.model().unwrap_or_else(|error| panic!("{}: {error}", preset.name));
        let total = model.parameters().total;
        println!("{}\t{total}\t{:?}", preset.name, preset.published());
        if preset.published().is_some_and(|published| published != total) {
            wrong.push(format!("{}: {total} are counted, {:?} published", preset.name, preset.published()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_all_listed_and_names_lead_to_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/model/presets");
    let on_disk: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
        .collect();
    assert_eq!(on_disk, FILES.iter().map(|(name, _)| (*name).to_owned()).collect());
    let mut names = BTreeSet::new();
    for preset in presets() {
        assert_eq!(preset.facts().unwrap().name, preset.name);
        assert!(preset.source().starts_with("https://"), "{}", preset.name);
        for name in preset.names() {
            assert!(names.insert(name.clone()), "{name} names two presets");
            assert_eq!(find_preset(&name).unwrap().name, preset.name);
        }
    }
}
