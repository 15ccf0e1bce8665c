//! The rules: one file each, one line each in [`RULES`].

mod admission;
mod cached_prompts;
mod chunks;
mod communication;
mod dequantisation;
mod experts;
mod faster_than_light;
mod free_batch;
mod host_link;
mod interference;
mod kv_format;
mod launches;
mod memory_channels;
mod narrow_vectors;
mod other_device;
mod pages;
mod pipeline;
mod queueing;
mod repetitions;
mod slow_format;
mod small_matrices;
mod speculation;
mod threads;
mod throttled;
mod which_bound;
mod windows;

use super::case::Case;
use super::finding::Found;
use super::phase::Phase;
use super::product;
use super::waterfall::Cause;
use crate::units::Seconds;

/// Something that is looked for in every run.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What it is cited by: `RL001`. Never given to another rule.
    pub id: &'static str,
    /// What it is about, in some words.
    pub name: &'static str,
    /// What it looks for, what that means and what to do about it.
    pub explain: &'static str,
    /// Looks for it.
    pub check: fn(&Case<'_>) -> Option<Found>,
}

/// Every rule, by its number.
pub static RULES: &[Rule] = &[
    faster_than_light::RULE, // RL001
    other_device::RULE,      // RL002
    which_bound::RULE,       // RL003
    launches::RULE,          // RL004
    free_batch::RULE,        // RL005
    small_matrices::RULE,    // RL006
    communication::RULE,     // RL007
    kv_format::RULE,         // RL008
    interference::RULE,      // RL009
    queueing::RULE,          // RL010
    admission::RULE,         // RL011
    windows::RULE,           // RL012
    experts::RULE,           // RL013
    dequantisation::RULE,    // RL014
    throttled::RULE,         // RL015
    host_link::RULE,         // RL016
    speculation::RULE,       // RL017
    memory_channels::RULE,   // RL018
    pages::RULE,             // RL019
    narrow_vectors::RULE,    // RL020
    threads::RULE,           // RL021
    cached_prompts::RULE,    // RL022
    chunks::RULE,            // RL023
    pipeline::RULE,          // RL024
    repetitions::RULE,       // RL025
    slow_format::RULE,       // RL030
];

/// What a rule looks for in a matrix product.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProductRule {
    /// The rule.
    pub(super) rule: &'static Rule,
    /// Looks for it.
    pub(super) check: fn(&product::Case<'_>) -> Option<Found>,
}

/// The rules that are asked of a matrix product.
pub(super) static PRODUCT_RULES: &[ProductRule] = &[
    ProductRule { rule: &faster_than_light::RULE, check: faster_than_light::of_product },
    ProductRule { rule: &narrow_vectors::RULE, check: narrow_vectors::of_product },
    ProductRule { rule: &threads::RULE, check: threads::of_product },
    ProductRule { rule: &slow_format::RULE, check: slow_format::of_product },
];

/// The rule of an id, in capitals or not.
#[must_use]
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id.eq_ignore_ascii_case(id))
}

/// What is below this share of the measured time is not worth a finding.
const MATTERS: f64 = 0.1;

/// The time that no cause explains; nothing where the run was faster than its estimate.
fn rest(phase: &Phase) -> Seconds {
    let rest = phase.spent_on(Cause::Unexplained).map_or(0.0, |spent| spent.time.get());
    Seconds(rest.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_order_and_each_rule_is_explained() {
        assert!(RULES.windows(2).all(|pair| pair[0].id < pair[1].id));
        for known in RULES {
            assert!(known.id.starts_with("RL") && known.id.len() == 5 && known.id[2..].parse::<u32>().is_ok());
            assert!(known.explain.len() > 200 && known.name.len() < 50, "{}", known.id);
            assert_eq!(rule(&known.id.to_lowercase()).map(|rule| rule.id), Some(known.id));
        }
    }
}
