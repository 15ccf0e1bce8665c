//! Configurations as they are published, and as nobody should publish them.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::dtype::DType;
use crate::model::{FeedForward, Granularity, Mixer, Role, Sparsity, WeightFormat, presets};

fn llama() -> Value {
    json!({
        "model_type": "llama", "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4,
        "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 1000, "torch_dtype": "bfloat16",
    })
}

fn with(mut config: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("not an object") };
    config.as_object_mut().unwrap().extend(fields);
    config
}

fn read(config: &Value) -> Result<Model, ConfigError> {
    from_config("test", config.to_string().as_bytes())
}

fn error(config: &Value) -> String {
    read(config).unwrap_err().to_string()
}

#[test]
fn what_is_wrong_is_named() {
    let mut config = llama();
    config.as_object_mut().unwrap().remove("vocab_size");
    assert_eq!(error(&config), "field `vocab_size` is missing");
    let wrong = |fields| error(&with(llama(), fields));
    assert!(
        wrong(json!({"model_type": "foo"}))
            .starts_with("not understood: field `model_type`: `foo` (known are llama, mistral,")
    );
    assert_eq!(wrong(json!({"hidden_size": 25.5})), "field `hidden_size`: `25.5` is not a whole number");
    assert_eq!(wrong(json!({"hidden_size": -1})), "field `hidden_size`: `-1` is not a whole number");
    assert_eq!(wrong(json!({"hidden_size": "256"})), "field `hidden_size`: `\"256\"` is not a whole number");
    assert_eq!(wrong(json!({"attention_bias": 1})), "field `attention_bias`: `1` is not `true` or `false`");
    assert_eq!(
        wrong(json!({"num_key_value_heads": 3})),
        "impossible: `blocks[0].kv_heads` is 3: the 8 query heads cannot be shared out evenly"
    );
    assert_eq!(wrong(json!({"num_hidden_layers": 0})), "impossible: `layers` is 0: it must be at least 1");
    assert_eq!(
        wrong(json!({"num_hidden_layers": 1_000_000_000_000_000_000_u64})),
        "impossible: `num_hidden_layers` is 1000000000000000000: no model has that many (at most 10000)"
    );
    assert!(wrong(json!({"vocab_size": u64::MAX})).starts_with("impossible: `vocab` is 18446744073709551615: "));
    assert!(wrong(json!({"num_attention_heads": 0})).contains("cannot be shared by 0 heads"));
    assert!(wrong(json!({"torch_dtype": "float8"})).starts_with("not understood: field `torch_dtype`: `float8`"));
    let long = wrong(json!({"model_type": "\u{1b}[31m".repeat(1000)}));
    assert!(long.len() < 1000 && !long.contains('\u{1b}'), "{long}");
    assert_eq!(from_config("test", b"[]").unwrap_err().to_string(), ConfigError::NotObject.to_string());
    assert!(matches!(from_config("test", b"{"), Err(ConfigError::NotJson(_))));
}

#[test]
fn the_text_model_of_several_inputs_is_read() {
    let config = json!({
        "model_type": "mistral3", "torch_dtype": "bfloat16", "tie_word_embeddings": true,
        "text_config": with(llama(), json!({"model_type": "mistral"})), "vision_config": {"hidden_size": 7},
    });
    let model = read(&config).unwrap();
    assert_eq!((model.hidden, model.tied_embeddings), (256, true));
    assert!(model.stored.is_some());
    let silent = json!({"model_type": "mistral3", "text_config": {"model_type": "mistral", "hidden_size": "x"}});
    assert!(error(&silent).contains("num_hidden_layers"), "{}", error(&silent));
}

fn windows(fields: Value) -> Vec<Option<u64>> {
    let model = read(&with(llama(), fields)).unwrap();
    let window = |kind: &usize| match &model.blocks[*kind].mixer {
        Mixer::Attention(attention) => attention.window,
        _ => None,
    };
    model.layers.iter().map(window).collect()
}

