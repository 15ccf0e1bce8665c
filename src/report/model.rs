//! Models as people read them: a list, and what is in one.

use serde::Serialize;

use super::block::{Block, Cell, Group, Row, Table, Tone};
use crate::model::{Block as Layer, FeedForward, KvFormat, Mixer, Model, Parameters, Precision};
use crate::units::{Bytes, Unit, binary_bytes, human};

/// What is in a model, in formats with names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelView {
    name: String,
    layers: Vec<LayerView>,
    hidden: u64,
    vocab: u64,
    tied_embeddings: bool,
    max_context: Option<u64>,
    parameters: u64,
    active_parameters: u64,
    streamed_parameters: u64,
    embedding_parameters: u64,
    weights: String,
    weight_bytes: Bytes,
    kv: String,
    kv_bytes_per_token: Bytes,
    /// Bytes of cache at some lengths, with layers that have a window keeping no more than that.
    kv_bytes: Vec<(u64, Bytes)>,
}

/// Equal layers.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct LayerView {
    count: u64,
    mixer: String,
    feed_forward: String,
    parameters: u64,
}

/// Lengths that caches are shown for.
const LENGTHS: [u64; 3] = [1024, 8192, 131_072];

impl ModelView {
    /// A model in formats with what they are called.
    #[must_use]
    pub fn new(model: &Model, (weights, precision): (&str, &Precision), (kv_name, kv): (&str, KvFormat)) -> Self {
        let Parameters { total, active, streamed, embedding, .. } = model.parameters();
        let longest = model.max_context.unwrap_or(u64::MAX);
        let layer = |(count, block): (u64, &Layer)| LayerView {
            count,
            mixer: mixer(&block.mixer),
            feed_forward: feed_forward(&block.ffn),
            parameters: block
                .matrices(model.hidden)
                .iter()
                .map(|matrix| matrix.elements().saturating_add(matrix.bias_elements()))
                .fold(block.vectors(model.hidden), u64::saturating_add),
        };
        let lengths = LENGTHS.into_iter().filter(|&length| length <= longest);
        Self {
            name: model.name.clone(),
            layers: model.groups().map(layer).collect(),
            hidden: model.hidden,
            vocab: model.vocab,
            tied_embeddings: model.tied_embeddings,
            max_context: model.max_context,
            parameters: total,
            active_parameters: active,
            streamed_parameters: streamed,
            embedding_parameters: embedding,
            weights: weights.to_owned(),
            weight_bytes: model.weight_bytes(precision),
            kv: kv_name.to_owned(),
            kv_bytes_per_token: model.kv_bytes_per_token(kv),
            kv_bytes: lengths.map(|length| (length, model.kv_bytes(length, kv))).collect(),
        }
    }
}

fn mixer(mixer: &Mixer) -> String {
    match mixer {
        Mixer::Attention(attention) => {
            let window = attention.window.map_or_else(String::new, |window| format!(", window {window}"));
            format!(
                "attention, {} heads of {}, {} of keys and values{window}",
                attention.heads, attention.head_dim, attention.kv_heads
            )
        }
        Mixer::Latent(latent) => format!(
            "latent attention, {} heads, {} + {} cached",
            latent.heads, latent.kv_lora_rank, latent.qk_rope_head_dim
        ),
        Mixer::Recurrent(recurrent) => format!("recurrence, state of {} elements", recurrent.state),
        Mixer::None => "–".to_owned(),
    }
}

fn feed_forward(ffn: &FeedForward) -> String {
    match ffn {
        FeedForward::Dense(dense) => {
            format!("{}{}", dense.intermediate, if dense.gated { ", gated" } else { "" })
        }
        FeedForward::Experts(experts) => format!(
            "{} of {} experts of {}{}",
            experts.per_token,
            experts.count,
            experts.expert.intermediate,
            experts.shared.map_or_else(String::new, |shared| format!(", and {} for all", shared.intermediate))
        ),
        FeedForward::None => "–".to_owned(),
    }
}

/// What is in a model.
#[must_use]
pub fn model(view: &ModelView) -> Vec<Block> {
    let fact = |label: &str, text: String| Row { label: label.to_owned(), cells: vec![Cell::plain(text)] };
    let bytes =
        |bytes: Bytes| format!("{} ({})", human(bytes.get(), Unit::Byte), binary_bytes(bytes.get().round() as u64));
    let mut facts = vec![
        fact("parameters", format!("{}", Grouped(view.parameters))),
        fact("streamed for a token", format!("{}", Grouped(view.streamed_parameters))),
        fact("hidden size", view.hidden.to_string()),
        fact(
            "vocabulary",
            format!("{}{}", view.vocab, if view.tied_embeddings { ", head tied to the embedding" } else { "" }),
        ),
    ];
    if view.active_parameters != view.parameters {
        facts.insert(1, fact("active for a token", format!("{}", Grouped(view.active_parameters))));
    }
    facts.extend(view.max_context.map(|tokens| fact("longest context", format!("{tokens} tokens"))));
    let layers = view
        .layers
        .iter()
        .map(|layer| Row {
            label: format!("{} ×", layer.count),
            cells: vec![
                Cell::plain(layer.mixer.clone()),
                Cell::plain(layer.feed_forward.clone()),
                Cell::plain(Grouped(layer.parameters).to_string()),
            ],
        })
        .collect();
    let mut memory = vec![
        fact(&format!("weights, {}", view.weights), bytes(view.weight_bytes)),
        fact(&format!("cache of a token, {}", view.kv), bytes(view.kv_bytes_per_token)),
    ];
    memory.extend(view.kv_bytes.iter().map(|(length, kept)| fact(&format!("cache of {length} tokens"), bytes(*kept))));
    let group = |title: &str, rows| Group { title: title.to_owned(), rows };
    let plain = |groups| Block::Table(Table { columns: Vec::new(), right: Vec::new(), groups });
    let columns = ["mixer", "feed-forward", "parameters each"].map(str::to_owned).to_vec();
    vec![
        Block::line(view.name.clone(), Tone::Strong),
        plain(vec![group("model", facts)]),
        Block::Table(Table { columns, right: vec![false, false, true], groups: vec![group("layers", layers)] }),
        plain(vec![group("memory", memory)]),
    ]
}

/// Models in a list.
#[must_use]
pub fn models(models: &[(&str, &Model)]) -> Vec<Block> {
    let row = |(name, model): &(&str, &Model)| {
        let count = model.parameters();
        let active = if count.active == count.total { "–".to_owned() } else { Grouped(count.active).to_string() };
        Row {
            label: (*name).to_owned(),
            cells: vec![
                Cell::plain(Grouped(count.total).to_string()),
                Cell::plain(active),
                Cell::plain(model.layers.len().to_string()),
                Cell::plain(model.max_context.map_or_else(|| "–".to_owned(), |tokens| tokens.to_string())),
            ],
        }
    };
    let columns = ["parameters", "active", "layers", "longest context"].map(str::to_owned).to_vec();
    let groups = vec![Group { title: "models".to_owned(), rows: models.iter().map(row).collect() }];
    vec![Block::Table(Table { columns, right: vec![true; 4], groups })]
}

/// A count with a comma for every three digits.
struct Grouped(u64);

impl std::fmt::Display for Grouped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::with_capacity(digits.len() * 4 / 3);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_threes() {
        for (count, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (7_241_732_096, "7,241,732,096")] {
            assert_eq!(Grouped(count).to_string(), text);
        }
    }
}
