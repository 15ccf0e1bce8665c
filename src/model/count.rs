//! How many parameters a model has: in all, for each token, and of each part.

use super::Model;
use super::layer::{Block, FeedForward};
use super::matrix::{Matrix, Role};

/// Parameters by the part that holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// All of them. An embedding that is the output head as well is counted once.
    pub total: u64,
    /// The table of tokens.
    pub embedding: u64,
    /// The table of learned positions, and projections between an embedding and a residual stream of different widths.
    pub positions: u64,
    /// The output head; 0 where it is the embedding.
    pub head: u64,
    /// Matrices of the layers.
    pub matrices: u64,
    /// Norms, offsets and whatever else is in no matrix.
    pub vectors: u64,
    /// All but the experts that a token does not go through.
    pub active: u64,
    /// Those that a token is multiplied with: matrices on its way and the output head, without vectors, and without the embedding,
    /// of which one row is copied.
    pub streamed: u64,
}

/// Sums of one kind of layer.
struct Sums {
    matrices: u64,
    /// Of those, what a token goes through.
    chosen: u64,
    vectors: u64,
    /// Parameters of experts that are not chosen for a token, their offsets included.
    idle: u64,
}

impl Model {
    /// Counts the parameters. Sizes that are too large for any model saturate; [`Model::problems`] finds those.
    #[must_use]
    pub fn parameters(&self) -> Parameters {
        let (mut matrices, mut chosen, mut vectors, mut idle) = (0_u64, 0_u64, 0_u64, 0_u64);
        for (count, block) in self.groups() {
            let sums = block.sums(self.hidden);
            matrices = matrices.saturating_add(sums.matrices.saturating_mul(count));
            chosen = chosen.saturating_add(sums.chosen.saturating_mul(count));
            vectors = vectors.saturating_add(sums.vectors.saturating_mul(count));
            idle = idle.saturating_add(sums.idle.saturating_mul(count));
        }
        let table = self.table().elements();
        let projections: u64 = self.projections().iter().map(|matrix| matrix.elements()).fold(0, u64::saturating_add);
        let positions = self.learned_positions.saturating_mul(self.hidden).saturating_add(projections);
        let head = if self.tied_embeddings { 0 } else { table };
        vectors = vectors.saturating_add(self.vectors_outside_of_layers());
        let parts = [table, positions, head, matrices, vectors];
        let total = parts.iter().copied().fold(0, u64::saturating_add);
        Parameters {
            total,
            embedding: table,
            positions,
            head,
            matrices,
            vectors,
            active: total.saturating_sub(idle),
            streamed: chosen.saturating_add(table).saturating_add(projections),
        }
    }

    /// The table of tokens, and the output head, which has its shape: width × vocabulary.
    #[must_use]
    pub fn table(&self) -> Matrix {
        Matrix::new(Role::Head, self.embedding_width.unwrap_or(self.hidden), self.vocab, self.head_bias)
    }

    /// The projections between the embedding and the residual stream, and back to the head's width, where widths differ.
    #[must_use]
    pub fn projections(&self) -> Vec<Matrix> {
        self.embedding_width.map_or_else(Vec::new, |width| {
            vec![
                Matrix::new(Role::Embedding, width, self.hidden, false),
                Matrix::new(Role::Head, self.hidden, width, false),
            ]
        })
    }

    /// The final norm and the head's offsets.
    pub(super) fn vectors_outside_of_layers(&self) -> u64 {
        let norm = self.final_norm.map_or(0, |norm| norm.parameters(self.hidden));
        norm.saturating_add(self.table().bias_elements())
    }
}

impl Block {
    fn sums(&self, hidden: u64) -> Sums {
        let mut sums = Sums { matrices: 0, chosen: 0, vectors: self.vectors(hidden), idle: 0 };
        for matrix in self.matrices(hidden) {
            let on_the_way = Matrix { copies: self.copies_per_token(matrix), ..matrix };
            let idle = Matrix { copies: matrix.copies - on_the_way.copies, ..matrix };
            sums.idle = sums.idle.saturating_add(idle.elements()).saturating_add(idle.bias_elements());
            sums.matrices = sums.matrices.saturating_add(matrix.elements());
            sums.chosen = sums.chosen.saturating_add(on_the_way.elements());
            sums.vectors = sums.vectors.saturating_add(matrix.bias_elements());
        }
        sums
    }

