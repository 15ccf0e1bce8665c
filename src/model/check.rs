//! What is wrong with a model's numbers, each fault with its field and value.

use std::fmt;

use super::Model;
use super::layer::{Attention, Block, Dense, Experts, FeedForward, LatentAttention, Mixer, Recurrent};

/// More layers than any model has: longer lists are refused before they are made.
pub(super) const MAX_LAYERS: u64 = 10_000;
/// A single size beyond this is that of no model.
const MAX_SIZE: u64 = 1 << 32;
/// Counts beyond this are not exact as floating-point numbers.
const MAX_PARAMETERS: u64 = 1 << 53;

/// A number that no model can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub field: String,
    /// The number.
    pub value: u64,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {}: {}", self.field, self.value, self.why)
    }
}

/// Gathers problems under a prefix of field names.
struct Checks {
    prefix: String,
    problems: Vec<Problem>,
}

impl Checks {
    fn problem(&mut self, field: &str, value: u64, why: impl Into<String>) {
        self.problems.push(Problem { field: format!("{}{field}", self.prefix), value, why: why.into() });
    }

    /// A size that may not be 0.
    fn size(&mut self, field: &str, value: u64) {
        if value == 0 {
            self.problem(field, value, "it must be at least 1");
        }
        self.bounded(field, value);
    }

    fn bounded(&mut self, field: &str, value: u64) {
        if value > MAX_SIZE {
            self.problem(field, value, format!("no model is that large (at most {MAX_SIZE})"));
        }
    }
}

impl Model {
    /// What is wrong with the numbers; nothing of a model that can be computed with.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut checks = Checks { prefix: String::new(), problems: Vec::new() };
        checks.size("hidden", self.hidden);
        checks.size("vocab", self.vocab);
        checks.bounded("learned_positions", self.learned_positions);
        if let Some(width) = self.embedding_width {
            checks.size("embedding_width", width);
        }
        if let Some(context) = self.max_context {
            checks.size("max_context", context);
        }
        let layers = self.layers.len() as u64;
        checks.size("layers", layers);
        if layers > MAX_LAYERS {
            checks.problem("layers", layers, format!("no model has that many (at most {MAX_LAYERS})"));
        }
        for &kind in self.layers.iter().filter(|&&kind| kind >= self.blocks.len()).take(1) {
            checks.problem("layers", kind as u64, format!("there are {} kinds of layers", self.blocks.len()));
        }
        for (kind, block) in self.blocks.iter().enumerate() {
            checks.prefix = format!("blocks[{kind}].");
            block.check(&mut checks);
        }
        checks.prefix.clear();
        let total = self.parameters().total;
        if checks.problems.is_empty() && total > MAX_PARAMETERS {
            checks.problem("parameters", total, format!("no model is that large (at most {MAX_PARAMETERS})"));
        }
        checks.problems
    }
}

impl Block {
    fn check(&self, checks: &mut Checks) {
        checks.bounded("norms", self.norms);
        match &self.mixer {
            Mixer::Attention(attention) => attention.check(checks),
            Mixer::Latent(latent) => latent.check(checks),
            Mixer::Recurrent(recurrent) => recurrent.check(checks),
            Mixer::None => {}
        }
        match &self.ffn {
            FeedForward::Dense(dense) => dense.check("intermediate", checks),
            FeedForward::Experts(experts) => experts.check(checks),
            FeedForward::None => {}
        }
    }
}

impl Attention {
    fn check(&self, checks: &mut Checks) {
        checks.size("heads", self.heads);
        checks.size("kv_heads", self.kv_heads);
        checks.size("head_dim", self.head_dim);
        if let Some(window) = self.window {
            checks.size("window", window);
        }
        if self.kv_heads > 0 && !self.heads.is_multiple_of(self.kv_heads) {
            checks.problem(
                "kv_heads",
                self.kv_heads,
                format!("the {} query heads cannot be shared out evenly", self.heads),
            );
        }
    }
}

