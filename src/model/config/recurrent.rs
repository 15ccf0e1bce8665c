//! Recurrences as families configure them: gated delta networks, Mamba, Mamba 2.

use super::attention::attention;
use super::error::ConfigError;
use super::families::Family;
use super::fields::{Fields, not_understood, text};
use crate::model::{Mixer, Recurrent};

type Result<T> = std::result::Result<T, ConfigError>;

/// Operations of a delta rule on each element of the state: decay, read, correct, read again; a multiply-add is two.
const DELTA_RULE_OPS: u64 = 7;
/// Operations of a selective state space on each element of the state: decay, add the input, read; a multiply-add is two.
const STATE_SPACE_OPS: u64 = 5;

fn product(factors: &[u64]) -> u64 {
    factors.iter().copied().fold(1, u64::saturating_mul)
}

fn sum(terms: &[u64]) -> u64 {
    terms.iter().copied().fold(0, u64::saturating_add)
}

/// Qwen3-Next: gated delta networks, and attention in each fourth layer.
pub(super) fn delta_or_attention(fields: &Fields<'_>, family: &Family, layer: u64) -> Result<Mixer> {
    let attends = match fields.of_layer("layer_types", layer)? {
        Some((field, value)) => match text(&field, value)? {
            "full_attention" => true,
            "linear_attention" => false,
            other => return Err(not_understood(&field, other, "known are `full_attention` and `linear_attention`")),
        },
        None => (layer + 1).is_multiple_of(fields.number_or("full_attention_interval", 4)?),
    };
    if attends { attention(fields, family, layer) } else { gated_delta(fields) }
}

fn gated_delta(fields: &Fields<'_>) -> Result<Mixer> {
    let key_heads = fields.number("linear_num_key_heads")?;
    let key_dim = fields.number("linear_key_head_dim")?;
    let value_heads = fields.number("linear_num_value_heads")?;
    let value_dim = fields.number("linear_value_head_dim")?;
    let (keys, values) = (product(&[key_heads, key_dim]), product(&[value_heads, value_dim]));
    Ok(Mixer::Recurrent(Recurrent {
        // Queries, keys, values and the gate; then the rates of learning and of decay.
        inputs: vec![sum(&[keys, keys, values, values]), product(&[2, value_heads])],
        inner: values,
        between: Vec::new(),
        conv_channels: sum(&[keys, keys, values]),
        conv_kernel: fields.number("linear_conv_kernel_dim")?,
        conv_bias: false,
        state: product(&[value_heads, key_dim, value_dim]),
        state_ops: DELTA_RULE_OPS,
        // Two offsets for each head, and the norm of a head's values.
        vectors: sum(&[value_heads, value_heads, value_dim]),
        bias: false,
    }))
}

/// Granite 4: Mamba 2, and attention where the list says so.
pub(super) fn mamba2_or_attention(fields: &Fields<'_>, family: &Family, layer: u64) -> Result<Mixer> {
    let name = if fields.has("layer_types") { "layer_types" } else { "layers_block_type" };
    let Some((field, value)) = fields.of_layer(name, layer)? else {
        return Err(ConfigError::Missing { field: "layer_types".to_owned() });
    };
    match text(&field, value)? {
        "attention" => attention(fields, family, layer),
        "mamba" => mamba2(fields),
        other => Err(not_understood(&field, other, "known are `attention` and `mamba`")),
    }
}

fn mamba2(fields: &Fields<'_>) -> Result<Mixer> {
    let heads = fields.number("mamba_n_heads")?;
    let inner = product(&[fields.number_or("mamba_expand", 2)?, fields.number("hidden_size")?]);
    let groups = fields.number("mamba_n_groups")?;
    let state = fields.number("mamba_d_state")?;
    let channels = sum(&[inner, product(&[2, groups, state])]);
    Ok(Mixer::Recurrent(Recurrent {
        // The gate, what is convolved, and the heads' time steps.
        inputs: vec![sum(&[inner, channels, heads])],
        inner,
        between: Vec::new(),
        conv_channels: channels,
        conv_kernel: fields.number("mamba_d_conv")?,
        conv_bias: fields.flag("mamba_conv_bias", true)?,
        state: product(&[inner, state]),
        state_ops: STATE_SPACE_OPS,
        // Decay, offset of the time step and skip of each head, and the norm.
        vectors: sum(&[product(&[3, heads]), inner]),
        bias: fields.flag("mamba_proj_bias", false)?,
    }))
}

/// Jamba: Mamba, and attention in each eighth layer.
pub(super) fn mamba_or_attention(fields: &Fields<'_>, family: &Family, layer: u64) -> Result<Mixer> {
    let (period, offset) = (fields.number("attn_layer_period")?, fields.number("attn_layer_offset")?);
    if period > 0 && layer % period == offset {
        return attention(fields, family, layer);
    }
    let hidden = fields.number("hidden_size")?;
    let inner = product(&[fields.number("mamba_expand")?, hidden]);
    let rank = fields.optional("mamba_dt_rank")?.unwrap_or_else(|| hidden.div_ceil(16));
    let state = fields.number("mamba_d_state")?;
    let norms = sum(&[rank, product(&[2, state])]);
    let selective = Selective { inner, rank, state, norms, kernel: fields.number("mamba_d_conv")? };
    selective.mixer(fields.flag("mamba_conv_bias", true)?, fields.flag("mamba_proj_bias", false)?)
}

/// Mamba: layers that are nothing else.
pub(super) fn mamba(fields: &Fields<'_>, _: &Family, _: u64) -> Result<Mixer> {
    let hidden = fields.number("hidden_size")?;
    let inner = match fields.optional("intermediate_size")? {
        Some(inner) => inner,
        None => product(&[fields.number_or("expand", 2)?, hidden]),
    };
    let rank = fields.optional("time_step_rank")?.unwrap_or_else(|| hidden.div_ceil(16));
    let (state, kernel) = (fields.number("state_size")?, fields.number("conv_kernel")?);
    let selective = Selective { inner, rank, state, norms: 0, kernel };
    selective.mixer(fields.flag("use_conv_bias", true)?, fields.flag("use_bias", false)?)
}

/// A selective state space of the first generation.
struct Selective {
    inner: u64,
    rank: u64,
    state: u64,
    norms: u64,
    kernel: u64,
}

impl Selective {
    fn mixer(&self, conv_bias: bool, bias: bool) -> Result<Mixer> {
        let Self { inner, rank, state, norms, kernel } = *self;
        Ok(Mixer::Recurrent(Recurrent {
            inputs: vec![product(&[2, inner])],
            inner,
            between: vec![(inner, sum(&[rank, product(&[2, state])]), false), (rank, inner, true)],
            conv_channels: inner,
            conv_kernel: kernel,
            conv_bias,
            state: product(&[inner, state]),
            state_ops: STATE_SPACE_OPS,
            // Decay rates, a skip for each channel, and norms where there are any.
            vectors: sum(&[product(&[inner, state]), inner, norms]),
            bias,
        }))
    }
}
