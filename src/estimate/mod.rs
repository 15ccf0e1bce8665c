//! What a step, a request and a service take.

pub mod search;
pub mod serving;
pub mod speculation;
