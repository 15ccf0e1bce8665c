//! Feed-forward networks that all tokens go through.

use super::layer::Layer;
use super::plan::Rows;
use crate::model::{Dense, Role};

impl Layer<'_> {
    /// Adds a feed-forward network whose gate, upward and downward projections have these roles.
    pub(super) fn dense(&mut self, dense: Dense, [gate, up, down]: [Role; 3]) {
        self.products(&[gate, up]);
        self.activation(Rows::Tokens, dense.gated, dense.intermediate);
        self.products(&[down]);
    }
}
