//! Asking the Hugging Face hub for a configuration, where rooflab was built with the feature `hub`.

#[cfg_attr(feature = "hub", path = "enabled.rs")]
#[cfg_attr(not(feature = "hub"), path = "disabled.rs")]
mod client;

pub(super) use client::config;
