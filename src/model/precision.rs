//! The formats of a whole model: one format throughout, as engines apply it, and the bytes it takes.

use std::collections::BTreeMap;

use super::Model;
use super::format::{Precision, WeightFormat};
use super::layer::Block;
use super::matrix::Role;
use super::names::is_gguf_type;
use crate::dtype::DType;
use crate::units::Bytes;

/// What engines leave as it is when they quantise: the scores of experts, and the factor of a network for all tokens.
pub(super) const fn is_left_alone(role: Role) -> bool {
    matches!(role, Role::Router | Role::SharedScale | Role::Embedding | Role::Head)
}

impl Precision {
    /// One format for the matrices of all layers, as engines apply it to a model.
    ///
    /// A plain format is that of everything. With any other, routers, norms, the embedding and the output head stay in the format of the
    /// activations. GGUF types are also those of the embedding; the head is Q6_K there, or Q8_0 with Q8_0, and routers and norms are f32.
    #[must_use]
    pub fn uniform(model: &Model, format: WeightFormat) -> Self {
        let activations = match format.activations {
            float @ (DType::F32 | DType::F16) => float,
            _ => DType::Bf16,
        };
        let plain = WeightFormat::plain(activations);
        if format == WeightFormat::plain(format.element) {
            return Self::everywhere(model, format, format, format, format.element, activations);
        }
        if is_gguf_type(format.element) {
            let head = if matches!(format.element, DType::Q8_0) { DType::Q8_0 } else { DType::Q6K };
            let head = WeightFormat { element: head, ..format };
            let single = WeightFormat { activations, ..WeightFormat::plain(DType::F32) };
            let precision = Self::everywhere(model, format, single, head, DType::F32, activations);
            return Self { embedding: if model.tied_embeddings { head } else { format }, ..precision };
        }
        Self::everywhere(model, format, plain, plain, activations, activations)
    }

    /// A format for the matrices of layers, one for those that engines leave alone, and one for the tables.
    pub(super) fn everywhere(
        model: &Model,
        format: WeightFormat,
        left_alone: WeightFormat,
        tables: WeightFormat,
        vectors: DType,
        activations: DType,
    ) -> Self {
        let of_block = |block: &Block| formats_of(block, model.hidden, format, left_alone);
        let blocks = model.blocks.iter().map(of_block).collect();
        Self { blocks, embedding: tables, head: tables, vectors, activations }
    }
}

/// Formats of a layer's matrices: one, and another for those that engines leave alone.
pub(super) fn formats_of(
    block: &Block,
    hidden: u64,
    format: WeightFormat,
    left_alone: WeightFormat,
) -> BTreeMap<Role, WeightFormat> {
    let of_role = |role| if is_left_alone(role) { left_alone } else { format };
    block.matrices(hidden).into_iter().map(|matrix| (matrix.role, of_role(matrix.role))).collect()
}

impl Model {
    /// Bytes of all weights in some formats. A head that is the embedding is stored once, in the embedding's format.
    #[must_use]
    pub fn weight_bytes(&self, precision: &Precision) -> Bytes {
        let matrices: Bytes = self.stored_matrices(precision).into_iter().map(|(_, _, bytes)| bytes).sum();
        let of_layers = self.groups().map(|(count, block)| {
            let biases = block.matrices(self.hidden).into_iter().map(|matrix| matrix.bias_elements() as f64);
            (biases.sum::<f64>() + block.vectors(self.hidden) as f64) * count as f64
        });
        let vectors = of_layers.sum::<f64>() + self.vectors_outside_of_layers() as f64;
        matrices + Bytes(vectors * precision.vectors.bytes_per_element())
    }