impl LatentAttention {
    fn check(&self, checks: &mut Checks) {
        checks.size("heads", self.heads);
        checks.size("kv_lora_rank", self.kv_lora_rank);
        checks.bounded("qk_nope_head_dim", self.qk_nope_head_dim);
        checks.bounded("qk_rope_head_dim", self.qk_rope_head_dim);
        checks.size("v_head_dim", self.v_head_dim);
        if let Some(rank) = self.q_lora_rank {
            checks.size("q_lora_rank", rank);
        }
        if self.qk_nope_head_dim == 0 && self.qk_rope_head_dim == 0 {
            checks.problem("qk_nope_head_dim", 0, "queries have no elements");
        }
    }
}

impl Recurrent {
    fn check(&self, checks: &mut Checks) {
        for &outputs in &self.inputs {
            checks.size("inputs", outputs);
        }
        for &(from, to, _) in &self.between {
            checks.size("between", from);
            checks.size("between", to);
        }
        checks.size("inner", self.inner);
        checks.bounded("conv_channels", self.conv_channels);
        checks.bounded("conv_kernel", self.conv_kernel);
        checks.size("state", self.state);
        checks.bounded("vectors", self.vectors);
    }
}

impl Dense {
    fn check(self, field: &str, checks: &mut Checks) {
        checks.size(field, self.intermediate);
    }
}

impl Experts {
    fn check(self, checks: &mut Checks) {
        checks.size("experts", self.count);
        checks.size("experts_per_token", self.per_token);
        if self.per_token > self.count {
            checks.problem("experts_per_token", self.per_token, format!("there are {} experts", self.count));
        }
        self.expert.check("expert_intermediate", checks);
        if let Some(shared) = self.shared {
            shared.check("shared_intermediate", checks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;
    use proptest::prelude::*;

    fn model(edit: impl FnOnce(&mut Attention, &mut Experts)) -> Model {
        let mut attention = Attention { heads: 32, kv_heads: 8, head_dim: 128, ..Attention::default() };
        let expert = Dense { intermediate: 768, gated: true, bias: false };
        let mut experts =
            Experts { count: 128, per_token: 8, expert, shared: None, shared_gate: false, router_bias: false };
        edit(&mut attention, &mut experts);
        let (mixer, ffn) = (Mixer::Attention(attention), FeedForward::Experts(experts));
        Model::new("m", 2048, 1000, vec![(4, Block { mixer, ffn, norm: Norm::Rms, norms: 2 })])
    }

    #[test]
    fn a_problem_names_its_field_and_value() {
        assert_eq!(model(|_, _| {}).problems(), []);
        for (wrong, text) in [
            (
                model(|attention, _| attention.kv_heads = 5),
                "`blocks[0].kv_heads` is 5: the 32 query heads cannot be shared out evenly",
            ),
            (
                model(|_, experts| experts.per_token = 129),
                "`blocks[0].experts_per_token` is 129: there are 128 experts",
            ),
            (model(|attention, _| attention.head_dim = 0), "`blocks[0].head_dim` is 0: it must be at least 1"),
            (Model { layers: Vec::new(), ..model(|_, _| {}) }, "`layers` is 0: it must be at least 1"),
            (Model { layers: vec![3], ..model(|_, _| {}) }, "`layers` is 3: there are 1 kinds of layers"),
            (
                Model { hidden: 1_000_000_000_000_000_000, ..model(|_, _| {}) },
                "`hidden` is 1000000000000000000: no model is that large (at most 4294967296)",
            ),
            (
                Model { hidden: 1 << 32, vocab: 1 << 32, ..model(|_, _| {}) },
                "`parameters` is 18446744073709551615: no model is that large (at most 9007199254740992)",
            ),
        ] {
            assert_eq!(wrong.problems().iter().map(ToString::to_string).collect::<Vec<_>>(), [text]);
        }
    }

    proptest! {
        #[test]
        fn no_number_makes_it_panic(numbers in prop::array::uniform9(prop_oneof![any::<u64>(), 0_u64..4])) {
            let [hidden, vocab, heads, kv_heads, head_dim, window, count, per_token, wide] = numbers;
            let mut model = model(|attention, experts| {
                *attention = Attention { heads, kv_heads, head_dim, window: Some(window), ..Attention::default() };
                *experts = Experts { count, per_token, expert: Dense { intermediate: wide, gated: true, bias: true }, ..*experts };
            });
            (model.hidden, model.vocab) = (hidden, vocab);
            let _ = (model.problems(), model.parameters(), model.kv_bytes(window, KvFormat::plain(crate::dtype::DType::Bf16)));
        }
    }
}
