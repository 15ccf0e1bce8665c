//! Mixtures of experts: a router, the experts that tokens were routed to, and the sum of their results.

use super::layer::{Layer, Merged};
use super::operator::{Collective, Kind, Operator, Part};
use super::plan::{Rows, Work};
use super::routing::Load;
use crate::dtype::DType;
use crate::model::{Experts, Role, WeightFormat};
use crate::resource::RowwiseOp;
use crate::units::{Bytes, Flops};

/// Scores are widened before experts are chosen by them.
const SCORES: DType = DType::F32;

/// A product of pairs of tokens and experts with the experts' matrices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ExpertProduct {
    /// The plan's choice that the pairs are of.
    pub(super) choice: usize,
    /// The product of one pair, with the weights of one expert.
    pair: Operator,
    outputs: u64,
    inputs: u64,
    weights: WeightFormat,
    /// Experts of a device.
    experts: u64,
}

impl Layer<'_> {
    /// Adds a mixture of experts.
    pub(super) fn experts(&mut self, experts: &Experts) {
        let Experts { count, per_token, expert, .. } = *experts;
        let devices = self.device.expert;
        let choice = self.plan.choice(self.device.routing.choice(count, per_token, devices));
        let (pairs, held) = (Rows::Pairs(choice), count / devices.max(1));
        self.router(experts);
        let into = self.merged(&[Role::ExpertGate, Role::ExpertUp]);
        let back = self.merged(&[Role::ExpertDown]);
        let chosen = per_token.min(count) as f64 * self.device.hidden as f64;
        // Tokens are rounded once, before they are sent to the devices of their experts, in the format that those multiply them in.
        self.quantizations(Rows::Tokens, &into);
        let sent = into.first().map_or(self.dtype(), |product| product.format.activations);
        self.all_to_all(chosen * sent.bytes_per_element().min(self.dtype().bytes_per_element()));
        self.expert_products(choice, held, &into);
        self.activation(pairs, expert.gated, expert.intermediate);
        self.quantizations(pairs, &back);
        self.expert_products(choice, held, &back);
        self.all_to_all(chosen * self.dtype().bytes_per_element());
        if let Some(shared) = experts.shared {
            if experts.shared_gate {
                self.products(&[Role::SharedScale]);
            }
            self.dense(shared, [Role::SharedGate, Role::SharedUp, Role::SharedDown]);
        }
        self.combine(experts);
    }

    /// Scores of all experts, and the choice of the best ones.
    fn router(&mut self, experts: &Experts) {
        let corrections = self.vectors(if experts.router_bias { experts.count } else { 0 });
        self.products(&[Role::Router]);
        let scores = Operator::rowwise(Part::Routing, RowwiseOp::Softmax, SCORES, experts.count as f64);
        self.push(Work::Rows(Rows::Tokens, Operator { weights: corrections, ..scores }));
    }

    fn expert_products(&mut self, choice: usize, experts: u64, products: &[Merged]) {
        for product in products {
            let Merged { outputs, inputs, format: weights, .. } = *product;
            let pair = product.operator(self.dtype());
            self.push(Work::Experts(ExpertProduct { choice, pair, outputs, inputs, weights, experts }));
        }
    }

    /// Adds the exchange of so many bytes for each token between the devices that share the experts.
    fn all_to_all(&mut self, bytes: f64) {
        let devices = self.device.expert;
        if devices > 1 {
            self.exchange(Collective::AllToAll { devices, bytes: Bytes(bytes) });
        }
    }

    /// The weighted sum of a token's results, that of the shared network among them.
    fn combine(&mut self, experts: &Experts) {
        let results = experts.per_token.min(experts.count) as f64 + f64::from(u8::from(experts.shared.is_some()));
        let hidden = self.device.hidden as f64;
        let dtype = self.dtype();
        let one = Operator {
            flops: Flops(2.0 * results * hidden),
            activations: Bytes((results + 1.0) * hidden * dtype.bytes_per_element()),
            ..Operator::new(Part::Combine, Kind::Rowwise { op: RowwiseOp::Add, dtype })
        };
        self.push(Work::Rows(Rows::Tokens, one));
    }
}

impl ExpertProduct {
    /// Bytes of the matrices of all experts of a device.
    pub(super) fn weights(&self) -> Bytes {
        self.pair.weights * self.experts as f64
    }

    /// The product of a step's pairs. Every expert that gets a token is read once.
    pub(super) fn operator(&self, load: Load) -> Operator {
        let pairs = load.pairs.ceil() as u64;
        let Self { outputs: n, inputs: k, weights, .. } = *self;
        Operator {
            kind: Kind::Experts { pairs, distinct: load.distinct, n, k, weights },
            flops: self.pair.flops * load.pairs,
            weights: self.pair.weights * load.distinct,
            activations: self.pair.activations * load.pairs,
            ..self.pair
        }
    }
}