    /// The matrices that are stored, those of equal layers and all experts together: role, format and bytes.
    pub(super) fn stored_matrices(&self, precision: &Precision) -> Vec<(Role, WeightFormat, Bytes)> {
        let layers = self.groups().enumerate().flat_map(|(kind, (count, block))| {
            block.matrices(self.hidden).into_iter().map(move |matrix| {
                let format = precision.of(kind, matrix.role);
                let one = format.bytes(matrix.outputs, matrix.inputs);
                (matrix.role, format, one * matrix.copies as f64 * count as f64)
            })
        });
        let table = self.table();
        let activations = WeightFormat::plain(precision.activations);
        let outside = |role, format: WeightFormat, outputs, inputs| (role, format, format.bytes(outputs, inputs));
        let mut all: Vec<(Role, WeightFormat, Bytes)> = layers.collect();
        all.push(outside(Role::Embedding, precision.embedding, table.outputs, table.inputs));
        if !self.tied_embeddings {
            all.push(outside(Role::Head, precision.head, table.outputs, table.inputs));
        }
        all.push(outside(Role::Embedding, activations, self.learned_positions, self.hidden));
        let projections = self.projections().into_iter();
        all.extend(projections.map(|matrix| outside(matrix.role, activations, matrix.outputs, matrix.inputs)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;
    use proptest::prelude::*;

    fn model(tied_embeddings: bool) -> Model {
        let attention = Attention { heads: 8, kv_heads: 2, head_dim: 64, ..Attention::default() };
        let expert = Dense { intermediate: 256, gated: true, bias: false };
        let ffn = FeedForward::Experts(Experts {
            count: 8,
            per_token: 2,
            expert,
            shared: None,
            shared_gate: false,
            router_bias: false,
        });
        let block = Block { mixer: Mixer::Attention(attention), ffn, norm: Norm::Rms, norms: 2 };
        Model { tied_embeddings, ..Model::new("m", 512, 1024, vec![(3, block)]) }
    }

    #[test]
    fn a_plain_format_takes_its_bytes_for_every_parameter() {
        for (name, bytes) in [("bf16", 2.0), ("f32", 4.0)] {
            for model in [model(true), model(false)] {
                let precision = Precision::uniform(&model, name.parse().unwrap());
                assert_eq!(model.weight_bytes(&precision), Bytes(model.parameters().total as f64 * bytes));
            }
        }
    }

    #[test]
    fn engines_leave_tables_routers_and_norms_alone() {
        let model = model(false);
        let precision = Precision::uniform(&model, "w4a16-g64".parse().unwrap());
        let count = model.parameters();
        let router = 3 * 512 * 8;
        let bits = (count.matrices - router) as f64 * 4.25 + (count.total - count.matrices + router) as f64 * 16.0;
        assert_eq!(model.weight_bytes(&precision), Bytes(bits / 8.0));
    }

    #[test]
    fn gguf_types_are_those_of_the_embedding_too() {
        let of = |tied, name: &str| Precision::uniform(&model(tied), name.parse().unwrap());
        assert_eq!(of(false, "q4_k").embedding.element, DType::Q4K);
        assert_eq!(of(false, "q4_k").head.element, DType::Q6K);
        assert_eq!(of(true, "q4_k").embedding.element, DType::Q6K);
        assert_eq!(of(true, "q8_0").embedding.element, DType::Q8_0);
        assert_eq!(of(false, "q4_k").of(0, Role::Router).element, DType::F32);
    }

    proptest! {
        #[test]
        fn fewer_bits_never_take_more_bytes(a in 0_usize..40, b in 0_usize..40) {
            let names: Vec<&str> = WeightFormat::known_names().collect();
            let of = |index: usize| names[index % names.len()].parse::<WeightFormat>().unwrap();
            let (a, b) = (of(a), of(b));
            let model = model(false);
            let bytes = |format| model.weight_bytes(&Precision::uniform(&model, format));
            prop_assert!(bytes(a).get() > 0.0);
            // Between formats that leave the same matrices alone, the smaller matrix makes the smaller model.
            if is_gguf_type(a.element) == is_gguf_type(b.element) && a.scales.is_some() && b.scales.is_some() {
                let smaller = a.bytes(256, 512).get() <= b.bytes(256, 512).get();
                prop_assert_eq!(smaller, bytes(a).get() <= bytes(b).get());
            }
        }
    }
}