#[test]
fn windows_are_where_the_family_has_them() {
    let w = Some(64);
    let fields = |name: &str| json!({"model_type": name, "sliding_window": 64, "head_dim": 32});
    assert_eq!(windows(fields("llama")), [None; 4]);
    assert_eq!(windows(fields("mistral")), [w; 4]);
    assert_eq!(windows(json!({"model_type": "mistral", "sliding_window": null})), [None; 4]);
    assert_eq!(windows(fields("gemma2")), [w, None, w, None]);
    assert_eq!(windows(with(fields("gemma3_text"), json!({"sliding_window_pattern": 3}))), [w, w, None, w]);
    let listed = json!({"layer_types": ["full_attention", "sliding_attention", "full_attention", "full_attention"]});
    assert_eq!(windows(with(fields("gemma3_text"), listed)), [None, w, None, None]);
    assert_eq!(windows(fields("qwen2")), [None; 4]);
    let late = json!({"use_sliding_window": true, "max_window_layers": 3});
    assert_eq!(windows(with(fields("qwen2"), late)), [None, None, None, w]);
    let unknown = with(llama(), with(fields("gemma2"), json!({"layer_types": ["full_attention", "spiral_attention"]})));
    assert!(
        error(&unknown).starts_with("not understood: field `layer_types[1]`: `spiral_attention`"),
        "{}",
        error(&unknown)
    );
    let short = with(llama(), with(fields("gemma2"), json!({"layer_types": ["full_attention"]})));
    assert_eq!(error(&short), "field `layer_types[1]` is missing");
}

fn field(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}

fn quantised(config: Value) -> Result<Model, ConfigError> {
    read(&with(llama(), field("quantization_config", config)))
}

fn format(config: Value, role: Role) -> WeightFormat {
    quantised(config).unwrap().stored.unwrap().of(0, role)
}

#[test]
fn formats_of_quantised_repositories_are_read() {
    let gptq = format(json!({"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": true}), Role::Down);
    assert_eq!((gptq.element, gptq.activations), (DType::Int4, DType::Bf16));
    assert_eq!(gptq.bytes(256, 512).get() * 8.0, 256.0 * (512.0 * 4.0 + 4.0 * 20.0));
    let awq = format(json!({"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": false}), Role::Query);
    assert_eq!(awq.bytes(256, 256).get() * 8.0, 256.0 * (256.0 * 4.0 + 4.0 * 16.0));
    let blocks = format(json!({"quant_method": "fp8", "weight_block_size": [128, 128]}), Role::Up);
    assert_eq!(blocks.scales.unwrap().shared_by, Granularity::Block { outputs: 128, inputs: 128 });
    assert_eq!(blocks.activations, DType::Fp8E4m3);
    let nf4 = json!({"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": true});
    let nf4 = format(nf4, Role::Gate);
    assert_eq!(nf4.bytes(4096, 4096).get() * 8.0 / f64::from(4096 * 4096), 4.0 + 8.0 / 64.0 + 32.0 / 16_384.0);
    assert_eq!(format(json!({"quant_method": "modelopt", "quant_algo": "NVFP4"}), Role::Up).element, DType::Nvfp4);
    let eight = json!({"quant_method": "bitsandbytes", "load_in_8bit": true});
    assert_eq!(format(eight, Role::Head).element, DType::Bf16);
}

fn compressed(weights: Value, more: Value) -> Value {
    let group = with(json!({"targets": ["Linear"]}), field("weights", weights));
    let config = json!({"quant_method": "compressed-tensors", "ignore": ["lm_head"]});
    with(with(config, field("config_groups", field("group_0", group))), more)
}

