//! Asynchronous products of matrices (`wgmma`), whose sums come as late as they may.

use std::collections::VecDeque;
use std::sync::Arc;

use super::warp::Row;
use crate::instruction::Product;

/// A product that has been started.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) product: Arc<Product>,
    /// Where A and B lie in shared memory, as descriptors say it.
    pub(crate) factors: [u64; 2],
    /// Where the elements of a sparse A belong, as the lanes' registers say it.
    pub(crate) indices: Option<Row>,
    /// Whether it is added to what was there.
    pub(crate) adds: bool,
    /// Whether its sums are in their registers, where nobody may look before waiting.
    pub(crate) is_done: bool,
    /// What stands for the rows that it reads.
    pub(crate) ticket: u64,
}

/// The products of a warp that have not been waited for, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Products {
    open: Vec<Pending>,
    committed: VecDeque<Vec<Pending>>,
}

impl Products {
    pub(crate) fn start(&mut self, pending: Pending) {
        self.open.push(pending);
    }

    /// Ends a group of products (`wgmma.commit_group`).
    pub(crate) fn commit(&mut self) {
        self.committed.push_back(std::mem::take(&mut self.open));
    }

    /// Takes the products that must be done when at most `left` groups may be on their way.
    pub(crate) fn wait(&mut self, left: usize) -> Vec<Pending> {
        let over = self.committed.len().saturating_sub(left);
        self.committed.drain(..over).flatten().collect()
    }

    /// Whether everything that was started is done.
    pub(crate) fn are_done(&self) -> bool {
        self.committed.iter().flatten().chain(&self.open).all(|pending| pending.is_done)
    }
}
