//! From the tensors of a GGUF file to layers.

use std::collections::BTreeMap;

use super::GgufError;
use super::header::{Header, Tensor, Value, not_understood};
use crate::dtype::DType;
use crate::model::check::MAX_LAYERS;
use crate::model::config::Formats;
use crate::model::names::is_gguf_type;
use crate::model::{
    Attention, Block, Dense, Experts, FeedForward, LatentAttention, Mixer, Model, Norm, QkNorm, Role, WeightFormat,
};

type Result<T> = std::result::Result<T, GgufError>;

/// Tensors of a layer that are matrices, with the roles they play. Where a role has several tensors, the first that is there gives its format.
const MATRICES: &[(Role, &[&str])] = &[
    (Role::Query, &["attn_q", "attn_qkv"]),
    (Role::Key, &["attn_k", "attn_qkv"]),
    (Role::Value, &["attn_v", "attn_qkv"]),
    (Role::Output, &["attn_output"]),
    (Role::QueryDown, &["attn_q_a"]),
    (Role::QueryUp, &["attn_q_b"]),
    (Role::LatentDown, &["attn_kv_a_mqa"]),
    (Role::LatentUp, &["attn_kv_b", "attn_k_b", "attn_v_b"]),
    (Role::Gate, &["ffn_gate", "ffn_up"]),
    (Role::Up, &["ffn_up"]),
    (Role::Down, &["ffn_down"]),
    (Role::Router, &["ffn_gate_inp"]),
    (Role::ExpertGate, &["ffn_gate_exps", "ffn_gate_up_exps"]),
    (Role::ExpertUp, &["ffn_up_exps", "ffn_gate_up_exps"]),
    (Role::ExpertDown, &["ffn_down_exps"]),
    (Role::SharedGate, &["ffn_gate_shexp"]),
    (Role::SharedUp, &["ffn_up_shexp"]),
    (Role::SharedDown, &["ffn_down_shexp"]),
    (Role::SharedScale, &["ffn_gate_inp_shexp"]),
];

/// Norms over the residual stream.
const NORMS: &[&str] = &["attn_norm", "attn_norm_2", "ffn_norm", "post_attention_norm", "post_ffw_norm"];
/// Tensors that are no weights: factors of rotations.
const NOT_WEIGHTS: &[&str] = &["rope_freqs", "rope_factors_long", "rope_factors_short"];

/// Architectures that look back on a window in all layers but each so-many-th; 0 stands for all layers.
const WINDOWS: &[(&str, u64)] = &[("gemma2", 2), ("gemma3", 6), ("gpt-oss", 2), ("cohere2", 4), ("phi3", 0)];

/// The metadata of the file's architecture.
struct Keys<'a> {
    metadata: &'a BTreeMap<String, Value>,
    architecture: &'a str,
}

impl<'a> Keys<'a> {
    fn find(&self, name: &str) -> (String, Option<&'a Value>) {
        let key = format!("{}.{name}", self.architecture);
        let value = self.metadata.get(&key);
        (key, value)
    }

    /// A number of a layer: one for all, or one for each.
    fn optional(&self, name: &str, layer: u64) -> Result<Option<u64>> {
        let (key, value) = self.find(name);
        let value = match value {
            Some(Value::List(list)) => {
                let of_layer = usize::try_from(layer).ok().and_then(|layer| list.get(layer));
                Some(of_layer.ok_or_else(|| GgufError::Missing { key: format!("{key}[{layer}]") })?)
            }
            other => other,
        };
        match value {
            None => Ok(None),
            Some(Value::Whole(number)) => Ok(Some(*number)),
            Some(Value::Flag(flag)) => Ok(Some(u64::from(*flag))),
            Some(other) => Err(not_understood(&key, &format!("{other:?}"), "a whole number is expected")),
        }
    }

    fn number(&self, name: &str, layer: u64) -> Result<u64> {
        self.optional(name, layer)?.ok_or_else(|| GgufError::Missing { key: self.find(name).0 })
    }
}

/// The tensors of one layer, by their names within it.
#[derive(Default)]
struct Layer<'a> {
    tensors: BTreeMap<&'a str, &'a Tensor>,
}