#[test]
fn schemes_of_compressed_tensors_are_read() {
    let int4 = json!({"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32, "symmetric": false});
    let int4 = format(compressed(int4, json!({})), Role::Key);
    assert_eq!(int4.bytes(1, 64).get() * 8.0, 64.0 * 4.0 + 2.0 * 20.0);
    let fp8 = json!({"num_bits": 8, "type": "float", "strategy": "channel"});
    assert_eq!(format(compressed(fp8.clone(), json!({})), Role::Key).scales.unwrap().shared_by, Granularity::Row);
    let nvfp4 = json!({"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16});
    assert_eq!(format(compressed(nvfp4, json!({})), Role::Up).element, DType::Nvfp4);
    let sparse = json!({"sparsity_config": {"format": "sparse-24-bitmask", "sparsity_structure": "2:4"}});
    assert_eq!(format(compressed(fp8.clone(), sparse), Role::Key).sparsity, Some(Sparsity::TWO_OF_FOUR));
    let all = quantised(compressed(fp8.clone(), json!({"ignore": []}))).unwrap().stored.unwrap();
    assert_eq!(all.head.element, DType::Fp8E4m3);
    assert_eq!(quantised(compressed(fp8, json!({}))).unwrap().stored.unwrap().head.element, DType::Bf16);
}

#[test]
fn layers_that_are_excepted_are_of_another_kind() {
    let config =
        json!({"quant_method": "fp8", "modules_to_not_convert": ["model.layers.0", "re:.*layers\\.3\\.mlp.*"]});
    let model = quantised(config).unwrap();
    assert_eq!(model.layers, [0, 1, 1, 2]);
    let stored = model.stored.as_ref().unwrap();
    let element = |kind, role| stored.of(kind, role).element;
    assert_eq!((element(0, Role::Query), element(0, Role::Up)), (DType::Bf16, DType::Bf16));
    assert_eq!((element(1, Role::Query), element(1, Role::Up)), (DType::Fp8E4m3, DType::Fp8E4m3));
    assert_eq!((element(2, Role::Query), element(2, Role::Up)), (DType::Fp8E4m3, DType::Bf16));
}

#[test]
fn quantisation_that_is_not_known_is_not_guessed() {
    let error = |config| quantised(config).unwrap_err().to_string();
    assert!(
        error(json!({"quant_method": "hqq"}))
            .starts_with("not understood: field `quantization_config.quant_method`: `hqq`")
    );
    assert!(error(json!({"quant_method": "gptq", "bits": 5})).contains("`quantization_config.bits`: `5`"));
    assert_eq!(
        error(json!({"quant_method": "awq", "group_size": 0})),
        "field `quantization_config.group_size`: `0` is not a whole number above 0"
    );
    assert_eq!(
        error(json!({"quant_method": "fp8", "weight_block_size": [128, 0]})),
        "field `quantization_config.weight_block_size`: `0` is not a whole number above 0"
    );
    assert_eq!(error(json!({})), "field `quantization_config.quant_method` is missing");
    assert_eq!(error(json!([])), "field `quantization_config`: `[]` is not an object");
    let mixed = json!({"quant_method": "compressed-tensors", "config_groups": {"a": {}, "b": {}}});
    assert!(error(mixed).contains("`quantization_config.config_groups`: `2` (one group is)"));
    let endless = json!({"quant_method": "fp8", "modules_to_not_convert": ["re:(a{900}){900}"]});
    assert!(error(endless).starts_with("not understood: "));
}

#[test]
fn hybrids_and_mixtures_have_their_layers_in_order() {
    let granite = json!({
        "model_type": "granitemoehybrid", "layer_types": ["mamba", "mamba", "attention", "mamba"],
        "mamba_n_heads": 16, "mamba_n_groups": 1, "mamba_d_state": 128, "mamba_d_conv": 4, "mamba_expand": 2,
        "num_local_experts": 8, "num_experts_per_tok": 2, "shared_intermediate_size": 1024,
        "position_embedding_type": "nope",
    });
    let model = read(&with(llama(), granite)).unwrap();
    assert_eq!(model.layers, [0, 0, 1, 0]);
    let Mixer::Recurrent(recurrent) = &model.blocks[0].mixer else { panic!("no recurrence") };
    // Gate, convolved channels and time steps: 512 + (512 + 2 · 128) + 16.
    assert_eq!((recurrent.inputs.as_slice(), recurrent.state), (&[1296][..], 512 * 128));
    let FeedForward::Experts(experts) = &model.blocks[1].ffn else { panic!("no experts") };
    assert_eq!(experts.shared.map(|shared| shared.intermediate), Some(1024));

    let qwen = json!({
        "model_type": "qwen2_moe", "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64,
        "shared_expert_intermediate_size": 128, "decoder_sparse_step": 2, "mlp_only_layers": [3],
    });
    let model = read(&with(llama(), qwen)).unwrap();
    let dense = |kind: &usize| matches!(model.blocks[*kind].ffn, FeedForward::Dense(_));
    assert_eq!(model.layers.iter().map(dense).collect::<Vec<_>>(), [true, false, true, true]);
}

/// A published count of each of the other families whose configurations are not among the presets.
#[test]
fn published_counts_of_further_families_hold() {
    for (name, config, published) in [
        // tiiuae/falcon-7b, whose head is its embedding.
        (
            "falcon-7b",
            json!({"model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71,
                "vocab_size": 65024, "multi_query": true, "parallel_attn": true, "bias": false, "alibi": false,
                "new_decoder_architecture": false}),
            6_921_720_704_u64,
        ),
        // microsoft/phi-2.
        (
            "phi-2",
            json!({"model_type": "phi", "hidden_size": 2560, "intermediate_size": 10_240, "num_hidden_layers": 32,
                "num_attention_heads": 32, "vocab_size": 51_200, "tie_word_embeddings": false}),
            2_779_683_840,
        ),
        // EleutherAI/gpt-neox-20b.
        (
            "gpt-neox-20b",
            json!({"model_type": "gpt_neox", "hidden_size": 6144, "intermediate_size": 24_576, "num_hidden_layers": 44,
                "num_attention_heads": 64, "vocab_size": 50_432, "tie_word_embeddings": false}),
            20_554_567_680,
        ),
        // allenai/OLMo-2-1124-7B.
        (
            "olmo-2-7b",
            json!({"model_type": "olmo2", "hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32,
                "num_attention_heads": 32, "vocab_size": 100_352, "tie_word_embeddings": false}),
            7_298_617_344,
        ),
        // state-spaces/mamba-130m-hf.
        (
            "mamba-130m",
            json!({"model_type": "mamba", "hidden_size": 768, "intermediate_size": 1536, "num_hidden_layers": 24,
                "state_size": 16, "conv_kernel": 4, "time_step_rank": 48, "vocab_size": 50_280, "use_bias": false,
                "use_conv_bias": true}),
            129_135_360,
        ),
        // google/gemma-2-2b.
        (
            "gemma-2-2b",
            json!({"model_type": "gemma2", "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
                "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 256_000}),
            2_614_341_888,
        ),
        // ai21labs/Jamba-v0.1.
        (
            "jamba-v0.1",
            json!({"model_type": "jamba", "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
                "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 65_536, "attn_layer_period": 8,
                "attn_layer_offset": 4, "expert_layer_period": 2, "expert_layer_offset": 1, "num_experts": 16,
                "num_experts_per_tok": 2, "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2,
                "mamba_dt_rank": 256, "mamba_conv_bias": true, "mamba_proj_bias": false, "tie_word_embeddings": false}),
            51_570_323_328,
        ),
        // Qwen/Qwen1.5-MoE-A2.7B.
        (
            "qwen1.5-moe-a2.7b",
            json!({"model_type": "qwen2_moe", "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 24,
                "num_attention_heads": 16, "num_key_value_heads": 16, "vocab_size": 151_936, "decoder_sparse_step": 1,
                "moe_intermediate_size": 1408, "shared_expert_intermediate_size": 5632, "num_experts": 60,
                "num_experts_per_tok": 4, "tie_word_embeddings": false}),
            14_315_784_192,
        ),
    ] {
        assert_eq!(read(&config).unwrap().parameters().total, published, "{name}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![any::<u64>(), 0_u64..5, Just(1_000_000_000_000_000_000)].prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::collection::vec(any::<u64>().prop_map(Value::from), 0..4).prop_map(Value::from),
        Just(json!({"x": 1})),
    ]
}

proptest! {
    #[test]
    fn a_changed_field_is_an_error_or_a_model(preset in 0_usize..100, field in 0_usize..100, value in any_value()) {
        let preset = &presets()[preset % presets().len()];
        let mut config = preset.configuration().unwrap().clone();
        let inner = match config.get_mut("text_config") {
            Some(Value::Object(inner)) => inner,
            _ => &mut config,
        };
        let field = inner.keys().nth(field % inner.len()).unwrap().clone();
        inner.insert(field, value);
        if let Ok(model) = from_object("changed", &config) {
            prop_assert_eq!(model.problems(), []);
            let _ = (model.parameters(), model.stored.as_ref().map(|stored| model.weight_bytes(stored)));
        }
    }

    #[test]
    fn any_text_is_an_error_or_a_model(text in "\\PC{0,80}", cut in 0_usize..300) {
        let _ = from_config("any", text.as_bytes());
        let whole = llama().to_string();
        prop_assert!(from_config("cut", whole.as_bytes().get(..cut).unwrap_or(b"")).is_err() || cut == whole.len());
    }
}
