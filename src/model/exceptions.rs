//! Which matrices the names of modules mean, as lists of exceptions from quantisation give them.

use regex::{Regex, RegexBuilder};

use super::matrix::Role;

/// Names of a role's module within a layer, in the repositories of the families. Fused modules stand under each of their roles.
const MODULES: &[(Role, &[&str])] = &[
    (Role::Query, &["self_attn.q_proj", "self_attn.qkv_proj"]),
    (Role::Key, &["self_attn.k_proj", "self_attn.qkv_proj"]),
    (Role::Value, &["self_attn.v_proj", "self_attn.qkv_proj"]),
    (Role::Output, &["self_attn.o_proj", "self_attn.out_proj"]),
    (Role::QueryDown, &["self_attn.q_a_proj"]),
    (Role::QueryUp, &["self_attn.q_b_proj"]),
    (Role::LatentDown, &["self_attn.kv_a_proj_with_mqa"]),
    (Role::LatentUp, &["self_attn.kv_b_proj"]),
    (Role::RecurrentIn, &["linear_attn.in_proj_qkvz", "mamba.in_proj", "mixer.in_proj"]),
    (Role::RecurrentBetween, &["mamba.x_proj", "mixer.x_proj"]),
    (Role::RecurrentOut, &["linear_attn.out_proj", "mamba.out_proj", "mixer.out_proj"]),
    (Role::Gate, &["mlp.gate_proj", "mlp.gate_up_proj", "feed_forward.gate_proj"]),
    (Role::Up, &["mlp.up_proj", "mlp.gate_up_proj", "feed_forward.up_proj", "fc1"]),
    (Role::Down, &["mlp.down_proj", "feed_forward.down_proj", "fc2"]),
    (Role::Router, &["mlp.gate", "mlp.router", "block_sparse_moe.gate", "feed_forward.router"]),
    (Role::ExpertGate, &["mlp.experts.0.gate_proj", "mlp.experts.gate_up_proj", "block_sparse_moe.experts.0.w1"]),
    (Role::ExpertUp, &["mlp.experts.0.up_proj", "mlp.experts.gate_up_proj", "block_sparse_moe.experts.0.w3"]),
    (Role::ExpertDown, &["mlp.experts.0.down_proj", "mlp.experts.down_proj", "block_sparse_moe.experts.0.w2"]),
    (
        Role::SharedGate,
        &["mlp.shared_experts.gate_proj", "mlp.shared_expert.gate_proj", "feed_forward.shared_expert.gate_proj"],
    ),
    (
        Role::SharedUp,
        &["mlp.shared_experts.up_proj", "mlp.shared_expert.up_proj", "feed_forward.shared_expert.up_proj"],
    ),
    (
        Role::SharedDown,
        &["mlp.shared_experts.down_proj", "mlp.shared_expert.down_proj", "feed_forward.shared_expert.down_proj"],
    ),
    (Role::SharedScale, &["mlp.shared_expert_gate"]),
];

/// What stands before a layer's number.
const PREFIXES: &[&str] = &["model.layers", "model.language_model.layers", "language_model.model.layers"];

/// The longest name that is read.
const MAX_NAME: usize = 1024;
/// The most pairs of a layer and a name that are compared. Models have some ten thousand.
const MAX_PAIRS: usize = 1_000_000;

/// Names of modules that are not quantised.
#[derive(Debug, Default)]
pub(super) struct Exceptions {
    names: Vec<String>,
    patterns: Vec<Regex>,
}

impl Exceptions {
    /// Reads names, names with `*`, and regular expressions after `re:`. The error is the name that is none of those, and why.
    pub(super) fn new(names: &[&str]) -> Result<Self, (String, String)> {
        let mut exceptions = Self::default();
        for &name in names {
            let refused = |why: String| (name.chars().take(64).collect::<String>(), why);
            if name.len() > MAX_NAME {
                return Err(refused(format!("it is longer than {MAX_NAME} bytes")));
            }
            let pattern = match name.strip_prefix("re:") {
                Some(pattern) => format!("^(?:{pattern})"),
                None if name.contains('*') => format!("^(?:{})(?:$|\\.)", regex::escape(name).replace("\\*", ".*")),
                None => {
                    exceptions.names.push(name.to_owned());
                    continue;
                }
            };
            let compiled = RegexBuilder::new(&pattern).size_limit(1 << 18).build();
            exceptions.patterns.push(compiled.map_err(|error| refused(error.to_string().replace('\n', " ")))?);
        }
        Ok(exceptions)
    }

    /// Whether comparing them with the names of so many layers ends in time.
    pub(super) fn affordable(&self, layers: usize) -> Result<(), String> {
        let names = self.names.len() + self.patterns.len();
        if names.saturating_mul(layers) > MAX_PAIRS {
            return Err(format!("{names} names for {layers} layers are more than any model has"));
        }
        Ok(())
    }

    /// Whether they contain a role's module in a layer.
    pub(super) fn contain(&self, layer: usize, role: Role) -> bool {
        if self.names.is_empty() && self.patterns.is_empty() {
            return false;
        }
        if role == Role::Head {
            return self.contain_name("lm_head") || self.contain_name("language_model.lm_head");
        }
        let modules = MODULES.iter().find(|(of, _)| *of == role).map_or(&[][..], |(_, modules)| *modules);
        PREFIXES
            .iter()
            .flat_map(|prefix| modules.iter().map(move |module| format!("{prefix}.{layer}.{module}")))
            .any(|name| self.contain_name(&name))
    }

    fn contain_name(&self, name: &str) -> bool {
        self.names.iter().any(|part| is_part(part, name)) || self.patterns.iter().any(|pattern| pattern.is_match(name))
    }
}

/// Whether a name is another one's beginning, end or middle, cut at its dots.
fn is_part(part: &str, name: &str) -> bool {
    !part.is_empty()
        && name.match_indices(part).any(|(start, _)| {
            let before = name.get(..start).is_none_or(|before| before.is_empty() || before.ends_with('.'));
            let after = name.get(start + part.len()..).is_none_or(|after| after.is_empty() || after.starts_with('.'));
            before && after
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contain(name: &str, layer: usize, role: Role) -> bool {
        Exceptions::new(&[name]).unwrap().contain(layer, role)
    }

    #[test]
    fn names_mean_modules_at_their_dots() {
        assert!(contain("lm_head", 0, Role::Head));
        assert!(contain("self_attn", 7, Role::Query));
        assert!(!contain("attn", 7, Role::Query));
        assert!(contain("model.layers.1", 1, Role::Down));
        assert!(!contain("model.layers.1", 11, Role::Down));
        assert!(contain("gate", 0, Role::Router));
        assert!(!contain("gate", 0, Role::Gate));
        assert!(contain("model.layers.*.self_attn", 40, Role::Output));
        assert!(contain("re:.*mlp.gate$", 3, Role::Router));
        assert!(!contain("re:.*mlp.gate$", 3, Role::Gate));
        assert!(contain(r"re:.*layers\.[0-3]\.mlp\.down_proj", 2, Role::Down));
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        assert!(Exceptions::new(&["re:(?!x)"]).is_err());
        assert!(Exceptions::new(&["re:(((a{1000}){1000}){1000})"]).is_err());
        assert!(Exceptions::new(&[&"x".repeat(2000)]).is_err());
        assert!(Exceptions::new(&["x"; 2000]).unwrap().affordable(10_000).is_err());
    }
}