impl<'a> Layer<'a> {
    fn weight(&self, name: &str) -> Option<&'a Tensor> {
        self.tensors.get(format!("{name}.weight").as_str()).copied()
    }

    fn has_bias(&self, name: &str) -> bool {
        self.tensors.contains_key(format!("{name}.bias").as_str())
    }

    fn inputs(&self, name: &str) -> u64 {
        self.weight(name).map_or(0, |tensor| size(tensor, 0))
    }

    fn outputs(&self, name: &str) -> u64 {
        self.weight(name).map_or(0, |tensor| size(tensor, 1))
    }

    fn formats(&self) -> BTreeMap<Role, WeightFormat> {
        let of = |names: &[&str]| names.iter().find_map(|name| self.weight(name)).map(|tensor| format_of(tensor.dtype));
        MATRICES.iter().filter_map(|(role, names)| Some((*role, of(names)?))).collect()
    }
}

fn size(tensor: &Tensor, dimension: usize) -> u64 {
    tensor.shape.get(dimension).copied().unwrap_or(1)
}

fn format_of(dtype: DType) -> WeightFormat {
    let quantised = is_gguf_type(dtype) || dtype == DType::Mxfp4;
    WeightFormat { activations: if quantised { DType::Bf16 } else { dtype }, ..WeightFormat::plain(dtype) }
}

