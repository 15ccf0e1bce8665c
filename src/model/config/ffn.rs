//! Feed-forward networks as families configure them: dense ones and mixtures of experts.

use super::error::ConfigError;
use super::families::Family;
use super::fields::{Fields, not_understood, whole};
use crate::model::{Dense, Experts, FeedForward};

type Result<T> = std::result::Result<T, ConfigError>;

fn network(fields: &Fields<'_>, family: &Family, intermediate: u64) -> Result<Dense> {
    Ok(Dense { intermediate, gated: family.gated, bias: family.ffn_bias.read(fields)? })
}

/// One network, as wide as `intermediate_size` says.
pub(super) fn dense(fields: &Fields<'_>, family: &Family, _: u64) -> Result<FeedForward> {
    let intermediate = match fields.optional("intermediate_size")? {
        Some(intermediate) => intermediate,
        None if family.four_times_wide => fields.number("hidden_size")?.saturating_mul(4),
        None => return Err(ConfigError::Missing { field: "intermediate_size".to_owned() }),
    };
    Ok(FeedForward::Dense(network(fields, family, intermediate)?))
}

/// No network.
pub(super) fn none(_: &Fields<'_>, _: &Family, _: u64) -> Result<FeedForward> {
    Ok(FeedForward::None)
}

/// Experts, of a width and beside a network for all tokens.
fn experts(fields: &Fields<'_>, family: &Family, width: u64, shared: Option<u64>) -> Result<FeedForward> {
    let shared = shared.filter(|&width| width > 0).map(|width| network(fields, family, width)).transpose()?;
    Ok(FeedForward::Experts(Experts {
        count: fields.number("num_experts")?,
        per_token: fields.number("num_experts_per_tok")?,
        expert: network(fields, family, width)?,
        shared,
        shared_gate: family.shared_gate && shared.is_some(),
        router_bias: family.router_bias,
    }))
}

/// Experts in every layer, as wide as `intermediate_size` says (Mixtral, gpt-oss, OLMoE).
pub(super) fn all_experts(fields: &Fields<'_>, family: &Family, _: u64) -> Result<FeedForward> {
    experts(fields, family, fields.number("intermediate_size")?, None)
}

/// Qwen: experts but in the layers of a list and between steps; the network for all tokens has a width of its own.
pub(super) fn qwen_experts(fields: &Fields<'_>, family: &Family, layer: u64) -> Result<FeedForward> {
    let step = fields.number_or("decoder_sparse_step", 1)?;
    let dense_layers = fields.list("mlp_only_layers")?;
    let listed = match dense_layers {
        Some((field, list)) => {
            let layers: Vec<u64> = list.iter().map(|value| whole(&field, value)).collect::<Result<_>>()?;
            layers.contains(&layer)
        }
        None => false,
    };
    if listed || step == 0 || !(layer + 1).is_multiple_of(step) {
        return dense(fields, family, layer);
    }
    let shared = if family.shared_gate { Some(fields.number("shared_expert_intermediate_size")?) } else { None };
    experts(fields, family, fields.number("moe_intermediate_size")?, shared)
}

/// DeepSeek and GLM: the first layers are dense, the others have shared experts, which are one network.
pub(super) fn deepseek_experts(fields: &Fields<'_>, family: &Family, layer: u64) -> Result<FeedForward> {
    let frequency = fields.number_or("moe_layer_freq", 1)?;
    let first = fields.number("first_k_dense_replace")?;
    if layer < first || frequency == 0 || !layer.is_multiple_of(frequency) || !fields.has("num_experts") {
        return dense(fields, family, layer);
    }
    let width = fields.number("moe_intermediate_size")?;
    let shared = fields.optional("n_shared_experts")?.map(|count| count.saturating_mul(width));
    experts(fields, family, width, shared)
}

/// Granite: experts where there are any, beside a network for all tokens.
pub(super) fn granite_experts(fields: &Fields<'_>, family: &Family, _: u64) -> Result<FeedForward> {
    let shared = fields.optional("shared_intermediate_size")?.filter(|&width| width > 0);
    if fields.number_or("num_experts", 0)? > 0 {
        return experts(fields, family, fields.number("intermediate_size")?, shared);
    }
    let width = shared.ok_or_else(|| ConfigError::Missing { field: "shared_intermediate_size".to_owned() })?;
    Ok(FeedForward::Dense(network(fields, family, width)?))
}

/// Jamba: experts in every second layer, networks of the same width between.
pub(super) fn jamba_experts(fields: &Fields<'_>, family: &Family, layer: u64) -> Result<FeedForward> {
    let (period, offset) = (fields.number("expert_layer_period")?, fields.number("expert_layer_offset")?);
    // A configuration for one expert has no router.
    if period == 0 || layer % period != offset || fields.number("num_experts")? < 2 {
        return dense(fields, family, layer);
    }
    all_experts(fields, family, layer)
}

/// Llama 4: experts at steps, each beside a network of their width; wider networks between.
pub(super) fn llama4_experts(fields: &Fields<'_>, family: &Family, layer: u64) -> Result<FeedForward> {
    if let Some((field, list)) = fields.list("moe_layers")? {
        return Err(not_understood(&field, &format!("a list of {}", list.len()), "`interleave_moe_layer_step` is"));
    }
    let step = fields.number_or("interleave_moe_layer_step", 1)?;
    if step == 0 || !(layer + 1).is_multiple_of(step) {
        let width = fields.number("intermediate_size_mlp")?;
        return Ok(FeedForward::Dense(network(fields, family, width)?));
    }
    let width = fields.number("intermediate_size")?;
    experts(fields, family, width, Some(width))
}
