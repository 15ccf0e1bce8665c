//! What a run kept outside of its device's memory, as shares of what a step reads.

use crate::estimate::Subject;
use crate::estimate::offload::Offload;
use crate::model::{Block, FeedForward, Mixer, Role};
use crate::observe::{Load, Observation, Tool};

/// What lies on the host by what a run says. llama.cpp counts layers: the device keeps the last ones, and the output head after them; caches lie where their layers do. A share that somebody gave wins.
///
/// Shares are of what a step of one sequence reads, in which only a few experts of a layer take part.
pub(super) fn offload(run: &Observation, subject: &Subject<'_>, otherwise: Offload) -> Offload {
    let load = &run.load;
    let layers = subject.model.layers.len() as u64;
    let on_host = load.device_layers.map_or(0, |kept| layers.saturating_sub(kept));
    let weights = load.host_weights.or_else(|| counted(load, subject, on_host));
    let kv = load.host_kv.or_else(|| (on_host > 0).then(|| cached(subject, on_host)));
    Offload { weights: weights.unwrap_or(otherwise.weights), kv: kv.unwrap_or(otherwise.kv), ..otherwise }
}

/// Whether the host computes what it keeps, one after another with the device, as llama.cpp does.
pub(super) fn is_computed_there(run: &Observation) -> bool {
    run.sources.iter().any(|source| source.tool == Tool::LlamaBench)
}

/// The share of the weights that so many first layers are, and the experts of others.
fn counted(load: &Load, subject: &Subject<'_>, on_host: u64) -> Option<f64> {
    let experts = load.host_expert_layers.unwrap_or(0);
    let model = subject.model;
    let head_there = load.device_layers.is_some_and(|kept| kept <= model.layers.len() as u64);
    if on_host == 0 && experts == 0 && !head_there {
        return None;
    }
    let (mut there, mut all) = (0.0, 0.0);
    for (index, &kind) in model.layers.iter().enumerate() {
        let Some(block) = model.blocks.get(kind) else { continue };
        let bytes = |of_experts: bool| read(subject, kind, block, of_experts);
        let (rest, of_experts) = (bytes(false), bytes(true));
        all += rest + of_experts;
        let index = index as u64;
        there += if index < on_host { rest } else { 0.0 };
        there += if index < on_host.max(experts) { of_experts } else { 0.0 };
    }
    let table = model.table();
    let head = subject.precision.head.bytes(table.outputs, table.inputs).get();
    there += if head_there { head } else { 0.0 };
    Some((there / (all + head)).clamp(0.0, 1.0)).filter(|share| *share > 0.0)
}

/// Bytes of a layer's matrices that a token goes through: those of its experts, or the others.
fn read(subject: &Subject<'_>, kind: usize, block: &Block, of_experts: bool) -> f64 {
    let chosen = match &block.ffn {
        FeedForward::Experts(experts) => experts.per_token.min(experts.count) as f64 / experts.count.max(1) as f64,
        _ => 1.0,
    };
    let is_expert = |role| matches!(role, Role::ExpertGate | Role::ExpertUp | Role::ExpertDown);
    let matrices = block.matrices(subject.model.hidden).into_iter();
    let bytes = matrices.filter(|matrix| is_expert(matrix.role) == of_experts).map(|matrix| {
        let one = subject.precision.of(kind, matrix.role).bytes(matrix.outputs, matrix.inputs).get();
        one * matrix.copies as f64
    });
    bytes.sum::<f64>() * if of_experts { chosen } else { 1.0 }
}

/// The share of layers with a cache that are among so many first ones.
fn cached(subject: &Subject<'_>, on_host: u64) -> f64 {
    let model = subject.model;
    let keeps = |kind: &usize| model.blocks.get(*kind).is_some_and(|block| !matches!(block.mixer, Mixer::None));
    let count = |layers: u64| model.layers.iter().take(layers as usize).filter(|kind| keeps(kind)).count() as f64;
    let all = count(u64::MAX);
    if all > 0.0 { count(on_host) / all } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::graph::Routing;
    use crate::model::{KvFormat, Precision, WeightFormat, find_preset};

    fn shares(model: &str, load: Load) -> (f64, f64) {
        let model = find_preset(model).unwrap().model().unwrap();
        let precision = Precision::uniform(&model, WeightFormat::plain(DType::Bf16));
        let kv = KvFormat::plain(DType::Bf16);
        let subject = Subject { model: &model, precision: &precision, kv, routing: Routing::default() };
        let run = Observation { load, ..Observation::new(Vec::new()) };
        let Offload { weights, kv, .. } = offload(&run, &subject, Offload::default());
        (weights, kv)
    }

    #[test]
    fn layers_are_counted_from_the_end() {
        let on_device = |layers| shares("llama-3.1-8b", Load { device_layers: Some(layers), ..Load::default() });
        // 32 layers of 218 M parameters, and a head of 525 M.
        let (layers, head) = (32.0 * 218_103_808.0, 525_336_576.0);
        let (weights, kv) = on_device(24);
        assert!((weights - (layers / 4.0 + head) / (layers + head)).abs() < 1e-9 && kv == 0.25, "{weights} {kv}");
        assert_eq!(on_device(33), (0.0, 0.0));
        assert_eq!(on_device(u64::MAX), (0.0, 0.0));
        let (weights, kv) = on_device(32);
        assert!((weights - head / (layers + head)).abs() < 1e-9 && kv == 0.0);
    }

    #[test]
    fn experts_of_a_layer_count_as_far_as_a_token_reads_them() {
        let (weights, kv) = shares("qwen3-30b-a3b", Load { host_expert_layers: Some(48), ..Load::default() });
        // Of about 3.3 B parameters that a token goes through, 48 layers have 8 experts of 3 matrices of 2048 × 768.
        assert!(weights > 0.5 && weights < 0.7 && kv == 0.0, "{weights}");
    }

    #[test]
    fn what_is_given_wins_and_what_is_not_said_is_on_the_device() {
        let given = Load { device_layers: Some(1), host_weights: Some(0.3), host_kv: Some(0.0), ..Load::default() };
        assert_eq!(shares("llama-3.1-8b", given), (0.3, 0.0));
        assert_eq!(shares("llama-3.1-8b", Load::default()), (0.0, 0.0));
    }
}
