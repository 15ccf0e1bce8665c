//! The table of architectures: what each one's configuration leaves unsaid.

use super::attention::{self, Flag, Window};
use super::error::ConfigError;
use super::ffn;
use super::fields::{Fields, not_understood};
use super::recurrent;
use crate::model::{FeedForward, Mixer, Model, Norm, QkNorm};

type Result<T> = std::result::Result<T, ConfigError>;

/// One row: how an architecture's configuration is read.
pub(super) struct Family {
    /// Its values of `model_type`.
    pub(super) names: &'static [&'static str],
    /// Numbers that its configurations may leave out, because its code assumes them.
    pub(super) defaults: &'static [(&'static str, u64)],
    /// Whether the head is the embedding where the configuration does not say so.
    pub(super) tied: bool,
    pub(super) norm: Norm,
    /// Norms over the residual stream in each layer.
    pub(super) norms: fn(&Fields<'_>) -> Result<u64>,
    pub(super) mixer: fn(&Fields<'_>, &Family, u64) -> Result<Mixer>,
    pub(super) kv_heads: fn(&Fields<'_>, u64) -> Result<u64>,
    pub(super) qkv_bias: Flag,
    pub(super) output_bias: Flag,
    pub(super) qk_norm: QkNorm,
    pub(super) qk_norm_when: Flag,
    pub(super) output_gate: bool,
    pub(super) sinks: bool,
    pub(super) window: Window,
    pub(super) rope: fn(&Fields<'_>, u64) -> Result<bool>,
    pub(super) ffn: fn(&Fields<'_>, &Family, u64) -> Result<FeedForward>,
    pub(super) gated: bool,
    pub(super) ffn_bias: Flag,
    /// Whether a network is four times as wide as the residual stream where no width is given.
    pub(super) four_times_wide: bool,
    /// Whether the network for all tokens has a gate of one output.
    pub(super) shared_gate: bool,
    pub(super) router_bias: bool,
    /// What is outside of the layers and not as in most models.
    pub(super) finish: fn(&Fields<'_>, &mut Model) -> Result<()>,
}

/// What most architectures are variations of.
const LLAMA: Family = Family {
    names: &["llama"],
    defaults: &[],
    tied: false,
    norm: Norm::Rms,
    norms: |_| Ok(2),
    mixer: attention::attention,
    kv_heads: attention::stated_kv_heads,
    qkv_bias: Flag::Field("attention_bias", false),
    output_bias: Flag::Field("attention_bias", false),
    qk_norm: QkNorm::None,
    qk_norm_when: Flag::Always,
    output_gate: false,
    sinks: false,
    window: Window::Never,
    rope: attention::rope,
    ffn: ffn::dense,
    gated: true,
    ffn_bias: Flag::Field("mlp_bias", false),
    four_times_wide: false,
    shared_gate: false,
    router_bias: false,
    finish: |_, _| Ok(()),
};

const QWEN2: Family = Family {
    names: &["qwen2", "qwen2_vl", "qwen2_vl_text", "qwen2_5_vl", "qwen2_5_vl_text"],
    qkv_bias: Flag::Always,
    output_bias: Flag::Never,
    ffn_bias: Flag::Never,
    window: Window::Late,
    ..LLAMA
};

const QWEN3: Family = Family {
    names: &["qwen3", "qwen3_vl_text"],
    qk_norm: QkNorm::PerHead,
    ffn_bias: Flag::Never,
    window: Window::Late,
    ..LLAMA
};

const GEMMA: Family = Family { names: &["gemma"], tied: true, ffn_bias: Flag::Never, ..LLAMA };

const DEEPSEEK_V2: Family = Family {
    names: &["deepseek_v2"],
    mixer: attention::latent,
    ffn: ffn::deepseek_experts,
    ffn_bias: Flag::Never,
    ..LLAMA
};

/// Learned positions, offsets everywhere, networks without a gate.
const GPT2: Family = Family {
    names: &["gpt2"],
    tied: true,
    norm: Norm::Layer,
    kv_heads: attention::all_kv_heads,
    qkv_bias: Flag::Always,
    output_bias: Flag::Always,
    rope: attention::no_rope,
    gated: false,
    ffn_bias: Flag::Always,
    four_times_wide: true,
    finish: |fields, model| {
        model.learned_positions = fields.number("max_position_embeddings")?;
        Ok(())
    },
    ..LLAMA
};

/// Every architecture that is understood.
pub(super) const FAMILIES: &[Family] = &[
    LLAMA,
    Family { names: &["mistral"], window: Window::All, ..LLAMA },
    Family { names: &["smollm3"], rope: attention::interleaved_rope, window: Window::Late, tied: true, ..LLAMA },
    Family { names: &["mixtral"], window: Window::All, ffn: ffn::all_experts, ..LLAMA },
    Family {
        names: &["llama4_text"],
        window: Window::Chunks,
        rope: attention::interleaved_rope,
        ffn: ffn::llama4_experts,
        ffn_bias: Flag::Never,
        ..LLAMA
    },
    QWEN2,
    Family {
        names: &["qwen2_moe"],
        qkv_bias: Flag::Field("qkv_bias", true),
        ffn: ffn::qwen_experts,
        shared_gate: true,
        ..QWEN2
    },
    QWEN3,
    Family { names: &["qwen3_moe", "qwen3_vl_moe_text"], ffn: ffn::qwen_experts, ..QWEN3 },
    Family {
        names: &["qwen3_next"],
        mixer: recurrent::delta_or_attention,
        output_gate: true,
        window: Window::Never,
        ffn: ffn::qwen_experts,
        shared_gate: true,
        ..QWEN3
    },
    GEMMA,
    Family { names: &["gemma2"], norms: |_| Ok(4), window: Window::AllBut(2), ..GEMMA },
    Family {
        names: &["gemma3_text", "gemma3"],
        defaults: &[
            ("vocab_size", 262_208),
            ("num_attention_heads", 8),
            ("num_key_value_heads", 4),
            ("head_dim", 256),
            ("max_position_embeddings", 131_072),
            ("sliding_window", 4096),
        ],
        norms: |_| Ok(4),
        qk_norm: QkNorm::PerHead,
        window: Window::AllBut(6),
        ..GEMMA
    },
    Family { names: &["phi3"], window: Window::All, ffn_bias: Flag::Never, ..LLAMA },
    Family {
        names: &["phi"],
        norm: Norm::Layer,
        norms: |_| Ok(1),
        qkv_bias: Flag::Always,
        output_bias: Flag::Always,
        gated: false,
        ffn_bias: Flag::Always,
        finish: |fields, model| {
            model.head_bias = true;
            if fields.flag("qk_layernorm", false)? {
                return Err(not_understood("qk_layernorm", "true", "norms of queries and keys are not known of it"));
            }
            Ok(())
        },
        ..LLAMA
    },
    Family {
        names: &["gpt_oss"],
        qkv_bias: Flag::Field("attention_bias", true),
        output_bias: Flag::Field("attention_bias", true),
        sinks: true,
        window: Window::AllBut(2),
        ffn: ffn::all_experts,
        ffn_bias: Flag::Always,
        router_bias: true,
        ..LLAMA
    },
    DEEPSEEK_V2,
    // Scores of experts have a correction that only chooses.
    Family { names: &["deepseek_v3", "kimi_k2"], router_bias: true, ..DEEPSEEK_V2 },
    Family {
        names: &["glm"],
        defaults: &[("head_dim", 128)],
        output_bias: Flag::Never,
        ffn_bias: Flag::Never,
        ..LLAMA
    },
    Family {
        names: &["glm4"],
        defaults: &[("head_dim", 128)],
        norms: |_| Ok(4),
        output_bias: Flag::Never,
        ffn_bias: Flag::Never,
        ..LLAMA
    },
    Family {
        names: &["glm4_moe"],
        output_bias: Flag::Never,
        qk_norm: QkNorm::PerHead,
        qk_norm_when: Flag::Field("use_qk_norm", false),
        ffn: ffn::deepseek_experts,
        ffn_bias: Flag::Never,
        router_bias: true,
        ..LLAMA
    },
    Family {
        names: &["chatglm"],
        kv_heads: attention::chatglm_kv_heads,
        output_bias: Flag::Field("add_bias_linear", false),
        ffn_bias: Flag::Field("add_bias_linear", false),
        finish: |fields, model| {
            if !fields.flag("post_layer_norm", true)? {
                model.final_norm = None;
            }
            Ok(())
        },
        ..LLAMA
    },
    Family { names: &["olmo2"], qk_norm: QkNorm::Full, ffn_bias: Flag::Never, ..LLAMA },
    Family { names: &["olmoe"], qk_norm: QkNorm::Full, ffn: ffn::all_experts, ffn_bias: Flag::Never, ..LLAMA },
    Family { names: &["granite"], ..LLAMA },
    Family { names: &["granitemoe", "granitemoeshared"], ffn: ffn::granite_experts, ffn_bias: Flag::Never, ..LLAMA },
    Family {
        names: &["granitemoehybrid"],
        mixer: recurrent::mamba2_or_attention,
        rope: attention::stated_rope,
        ffn: ffn::granite_experts,
        ffn_bias: Flag::Never,
        ..LLAMA
    },
    Family {
        names: &["jamba"],
        mixer: recurrent::mamba_or_attention,
        qkv_bias: Flag::Never,
        output_bias: Flag::Never,
        rope: attention::no_rope,
        ffn: ffn::jamba_experts,
        ffn_bias: Flag::Never,
        ..LLAMA
    },
    Family { names: &["mamba"], tied: true, norms: |_| Ok(1), mixer: recurrent::mamba, ffn: ffn::none, ..LLAMA },
    GPT2,
    Family {
        names: &["opt"],
        qkv_bias: Flag::Field("enable_bias", true),
        output_bias: Flag::Field("enable_bias", true),
        ffn_bias: Flag::Field("enable_bias", true),
        finish: finish_opt,
        ..GPT2
    },
    Family {
        names: &["falcon", "RefinedWeb", "RefinedWebModel"],
        norms: falcon_norms,
        kv_heads: attention::falcon_kv_heads,
        qkv_bias: Flag::Field("bias", false),
        output_bias: Flag::Field("bias", false),
        ffn_bias: Flag::Field("bias", false),
        rope: |fields, _| Ok(!fields.flag("alibi", false)?),
        finish: |_, _| Ok(()),
        ..GPT2
    },
    Family {
        names: &["gpt_neox"],
        tied: false,
        qkv_bias: Flag::Field("attention_bias", true),
        output_bias: Flag::Field("attention_bias", true),
        rope: attention::rope,
        finish: |_, _| Ok(()),
        ..GPT2
    },
];

/// OPT: positions are counted from 2; the smaller ones project a narrower embedding, or have their norm elsewhere.
fn finish_opt(fields: &Fields<'_>, model: &mut Model) -> Result<()> {
    model.learned_positions = fields.number("max_position_embeddings")?.saturating_add(2);
    let width = fields.optional("word_embed_proj_dim")?;
    model.embedding_width = width.filter(|&width| width != model.hidden);
    if !fields.flag("do_layer_norm_before", true)? || fields.flag("_remove_final_layer_norm", false)? {
        model.final_norm = None;
    }
    if !fields.flag("layer_norm_elementwise_affine", true)? {
        model.final_norm = model.final_norm.map(|_| Norm::Plain);
        for block in &mut model.blocks {
            block.norm = Norm::Plain;
        }
    }
    Ok(())
}

/// Falcon: one norm where attention and network stand side by side, two otherwise and in the second generation.
fn falcon_norms(fields: &Fields<'_>) -> Result<u64> {
    if fields.flag("new_decoder_architecture", false)? {
        return fields.number_or("num_ln_in_parallel_attn", 2);
    }
    Ok(if fields.flag("parallel_attn", true)? { 1 } else { 2 })
}
