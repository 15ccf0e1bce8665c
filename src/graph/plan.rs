//! A plan: operators whose amounts still wait for the step. What follows from the model, its formats and the devices is in it.

use super::attention::Heads;
use super::experts::ExpertProduct;
use super::latent::Latent;
use super::operator::{Collective, Kind, Operator, Part};
use super::recurrent::Recurrence;
use super::routing::{Choice, Load};
use super::{Graph, Sequences, Step};
use crate::dtype::DType;
use crate::resource::RowwiseOp;
use crate::units::{Bytes, Flops};

/// Equal operators of a plan.
#[derive(Clone, Debug, PartialEq)]
struct Planned {
    count: u64,
    work: Work,
}

/// What the amounts of an operator follow from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Work {
    /// They are those of one row, times rows. Weights are what they are.
    Rows(Rows, Operator),
    /// A product with the matrices of experts.
    Experts(ExpertProduct),
    /// Softmax attention, for each group of sequences.
    Attention(Heads),
    /// Latent attention and its upward projection, for each group of sequences.
    Latent(Latent),
    /// A recurrence, for each group of sequences.
    Recurrence(Recurrence),
}

/// What there are rows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// Tokens that go through the model.
    Tokens,
    /// Tokens whose logits are wanted.
    Logits,
    /// Pairs of a token and an expert, of a choice of the plan.
    Pairs(usize),
}

/// What equal layers of a device keep of a sequence between its tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cache {
    /// How many layers there are.
    pub layers: u64,
    /// Bytes that a token adds to one of them.
    pub token: Bytes,
    /// Tokens that the layer looks back on, where not all.
    pub window: Option<u64>,
    /// Bytes of the layer's state, however many tokens there are.
    pub state: Bytes,
}

/// Operators in order, and the choices of experts among them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    operators: Vec<Planned>,
    choices: Vec<Choice>,
    /// Layers that a step with tokens goes through.
    layers: u64,
    /// Bytes of tables, of which steps copy rows.
    pub(super) tables: Bytes,
}

impl Plan {
    /// The plan of some layers, with nothing in it yet.
    pub(super) fn of_layers(layers: u64) -> Self {
        Self { layers, ..Self::default() }
    }

    /// Bytes of everything that steps read or copy from.
    pub(super) fn weights(&self) -> Bytes {
        let of = |work: &Work| match work {
            Work::Rows(_, one) => one.weights,
            Work::Experts(product) => product.weights(),
            Work::Attention(heads) => heads.sinks,
            Work::Latent(latent) => latent.expand.weights,
            Work::Recurrence(recurrence) => recurrence.token.weights,
        };
        let operators = self.operators.iter().map(|planned| of(&planned.work) * planned.count as f64);
        operators.sum::<Bytes>() + self.tables
    }

    /// What layers keep of a sequence.
    pub(super) fn caches(&self) -> impl Iterator<Item = Cache> {
        self.operators.iter().filter_map(|planned| {
            let none = Cache { layers: planned.count, token: Bytes(0.0), window: None, state: Bytes(0.0) };
            match &planned.work {
                Work::Attention(heads) => Some(Cache { token: heads.token, window: heads.window, ..none }),
                Work::Latent(latent) => Some(Cache { token: latent.token, ..none }),
                Work::Recurrence(recurrence) => Some(Cache { state: recurrence.state, ..none }),
                Work::Rows(..) | Work::Experts(_) => None,
            }
        })
    }

    /// Adds operators, to equal ones if there are any.
    pub(super) fn push(&mut self, count: u64, work: Work) {
        match self.operators.iter_mut().find(|planned| planned.work == work) {
            Some(planned) => planned.count = planned.count.saturating_add(count),
            None => self.operators.push(Planned { count, work }),
        }
    }

    /// Adds a choice of experts, unless it is there. Returns its place.
    pub(super) fn choice(&mut self, choice: Choice) -> usize {
        self.choices.iter().position(|known| *known == choice).unwrap_or_else(|| {
            self.choices.push(choice);
            self.choices.len() - 1
        })
    }

    /// Multiplies out a step. Experts see the tokens of all devices that they are spread over, the other operators those of one.
    pub(super) fn fill(&self, step: &Step, routed: u64, graph: &mut Graph) {
        let loads: Vec<Load> = self.choices.iter().map(|choice| choice.load(routed)).collect();
        let (tokens, logits) = (step.tokens(), step.logits());
        graph.layers = if tokens > 0 { self.layers } else { 0 };
        for planned in &self.operators {
            let mut emit = |operator: Operator| graph.operators.push(Operator { count: planned.count, ..operator });
            match &planned.work {
                Work::Rows(of, one) => {
                    let (rows, whole) = match *of {
                        Rows::Tokens => (tokens as f64, tokens),
                        Rows::Logits => (logits as f64, logits),
                        Rows::Pairs(choice) => (loads[choice].pairs, loads[choice].pairs.ceil() as u64),
                    };
                    if rows > 0.0 {
                        emit(one.of_rows(rows, whole));
                    }
                }
                Work::Experts(product) => {
                    let load = loads[product.choice];
                    if load.pairs > 0.0 {
                        emit(product.operator(load));
                    }
                }
                Work::Attention(heads) => groups(step).for_each(|group| emit(heads.operator(group))),
                Work::Latent(latent) => latent.operators(|| groups(step), emit),
                Work::Recurrence(recurrence) => groups(step).for_each(|group| emit(recurrence.operator(group))),
            }
        }
    }
}

/// The groups that have anything to do.
fn groups(step: &Step) -> impl Iterator<Item = Sequences> {
    step.sequences.iter().copied().filter(|group| group.count > 0 && group.new_tokens > 0)
}

impl Operator {
    /// An operator without work.
    pub(super) const fn new(part: Part, kind: Kind) -> Self {
        let none = Bytes(0.0);
        Self { part, count: 1, kind, flops: Flops(0.0), weights: none, kv: none, activations: none }
    }

    /// One row of a pass, with so many elements in its result.
    pub(super) fn rowwise(part: Part, op: RowwiseOp, dtype: DType, elements: f64) -> Self {
        let touched = (op.elements_read() + 1) as f64 * dtype.bytes_per_element();
        Self {
            flops: Flops(op.flops() as f64 * elements),
            activations: Bytes(elements * touched),
            ..Self::new(part, Kind::Rowwise { op, dtype })
        }
    }

    /// The same for some rows: exactly so many, and as a whole number.
    fn of_rows(&self, rows: f64, whole: u64) -> Self {
        let kind = match self.kind {
            Kind::Product { n, k, weights, .. } => Kind::Product { m: whole, n, k, weights },
            Kind::Exchange(collective) => Kind::Exchange(match collective {
                Collective::AllReduce { devices, bytes } => Collective::AllReduce { devices, bytes: bytes * rows },
                Collective::AllGather { devices, bytes } => Collective::AllGather { devices, bytes: bytes * rows },
                Collective::AllToAll { devices, bytes } => Collective::AllToAll { devices, bytes: bytes * rows },
                Collective::Send { bytes } => Collective::Send { bytes: bytes * rows },
            }),
            kind => kind,
        };
        Self { kind, flops: self.flops * rows, kv: self.kv * rows, activations: self.activations * rows, ..*self }
    }
}
