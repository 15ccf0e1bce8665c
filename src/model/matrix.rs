//! The matrices of a layer: the one list from which parameters, bytes and operators are derived.

use super::layer::{Attention, Block, Dense, Experts, FeedForward, LatentAttention, Mixer, QkNorm, Recurrent};

/// What a matrix does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The table of tokens.
    Embedding,
    /// Residual stream to logits.
    Head,
    /// Residual stream to queries (and their gate).
    Query,
    /// Residual stream to keys.
    Key,
    /// Residual stream to values.
    Value,
    /// Attention's result to the residual stream.
    Output,
    /// Residual stream to compressed queries.
    QueryDown,
    /// Compressed queries to queries.
    QueryUp,
    /// Residual stream to compressed keys and values, and the key with position.
    LatentDown,
    /// Compressed keys and values to keys without position and values.
    LatentUp,
    /// Residual stream into a recurrence.
    RecurrentIn,
    /// Between vectors of a recurrence.
    RecurrentBetween,
    /// A recurrence's result to the residual stream.
    RecurrentOut,
    /// Residual stream to a gate.
    Gate,
    /// Residual stream to the wide vector.
    Up,
    /// The wide vector to the residual stream.
    Down,
    /// Residual stream to the scores of experts.
    Router,
    /// An expert's gate.
    ExpertGate,
    /// An expert's upward projection.
    ExpertUp,
    /// An expert's downward projection.
    ExpertDown,
    /// The gate of the network that all tokens go through.
    SharedGate,
    /// Its upward projection.
    SharedUp,
    /// Its downward projection.
    SharedDown,
    /// Residual stream to the one factor of that network.
    SharedScale,
}

impl Role {
    /// Whether it is that of a matrix of which every expert has its own.
    #[must_use]
    pub const fn is_of_experts(self) -> bool {
        matches!(self, Self::ExpertGate | Self::ExpertUp | Self::ExpertDown)
    }
}

/// Matrices of one shape and role in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// What it does.
    pub role: Role,
    /// Length of what it is multiplied with.
    pub inputs: u64,
    /// Length of the result.
    pub outputs: u64,
    /// How many there are: experts.
    pub copies: u64,
    /// Whether a vector is added to the result.
    pub bias: bool,
}

impl Matrix {
    /// One matrix.
    #[must_use]
    pub const fn new(role: Role, inputs: u64, outputs: u64, bias: bool) -> Self {
        Self { role, inputs, outputs, copies: 1, bias }
    }

    /// Elements of all its copies, without the vectors that are added.
    #[must_use]
    pub const fn elements(self) -> u64 {
        self.inputs.saturating_mul(self.outputs).saturating_mul(self.copies)
    }

    /// Elements of the vectors that are added.
    #[must_use]
    pub const fn bias_elements(self) -> u64 {
        if self.bias { self.outputs.saturating_mul(self.copies) } else { 0 }
    }
}

impl Block {
    /// The matrices of the layer, in the order they are multiplied with.
    #[must_use]
    pub fn matrices(&self, hidden: u64) -> Vec<Matrix> {
        let mut matrices = match &self.mixer {
            Mixer::Attention(attention) => attention.matrices(hidden),
            Mixer::Latent(latent) => latent.matrices(hidden),
            Mixer::Recurrent(recurrent) => recurrent.matrices(hidden),
            Mixer::None => Vec::new(),
        };
        match &self.ffn {
            FeedForward::Dense(dense) => matrices.extend(dense.matrices(hidden, [Role::Gate, Role::Up, Role::Down])),
            FeedForward::Experts(experts) => matrices.extend(experts.matrices(hidden)),
            FeedForward::None => {}
        }
        matrices
    }

    /// Parameters of the layer that are in no matrix: norms and other vectors.
    #[must_use]
    pub fn vectors(&self, hidden: u64) -> u64 {
        let of_mixer = match &self.mixer {
            Mixer::Attention(attention) => attention.vectors(),
            Mixer::Latent(latent) => latent.kv_lora_rank.saturating_add(latent.q_lora_rank.unwrap_or(0)),
            Mixer::Recurrent(recurrent) => recurrent.vectors(),
            Mixer::None => 0,
        };
        let of_router = match &self.ffn {
            FeedForward::Experts(experts) if experts.router_bias => experts.count,
            _ => 0,
        };
        self.norm.parameters(hidden).saturating_mul(self.norms).saturating_add(of_mixer).saturating_add(of_router)
    }
}

