//! Recurrences: projections, a causal convolution, and a state that each sequence has one of, however long it is.

use super::Sequences;
use super::layer::Layer;
use super::operator::{Kind, Operator, Part};
use super::plan::{Rows, Work};
use crate::model::{Recurrent, Role};
use crate::units::{Bytes, Flops};

/// The convolution and the recurrence of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Recurrence {
    /// For one token.
    pub(super) token: Operator,
    /// Bytes that a sequence keeps.
    pub(super) state: Bytes,
}

impl Layer<'_> {
    /// Adds a recurrence.
    pub(super) fn recurrent(&mut self, recurrent: &Recurrent) {
        self.products(&[Role::RecurrentIn]);
        // They follow one another, so that none shares its input.
        for between in self.separate(Role::RecurrentBetween) {
            self.quantizations(Rows::Tokens, &[between]);
            self.push(Work::Rows(Rows::Tokens, between.operator(self.dtype())));
            // Of a matrix that reads the inner vector, each device has the columns of its part, and a part of the sum.
            if self.device.tensor > 1 && between.inputs == recurrent.inner && between.outputs != recurrent.inner {
                self.all_reduce(between.outputs);
            }
        }
        let taps = recurrent.conv_kernel.saturating_add(u64::from(recurrent.conv_bias));
        let vectors = recurrent.conv_channels.saturating_mul(taps).saturating_add(recurrent.vectors);
        let convolution = 2.0 * recurrent.conv_channels as f64 * recurrent.conv_kernel as f64;
        let inputs: f64 = recurrent.inputs.iter().map(|&outputs| outputs as f64).sum();
        // The convolution reads and writes its channels; the recurrence reads what was projected and writes its result.
        let elements = 2.0 * recurrent.conv_channels as f64 + inputs + recurrent.inner as f64;
        let token = Operator {
            flops: Flops(recurrent.state as f64 * recurrent.state_ops as f64 + convolution),
            weights: self.vectors(vectors),
            activations: Bytes(elements * self.dtype().bytes_per_element()),
            ..Operator::new(Part::Recurrence, Kind::Recurrence)
        };
        // As memory is planned: in the format of the activations.
        let state = self.block.state_bytes(self.dtype(), self.dtype());
        self.push(Work::Recurrence(Recurrence { token, state }));
        self.products(&[Role::RecurrentOut]);
    }
}

impl Recurrence {
    /// The recurrence of a group of sequences. States are written once in a step, and read unless the sequence starts with it.
    pub(super) fn operator(&self, group: Sequences) -> Operator {
        let tokens = group.count as f64 * group.new_tokens as f64;
        let passes = if group.cached > 0 { 2.0 } else { 1.0 };
        Operator {
            flops: self.token.flops * tokens,
            kv: self.state * (passes * group.count as f64),
            activations: self.token.activations * tokens,
            ..self.token
        }
    }
}