/// The model of a header.
pub(super) fn model(header: &Header, name: &str) -> Result<Model> {
    let Some(Value::Text(architecture)) = header.metadata.get("general.architecture") else {
        return Err(GgufError::Missing { key: "general.architecture".to_owned() });
    };
    let keys = Keys { metadata: &header.metadata, architecture };
    let hidden = keys.number("embedding_length", 0)?;
    let all = keys.number("block_count", 0)?;
    if all > MAX_LAYERS {
        return Err(GgufError::TooLarge { what: "number of layers", value: all, limit: MAX_LAYERS });
    }
    // Layers at the end that predict further tokens are not part of a step.
    let count = all.saturating_sub(keys.optional("nextn_predict_layers", 0)?.unwrap_or(0));
    let mut layers: Vec<Layer<'_>> = (0..count).map(|_| Layer::default()).collect();
    let mut outside = Layer::default();
    let mut elements = 0_u64;
    for tensor in &header.tensors {
        let (layer, name) = place(tensor, count, all)?;
        if NOT_WEIGHTS.contains(&name.split('.').next().unwrap_or_default()) || layer == Some(None) {
            continue;
        }
        elements = elements.saturating_add(tensor.elements);
        let owner = layer.flatten().and_then(|layer| layers.get_mut(layer)).unwrap_or(&mut outside);
        owner.tensors.insert(name, tensor);
    }
    if let Some(empty) = layers.iter().position(|layer| layer.tensors.is_empty()) {
        return Err(missing_tensor(&format!("blk.{empty}")));
    }
    let table = outside.weight("token_embd").ok_or_else(|| missing_tensor("token_embd.weight"))?;
    let output = outside.weight("output");
    let mut model = Model::new(name, hidden, size(table, 1), Vec::new());
    model.tied_embeddings = output.is_none();
    model.head_bias = outside.has_bias("output");
    model.learned_positions = outside.outputs("position_embd");
    model.final_norm = outside.weight("output_norm").map(|_| norm_of(&outside, "output_norm"));
    model.max_context = keys.optional("context_length", 0)?;
    let read = |(layer, tensors): (usize, &Layer<'_>)| block(&keys, tensors, layer as u64, hidden);
    let blocks = layers.iter().enumerate().map(read).collect::<Result<Vec<Block>>>()?;
    let embedding = format_of(table.dtype);
    let formats = Formats {
        layers: layers.iter().map(Layer::formats).collect(),
        head: output.map_or(embedding, |output| format_of(output.dtype)),
        embedding,
        vectors: DType::F32,
        activations: DType::Bf16,
    };
    model.set_layers(blocks, Some(formats));
    model.stored_bytes = Some(header.tensors.iter().map(|tensor| tensor.bytes).fold(0, u64::saturating_add));
    if let Some(problem) = model.problems().into_iter().next() {
        return Err(GgufError::Impossible(problem));
    }
    let total = model.parameters().total;
    if total != elements {
        let why = format!("the layers that were read have {total} parameters");
        return Err(not_understood("elements of all tensors", &elements.to_string(), &why));
    }
    Ok(model)
}

fn missing_tensor(name: &str) -> GgufError {
    GgufError::Missing { key: name.to_owned() }
}

/// Where a tensor belongs: outside of layers (`None`), to one of them, or to one of those behind them up to `all` (`Some(None)`), and its name there.
fn place(tensor: &Tensor, layers: u64, all: u64) -> Result<(Option<Option<usize>>, &str)> {
    let Some(rest) = tensor.name.strip_prefix("blk.") else { return Ok((None, &tensor.name)) };
    let parts = rest.split_once('.').and_then(|(number, name)| Some((number.parse::<u64>().ok()?, name)));
    let (layer, name) = parts.ok_or_else(|| not_understood("tensor", &tensor.name, "it is in no layer"))?;
    if layer >= all {
        return Err(not_understood("tensor", &tensor.name, &format!("`block_count` says {all}")));
    }
    Ok((Some(usize::try_from(layer).ok().filter(|_| layer < layers)), name))
}

fn norm_of(layer: &Layer<'_>, name: &str) -> Norm {
    if layer.has_bias(name) { Norm::Layer } else { Norm::Rms }
}

fn block(keys: &Keys<'_>, layer: &Layer<'_>, number: u64, hidden: u64) -> Result<Block> {
    if let Some(name) = layer.tensors.keys().find(|name| !is_known(name)) {
        return Err(not_understood(
            "tensor",
            &format!("blk.{number}.{name}"),
            "layers with such a tensor are not known",
        ));
    }
    let norms = NORMS.iter().filter(|name| layer.weight(name).is_some());
    Ok(Block {
        mixer: mixer(keys, layer, number, hidden)?,
        ffn: feed_forward(keys, layer, number)?,
        norm: NORMS.iter().find(|name| layer.weight(name).is_some()).map_or(Norm::Rms, |name| norm_of(layer, name)),
        norms: norms.count() as u64,
    })
}

fn is_known(name: &str) -> bool {
    const VECTORS: &[&str] =
        &["attn_q_norm", "attn_k_norm", "attn_q_a_norm", "attn_kv_a_norm", "attn_sinks", "exp_probs_b"];
    let stem = name.strip_suffix(".weight").or_else(|| name.strip_suffix(".bias")).unwrap_or(name);
    NORMS.contains(&stem) || VECTORS.contains(&stem) || MATRICES.iter().any(|(_, names)| names.contains(&stem))
}

fn mixer(keys: &Keys<'_>, layer: &Layer<'_>, number: u64, hidden: u64) -> Result<Mixer> {
    if layer.weight("attn_output").is_none() {
        return Ok(Mixer::None);
    }
    let heads = keys.number("attention.head_count", number)?;
    if layer.weight("attn_kv_a_mqa").is_some() {
        return latent(keys, layer, heads);
    }
    let shared = || hidden.checked_div(heads).unwrap_or(0);
    let head_dim = keys.optional("attention.key_length", number)?.unwrap_or_else(shared);
    let values = keys.optional("attention.value_length", number)?.unwrap_or(head_dim);
    if values != head_dim {
        let why = format!("keys have {head_dim} elements, and both are known to have the same number");
        return Err(not_understood("attention.value_length", &values.to_string(), &why));
    }
    let kv_heads = keys.optional("attention.head_count_kv", number)?.unwrap_or(heads);
    let width = heads.saturating_mul(head_dim);
    let qk_norm = match layer.inputs("attn_q_norm") {
        0 => QkNorm::None,
        length if length == head_dim => QkNorm::PerHead,
        _ => QkNorm::Full,
    };
    Ok(Mixer::Attention(Attention {
        heads,
        kv_heads,
        head_dim,
        window: window(keys, number)?,
        qkv_bias: layer.has_bias("attn_q") || layer.has_bias("attn_qkv"),
        output_bias: layer.has_bias("attn_output"),
        output_gate: width > 0 && layer.outputs("attn_q") == width.saturating_mul(2),
        qk_norm,
        sinks: layer.tensors.contains_key("attn_sinks.weight"),
        rope: keys.find("rope.dimension_count").1.is_some() || keys.find("rope.freq_base").1.is_some(),
    }))
}

fn window(keys: &Keys<'_>, number: u64) -> Result<Option<u64>> {
    let (key, stated) = keys.find("attention.sliding_window");
    let Some(size) = keys.optional("attention.sliding_window", number)?.filter(|&size| size > 0) else {
        return Ok(None);
    };
    let windowed = match keys.find("attention.sliding_window_pattern").1 {
        Some(Value::List(_)) => keys.number("attention.sliding_window_pattern", number)? != 0,
        Some(Value::Whole(every)) => *every == 0 || !(number + 1).is_multiple_of(*every),
        _ => match WINDOWS.iter().find(|(name, _)| *name == keys.architecture) {
            Some((_, every)) => *every == 0 || !(number + 1).is_multiple_of(*every),
            None => {
                let why = format!("which layers of `{}` have a window is not known", keys.architecture);
                return Err(not_understood(&key, &format!("{stated:?}"), &why));
            }
        },
    };
    Ok(windowed.then_some(size))
}

fn latent(keys: &Keys<'_>, layer: &Layer<'_>, heads: u64) -> Result<Mixer> {
    let of_heads = |multi: &str, name: &str| match keys.optional(multi, 0)? {
        Some(length) => Ok(length),
        None => keys.number(name, 0),
    };
    let rope = keys.number("rope.dimension_count", 0)?;
    let key_length = of_heads("attention.key_length_mla", "attention.key_length")?;
    Ok(Mixer::Latent(LatentAttention {
        heads,
        q_lora_rank: layer.weight("attn_q_a").map(|tensor| size(tensor, 1)),
        kv_lora_rank: keys.number("attention.kv_lora_rank", 0)?,
        qk_nope_head_dim: key_length.saturating_sub(rope),
        qk_rope_head_dim: rope,
        v_head_dim: of_heads("attention.value_length_mla", "attention.value_length")?,
    }))
}

fn feed_forward(keys: &Keys<'_>, layer: &Layer<'_>, number: u64) -> Result<FeedForward> {
    if layer.weight("ffn_down_exps").is_some() {
        return experts(keys, layer, number);
    }
    if layer.weight("ffn_down").is_none() {
        return Ok(FeedForward::None);
    }
    let intermediate = layer.inputs("ffn_down");
    // Some architectures have gate and upward projection in one tensor.
    let gated = layer.weight("ffn_gate").is_some() || layer.outputs("ffn_up") == intermediate.saturating_mul(2);
    Ok(FeedForward::Dense(Dense { intermediate, gated, bias: layer.has_bias("ffn_down") }))
}

fn experts(keys: &Keys<'_>, layer: &Layer<'_>, number: u64) -> Result<FeedForward> {
    let gated = layer.weight("ffn_gate_exps").is_some() || layer.weight("ffn_gate_up_exps").is_some();
    let width = layer.inputs("ffn_down_exps");
    let shared = layer.weight("ffn_down_shexp").map(|tensor| Dense {
        intermediate: size(tensor, 0),
        gated: layer.weight("ffn_gate_shexp").is_some(),
        bias: layer.has_bias("ffn_down_shexp"),
    });
    Ok(FeedForward::Experts(Experts {
        count: keys.number("expert_count", number)?,
        per_token: keys.number("expert_used_count", number)?,
        expert: Dense { intermediate: width, gated, bias: layer.has_bias("ffn_down_exps") },
        shared,
        shared_gate: layer.weight("ffn_gate_inp_shexp").is_some(),
        router_bias: layer.has_bias("exp_probs_b") || layer.has_bias("ffn_gate_inp"),
    }))
}
