//! Expert parallelism: the experts of a layer are spread over devices, which send each other the tokens that were routed to them.
//!
//! The experts' operators are in `experts.rs`: a device has its share of the pairs and of the distinct experts of all tokens of the group, as expected with popular
//! experts spread evenly, and exchanges tokens before and results after.

use super::LayoutError;
use crate::model::{FeedForward, Model};

/// Whether the experts of a model can be spread over so many devices.
pub(super) fn check(model: &Model, devices: u64) -> Result<(), LayoutError> {
    if devices <= 1 {
        return Ok(());
    }
    let counts = || {
        model.blocks.iter().filter_map(|block| match &block.ffn {
            FeedForward::Experts(experts) => Some(experts.count),
            _ => None,
        })
    };
    if counts().next().is_none() {
        return Err(LayoutError::NoExperts { devices });
    }
    match counts().find(|count| !count.is_multiple_of(devices)) {
        Some(value) => Err(LayoutError::Uneven { size: "ep", devices, field: "experts", value }),
        None => Ok(()),
    }
}
