//! Every preset reads, and has as many parameters as its makers say.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::dtype::DType;
use crate::model::{FeedForward, KvFormat, Mixer, Role};

#[test]
fn parameters_are_the_published_ones() {
    let mut wrong = Vec::new();
    for preset in presets() {
        let model = preset.model().unwrap_or_else(|error| panic!("{}: {error}", preset.name));
        let total = model.parameters().total;
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

fn model(name: &str) -> Model {
    find_preset(name).unwrap().model().unwrap()
}

const BF16: KvFormat = KvFormat::plain(DType::Bf16);

fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

/// C14, C18 and C46 of the worked numbers.
#[test]
fn caches_of_dense_models_are_as_worked_out() {
    let mistral = model("mistral-7b-v0.1");
    assert_eq!(mistral.kv_bytes_per_token(BF16).get(), 131_072.0);
    let Mixer::Attention(attention) = &mistral.blocks[0].mixer else { panic!("not attention") };
    let every_head = mistral.kv_bytes_per_token(BF16) * (attention.heads / attention.kv_heads) as f64;
    assert_eq!(every_head.get(), 524_288.0);
    assert_eq!(model("llama-7b").kv_bytes_per_token(BF16).get(), 524_288.0);
    assert_eq!(model("qwen2.5-7b").kv_bytes_per_token(BF16).get(), 57_344.0);
}

/// The window of 4096 tokens caps what Mistral keeps; C17 reads these bytes.
#[test]
fn windows_cap_caches() {
    let mistral = model("mistral-7b-v0.1");
    assert_eq!(mistral.kv_bytes(8192, BF16).get(), 4096.0 * 131_072.0);
    assert_eq!(mistral.kv_bytes_without_windows(8192, BF16).get(), 8192.0 * 131_072.0);
    let gemma = model("gemma-3-1b");
    assert_eq!(mib(gemma.kv_bytes(32 << 10, BF16).get()), 139.0);
    assert_eq!(mib(gemma.kv_bytes_without_windows(32 << 10, BF16).get()), 832.0);
    let oss = model("gpt-oss-20b");
    assert_eq!(mib(oss.kv_bytes(8192, BF16).get() * 32.0), 6.093_75 * 1024.0);
    assert_eq!(mib(oss.kv_bytes_without_windows(8192, BF16).get() * 32.0), 12.0 * 1024.0);
}

/// A widely copied 123 GiB took 16 heads of keys and values; there are 8. The context is 128,000 tokens.
#[test]
fn the_largest_llama_has_eight_heads_of_keys_and_values() {
    let gib = mib(model("llama-3.1-405b").kv_bytes(128_000, BF16).get()) / 1024.0;
    assert!((gib - 61.5).abs() < 0.05, "{gib}");
}

#[test]
fn heads_are_as_wide_as_their_field_says() {
    for (name, head_dim) in [("qwen3-0.6b", 128), ("gemma-3-1b", 256), ("gpt-oss-20b", 64), ("mistral-small-24b", 128)]
    {
        let model = model(name);
        let Mixer::Attention(attention) = &model.blocks[0].mixer else { panic!("not attention") };
        assert_eq!(attention.head_dim, head_dim, "{name}");
        assert_ne!(attention.heads * head_dim, model.hidden, "{name}: hidden / heads would do as well");
    }
}

/// Latent attention keeps 512 compressed elements and 64 with position for each token and layer.
#[test]
fn latent_attention_keeps_one_vector() {
    assert_eq!(model("deepseek-v3").kv_bytes_per_token(BF16).get(), f64::from((512 + 64) * 2 * 61));
}

/// Qwen3-Next: in three of four layers 32 heads of 128 × 128 elements, and three tokens of 8192 channels.
#[test]
fn delta_networks_keep_a_state() {
    let model = model("qwen3-next-80b-a3b");
    let state = 36.0 * (32.0 * 128.0 * 128.0 * 4.0 + 3.0 * 8192.0 * 2.0);
    assert_eq!(model.state_bytes(DType::F32, DType::Bf16).get(), state);
    assert_eq!(model.kv_bytes_per_token(BF16).get(), 12.0 * 2.0 * 2.0 * 256.0 * 2.0);
}

/// What the makers round: 3.6 and 5.1 billion with the output head and without the embedding, 37 billion, 3.3 and 22 billion.
#[test]
fn active_parameters_are_those_the_makers_state() {
    for (name, embedding, billions) in [
        ("gpt-oss-20b", false, 3.61),
        ("gpt-oss-120b", false, 5.13),
        ("deepseek-v3", true, 37.55),
        ("qwen3-30b-a3b", true, 3.35),
        ("qwen3-235b-a22b", true, 22.19),
        ("mixtral-8x7b", true, 12.88),
    ] {
        let count = model(name).parameters();
        let active = count.active - if embedding { 0 } else { count.embedding };
        assert!((active as f64 / 1e9 - billions).abs() < 0.006, "{name}: {active}");
    }
}

/// The largest OPT is called after 175 billion parameters; its matrices and tables are known, its exact number is not published.
#[test]
fn the_largest_opt_is_near_its_name() {
    let total = model("opt-175b").parameters().total;
    assert!((total as f64 / 174.6e9 - 1.0).abs() < 1e-3, "{total}");
}

/// Bytes of all tensors as the index of each repository states them.
#[test]
fn stored_formats_take_the_bytes_of_the_repository() {
    for (name, bytes) in
        [("gpt-oss-20b", 13_761_264_768_u64), ("gpt-oss-120b", 65_248_815_744), ("qwen2.5-7b", 15_231_233_024)]
    {
        let model = model(name);
        assert_eq!(model.weight_bytes(model.stored.as_ref().unwrap()).get(), bytes as f64, "{name}");
    }
}

#[test]
fn experts_alone_are_quantised_where_the_list_says_so() {
    let model = model("gpt-oss-20b");
    let stored = model.stored.as_ref().unwrap();
    assert_eq!(stored.of(0, Role::ExpertUp).element, DType::Mxfp4);
    for role in [Role::Query, Role::Output, Role::Router, Role::Head, Role::Embedding] {
        assert_eq!(stored.of(1, role).element, DType::Bf16, "{role:?}");
    }
}

#[test]
fn the_first_layers_of_deepseek_are_dense() {
    let model = model("deepseek-r1");
    assert_eq!(model.layers.iter().filter(|&&kind| kind == 0).count(), 3);
    assert!(matches!(model.blocks[0].ffn, FeedForward::Dense(_)));
    assert!(matches!(model.blocks[1].ffn, FeedForward::Experts(_)));
}

#[test]
fn every_preset_has_formats_and_no_problem() {
    for preset in presets() {
        let model = preset.model().unwrap();
        let stored = model.stored.as_ref().unwrap_or_else(|| panic!("{} states no format", preset.name));
        assert_eq!(model.problems(), [], "{}", preset.name);
        assert_eq!(stored.blocks.len(), model.blocks.len());
        assert!(model.weight_bytes(stored).get() >= model.parameters().total as f64 / 2.0, "{}", preset.name);
    }
}