    /// How many of a matrix's copies one token goes through: those of the experts chosen for it.
    #[must_use]
    pub const fn copies_per_token(&self, matrix: Matrix) -> u64 {
        match (&self.ffn, matrix.role) {
            (FeedForward::Experts(experts), role) if role.is_of_experts() => {
                if experts.per_token < matrix.copies {
                    experts.per_token
                } else {
                    matrix.copies
                }
            }
            _ => matrix.copies,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use proptest::prelude::*;

    fn block(ffn: FeedForward) -> Block {
        let attention = Attention { heads: 32, kv_heads: 8, head_dim: 128, rope: true, ..Attention::default() };
        Block { mixer: Mixer::Attention(attention), ffn, norm: Norm::Rms, norms: 2 }
    }

    fn mistral() -> Model {
        let ffn = FeedForward::Dense(Dense { intermediate: 14_336, gated: true, bias: false });
        Model::new("mistral-7b", 4096, 32_000, vec![(32, block(ffn))])
    }

    /// C5 to C11 of the worked numbers: the printed formula of attention loses the output projection, and C7's factor is gate, up and down.
    #[test]
    fn mistral_is_counted_part_by_part() {
        let model = mistral();
        let count = model.parameters();
        assert_eq!(count.embedding, 131_072_000);
        assert_eq!(count.head, 131_072_000);
        let matrices = model.blocks[0].matrices(model.hidden);
        let sum = |ffn: bool| -> u64 {
            let of_ffn = |matrix: &&Matrix| matches!(matrix.role, Role::Gate | Role::Up | Role::Down) == ffn;
            32 * matrices.iter().filter(of_ffn).map(|matrix| matrix.elements()).sum::<u64>()
        };
        assert_eq!(sum(false), 1_342_177_280);
        assert_eq!(sum(true), 5_637_144_576);
        assert_eq!(count.streamed, 7_110_393_856);
        assert_eq!(count.total, 7_241_732_096);
        assert_eq!(count.active, count.total);
        assert_eq!(count.streamed * 2, 14_220_787_712);
    }

    #[test]
    fn a_tied_head_is_counted_once_and_streamed_all_the_same() {
        let untied = mistral().parameters();
        let tied = Model { tied_embeddings: true, ..mistral() }.parameters();
        assert_eq!(tied.total + untied.head, untied.total);
        assert_eq!(tied.streamed, untied.streamed);
    }

    /// C38 and C43: without the number of layers the printed total is one layer's.
    #[test]
    fn the_closed_form_of_ungated_networks_holds() {
        let (layers, h1, h2) = (96, 12_288_u64, 49_152_u64);
        let attention = Attention { heads: 96, kv_heads: 96, head_dim: 128, ..Attention::default() };
        let ffn = FeedForward::Dense(Dense { intermediate: h2, gated: false, bias: true });
        let block = Block { mixer: Mixer::Attention(attention), ffn, norm: Norm::Layer, norms: 2 };
        let model = Model { tied_embeddings: true, ..Model::new("opt", h1, 50_272, vec![(layers as usize, block)]) };
        let count = model.parameters();
        assert_eq!(count.matrices, layers * (4 * h1 * h1 + 2 * h1 * h2));
        assert_eq!(count.matrices * 2, 347_892_350_976);
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        assert!((gib(count.matrices * 2) - 324.0).abs() < 0.05);
        assert!((gib((count.matrices + count.embedding) * 2) - 325.15).abs() < 0.05);
    }

    proptest! {
        #[test]
        fn parts_sum_to_the_total_and_a_token_uses_no_more(
            experts in 1_u64..300, per_token in 0_u64..400, width in 1_u64..4096, layers in 0_usize..40, tied: bool, bias: bool,
        ) {
            let expert = Dense { intermediate: width, gated: true, bias };
            let ffn = FeedForward::Experts(Experts {
                count: experts, per_token, expert, shared: None, shared_gate: false, router_bias: bias,
            });
            let model = Model { tied_embeddings: tied, ..Model::new("m", 64, 1000, vec![(layers, block(ffn))]) };
            let count = model.parameters();
            let parts = [count.embedding, count.positions, count.head, count.matrices, count.vectors];
            prop_assert_eq!(parts.iter().sum::<u64>(), count.total);
            prop_assert!(count.active <= count.total);
            prop_assert!(count.streamed <= count.active + count.embedding);
            prop_assert_eq!(count.active == count.total, per_token >= experts || layers == 0);
        }
    }
}