impl Attention {
    fn matrices(&self, hidden: u64) -> Vec<Matrix> {
        let queries = self.heads.saturating_mul(self.head_dim);
        let keys = self.kv_heads.saturating_mul(self.head_dim);
        let gated = if self.output_gate { 2 } else { 1 };
        vec![
            Matrix::new(Role::Query, hidden, queries.saturating_mul(gated), self.qkv_bias),
            Matrix::new(Role::Key, hidden, keys, self.qkv_bias),
            Matrix::new(Role::Value, hidden, keys, self.qkv_bias),
            Matrix::new(Role::Output, queries, hidden, self.output_bias),
        ]
    }

    fn vectors(&self) -> u64 {
        let norms = match self.qk_norm {
            QkNorm::None => 0,
            QkNorm::PerHead => self.head_dim.saturating_mul(2),
            QkNorm::Full => self.heads.saturating_add(self.kv_heads).saturating_mul(self.head_dim),
        };
        norms.saturating_add(if self.sinks { self.heads } else { 0 })
    }
}

impl LatentAttention {
    fn matrices(&self, hidden: u64) -> Vec<Matrix> {
        let queries = self.heads.saturating_mul(self.qk_nope_head_dim.saturating_add(self.qk_rope_head_dim));
        let mut matrices = match self.q_lora_rank {
            Some(rank) => vec![
                Matrix::new(Role::QueryDown, hidden, rank, false),
                Matrix::new(Role::QueryUp, rank, queries, false),
            ],
            None => vec![Matrix::new(Role::Query, hidden, queries, false)],
        };
        let expanded = self.heads.saturating_mul(self.qk_nope_head_dim.saturating_add(self.v_head_dim));
        let cached = self.kv_lora_rank.saturating_add(self.qk_rope_head_dim);
        matrices.extend([
            Matrix::new(Role::LatentDown, hidden, cached, false),
            Matrix::new(Role::LatentUp, self.kv_lora_rank, expanded, false),
            Matrix::new(Role::Output, self.heads.saturating_mul(self.v_head_dim), hidden, false),
        ]);
        matrices
    }
}

impl Recurrent {
    fn matrices(&self, hidden: u64) -> Vec<Matrix> {
        let into = self.inputs.iter().map(|&outputs| Matrix::new(Role::RecurrentIn, hidden, outputs, self.bias));
        let between = self.between.iter().map(|&(from, to, bias)| Matrix::new(Role::RecurrentBetween, from, to, bias));
        let out = Matrix::new(Role::RecurrentOut, self.inner, hidden, self.bias);
        into.chain(between).chain([out]).collect()
    }

    fn vectors(&self) -> u64 {
        let taps = self.conv_kernel.saturating_add(u64::from(self.conv_bias));
        self.conv_channels.saturating_mul(taps).saturating_add(self.vectors)
    }
}

impl Dense {
    fn matrices(self, hidden: u64, [gate, up, down]: [Role; 3]) -> Vec<Matrix> {
        let mut matrices = Vec::with_capacity(3);
        if self.gated {
            matrices.push(Matrix::new(gate, hidden, self.intermediate, self.bias));
        }
        matrices.push(Matrix::new(up, hidden, self.intermediate, self.bias));
        matrices.push(Matrix::new(down, self.intermediate, hidden, self.bias));
        matrices
    }
}

impl Experts {
    fn matrices(self, hidden: u64) -> Vec<Matrix> {
        let mut matrices = vec![Matrix::new(Role::Router, hidden, self.count, false)];
        let expert = self.expert.matrices(hidden, [Role::ExpertGate, Role::ExpertUp, Role::ExpertDown]);
        matrices.extend(expert.into_iter().map(|matrix| Matrix { copies: self.count, ..matrix }));
        if let Some(shared) = self.shared {
            matrices.extend(shared.matrices(hidden, [Role::SharedGate, Role::SharedUp, Role::SharedDown]));
        }
        if self.shared_gate {
            matrices.push(Matrix::new(Role::SharedScale, hidden, 1, false));
        }
        matrices
    }
}
