//! Attention as families configure it: offsets, norms, windows, positions.

use super::error::ConfigError;
use super::families::Family;
use super::fields::{Fields, not_understood, text, whole};
use crate::model::{Attention, LatentAttention, Mixer, QkNorm};

type Result<T> = std::result::Result<T, ConfigError>;

/// Whether a family has something.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flag {
    /// It never does.
    Never,
    /// It always does.
    Always,
    /// A field says so; without the field, the second value holds.
    Field(&'static str, bool),
}

impl Flag {
    pub(super) fn read(self, fields: &Fields<'_>) -> Result<bool> {
        match self {
            Self::Never => Ok(false),
            Self::Always => Ok(true),
            Self::Field(name, default) => fields.flag(name, default),
        }
    }
}

/// Which layers look back on a window only.
#[derive(Clone, Copy, Debug)]
pub(super) enum Window {
    /// None.
    Never,
    /// All, where `sliding_window` is a number.
    All,
    /// Those from `max_window_layers` on, where `use_sliding_window` is set.
    Late,
    /// All but each so-many-th, unless `layer_types` or `sliding_window_pattern` say otherwise.
    AllBut(u64),
    /// Those with rotated positions, by chunks.
    Chunks,
}

impl Window {
    fn read(self, fields: &Fields<'_>, layer: u64) -> Result<Option<u64>> {
        let size = || fields.optional("sliding_window");
        let windowed = match self {
            Self::Never => false,
            Self::All => true,
            Self::Chunks => {
                let rotated = interleaved_rope(fields, layer)?;
                return if rotated { fields.optional("attention_chunk_size") } else { Ok(None) };
            }
            Self::Late if !fields.flag("use_sliding_window", false)? => false,
            Self::Late | Self::AllBut(_) if fields.has("layer_types") => is_windowed(fields, layer)?,
            Self::Late => layer >= fields.number("max_window_layers")?,
            Self::AllBut(every) => {
                let every = fields.number_or("sliding_window_pattern", every)?;
                every > 0 && !(layer + 1).is_multiple_of(every)
            }
        };
        if windowed { size() } else { Ok(None) }
    }
}

/// Whether `layer_types` gives the layer a window.
fn is_windowed(fields: &Fields<'_>, layer: u64) -> Result<bool> {
    let Some((field, value)) = fields.of_layer("layer_types", layer)? else { return Ok(false) };
    match text(&field, value)? {
        "sliding_attention" => Ok(true),
        "full_attention" => Ok(false),
        other => Err(not_understood(&field, other, "known are `sliding_attention` and `full_attention`")),
    }
}

/// All layers rotate positions into queries and keys.
pub(super) fn rope(_: &Fields<'_>, _: u64) -> Result<bool> {
    Ok(true)
}

/// No layer does: positions are learned, or none are needed.
pub(super) fn no_rope(_: &Fields<'_>, _: u64) -> Result<bool> {
    Ok(false)
}

/// All layers but those that a list or an interval leaves out (Llama 4, SmolLM3).
pub(super) fn interleaved_rope(fields: &Fields<'_>, layer: u64) -> Result<bool> {
    match fields.list("no_rope_layers")? {
        Some((_, [])) | None => {
            let every = fields.number_or("no_rope_layer_interval", 4)?;
            Ok(every == 0 || !(layer + 1).is_multiple_of(every))
        }
        Some(_) => {
            let value = fields.of_layer("no_rope_layers", layer)?;
            value.map_or(Ok(true), |(field, value)| Ok(whole(&field, value)? != 0))
        }
    }
}

/// As `position_embedding_type` says (Granite).
pub(super) fn stated_rope(fields: &Fields<'_>, _: u64) -> Result<bool> {
    match fields.text("position_embedding_type")? {
        None | Some((_, "nope")) => Ok(false),
        Some((_, "rope")) => Ok(true),
        Some((field, other)) => Err(not_understood(&field, other, "known are `rope` and `nope`")),
    }
}

/// The attention of a layer.
pub(super) fn attention(fields: &Fields<'_>, family: &Family, layer: u64) -> Result<Mixer> {
    let heads = fields.number("num_attention_heads")?;
    let kv_heads = (family.kv_heads)(fields, heads)?;
    let qk_norm = if family.qk_norm_when.read(fields)? { family.qk_norm } else { QkNorm::None };
    Ok(Mixer::Attention(Attention {
        heads,
        kv_heads,
        head_dim: head_dim(fields, heads)?,
        window: family.window.read(fields, layer)?,
        qkv_bias: family.qkv_bias.read(fields)?,
        output_bias: family.output_bias.read(fields)?,
        output_gate: family.output_gate,
        qk_norm,
        sinks: family.sinks,
        rope: (family.rope)(fields, layer)?,
    }))
}

/// Elements of a head: a field of its own, and hidden / heads only without it.
fn head_dim(fields: &Fields<'_>, heads: u64) -> Result<u64> {
    if let Some(head_dim) = fields.optional("head_dim")? {
        return Ok(head_dim);
    }
    let hidden = fields.number("hidden_size")?;
    if heads == 0 || !hidden.is_multiple_of(heads) {
        let why = format!("there is no `head_dim`, and {hidden} cannot be shared by {heads} heads");
        return Err(not_understood("hidden_size", &hidden.to_string(), why));
    }
    Ok(hidden / heads)
}

/// As the field says; without it, every head has its own.
pub(super) fn stated_kv_heads(fields: &Fields<'_>, heads: u64) -> Result<u64> {
    fields.number_or("num_key_value_heads", heads)
}

/// Every head has its own.
pub(super) fn all_kv_heads(_: &Fields<'_>, heads: u64) -> Result<u64> {
    Ok(heads)
}

/// Falcon: one for all in the first generation, a stated number in the second.
pub(super) fn falcon_kv_heads(fields: &Fields<'_>, heads: u64) -> Result<u64> {
    if fields.flag("new_decoder_architecture", false)? {
        return fields.number_or("num_key_value_heads", heads);
    }
    Ok(if fields.flag("multi_query", true)? { 1 } else { heads })
}

/// ChatGLM: a stated number where `multi_query_attention` is set.
pub(super) fn chatglm_kv_heads(fields: &Fields<'_>, heads: u64) -> Result<u64> {
    if fields.flag("multi_query_attention", false)? { fields.number("num_key_value_heads") } else { Ok(heads) }
}

/// Multi-head latent attention.
pub(super) fn latent(fields: &Fields<'_>, _: &Family, _: u64) -> Result<Mixer> {
    if fields.flag("attention_bias", false)? {
        return Err(not_understood("attention_bias", "true", "latent attention is known without offsets"));
    }
    Ok(Mixer::Latent(LatentAttention {
        heads: fields.number("num_attention_heads")?,
        q_lora_rank: fields.optional("q_lora_rank")?,
        kv_lora_rank: fields.number("kv_lora_rank")?,
        qk_nope_head_dim: fields.number("qk_nope_head_dim")?,
        qk_rope_head_dim: fields.number("qk_rope_head_dim")?,
        v_head_dim: fields.number("v_head_dim")?,
    }))
}
