//! The kinds of layers: attention in its forms, recurrent mixers, dense and sparse feed-forward networks.

/// A layer: a mixer that looks at other tokens, then a feed-forward network that does not.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// What mixes tokens.
    pub mixer: Mixer,
    /// What follows it.
    pub ffn: FeedForward,
    /// The kind of its norms.
    pub norm: Norm,
    /// Norms over the residual stream: 2 in most models, 4 in Gemma 2 and 3.
    pub norms: u64,
}

/// A norm over a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// Root mean square, with a vector of weights.
    Rms,
    /// Mean and variance, with a vector of weights and one of offsets.
    Layer,
    /// Mean and variance, without any parameter.
    Plain,
}

impl Norm {
    /// Parameters of a norm over a vector of some width.
    #[must_use]
    pub const fn parameters(self, width: u64) -> u64 {
        match self {
            Self::Rms => width,
            Self::Layer => width.saturating_mul(2),
            Self::Plain => 0,
        }
    }
}

/// What mixes tokens.
#[derive(Clone, Debug, PartialEq)]
pub enum Mixer {
    /// Softmax attention over keys and values of heads.
    Attention(Attention),
    /// Multi-head latent attention: keys and values are kept as one compressed vector per token (DeepSeek).
    Latent(LatentAttention),
    /// A recurrence with a state of fixed size in place of a cache: linear attention, Mamba.
    Recurrent(Recurrent),
    /// None: a layer that is only a feed-forward network.
    None,
}

/// Softmax attention with one, several or all heads sharing keys and values.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Attention {
    /// Query heads.
    pub heads: u64,
    /// Heads of keys and values.
    pub kv_heads: u64,
    /// Elements of a head. A field of its own: it need not be hidden / heads.
    pub head_dim: u64,
    /// Tokens that a query looks back on, where not all.
    pub window: Option<u64>,
    /// Whether the projections of queries, keys and values add vectors.
    pub qkv_bias: bool,
    /// Whether the output projection adds a vector.
    pub output_bias: bool,
    /// Whether the query projection also makes a gate for the result, of the same size (Qwen3-Next).
    pub output_gate: bool,
    /// Norms of queries and keys.
    pub qk_norm: QkNorm,
    /// Whether each head has a learned logit beside the scores (gpt-oss).
    pub sinks: bool,
    /// Whether positions are rotated into queries and keys.
    pub rope: bool,
}

/// Norms of queries and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum QkNorm {
    /// None.
    #[default]
    None,
    /// One vector of a head's width for all heads (Qwen3, Gemma 3).
    PerHead,
    /// One vector over all heads (OLMo 2, MiniMax).
    Full,
}

/// Multi-head latent attention.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentAttention {
    /// Heads.
    pub heads: u64,
    /// Width to which queries are compressed, where they are.
    pub q_lora_rank: Option<u64>,
    /// Width to which keys and values are compressed: what is cached.
    pub kv_lora_rank: u64,
    /// Elements of a head's queries and keys without position.
    pub qk_nope_head_dim: u64,
    /// Elements of a head's queries, and of the one key of all heads, with position: cached too.
    pub qk_rope_head_dim: u64,
    /// Elements of a head's values.
    pub v_head_dim: u64,
}

/// A recurrence over tokens: its matrices, and the state that one sequence keeps in one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurrent {
    /// Outputs of each projection of the residual stream, first to last.
    pub inputs: Vec<u64>,
    /// Width that is projected back to the residual stream.
    pub inner: u64,
    /// Projections between inner vectors, as (inputs, outputs, whether a vector is added): Mamba's time steps.
    pub between: Vec<(u64, u64, bool)>,
    /// Channels of the causal convolution.
    pub conv_channels: u64,
    /// Tokens that the convolution looks at; it keeps one less.
    pub conv_kernel: u64,
    /// Whether the convolution adds a vector.
    pub conv_bias: bool,
    /// Elements of the recurrent state of a sequence.
    pub state: u64,
    /// Operations on each element of the state for each token.
    pub state_ops: u64,
    /// Parameters in vectors that are in none of the above: decay rates, offsets, norms.
    pub vectors: u64,
    /// Whether its projections add vectors.
    pub bias: bool,
}

/// What follows the mixer.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedForward {
    /// One network for all tokens.
    Dense(Dense),
    /// Each token goes through some of many networks.
    Experts(Experts),
    /// None: a layer that is only a mixer.
    None,
}

/// A feed-forward network: up, an activation, down; or gate and up, their product, down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dense {
    /// Width between the matrices.
    pub intermediate: u64,
    /// Whether there is a gate beside the upward projection.
    pub gated: bool,
    /// Whether the projections add vectors.
    pub bias: bool,
}

/// A mixture of experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Experts {
    /// Experts to choose from.
    pub count: u64,
    /// Experts that each token goes through.
    pub per_token: u64,
    /// One expert.
    pub expert: Dense,
    /// A network that all tokens go through as well.
    pub shared: Option<Dense>,
    /// Whether the shared network is scaled by a learned gate of one output (Qwen2-MoE).
    pub shared_gate: bool,
    /// Whether the router adds a vector; also a correction that only chooses (DeepSeek-V3).
    pub router_bias: bool,
}
