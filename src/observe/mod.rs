//! Result files of other tools as one neutral document: what ran, under which load, and what was measured.
//!
//! [`from_bytes`] recognises a file by its content and never by its name, and gives an [`Observation`] for each measurement in it. What a file does not say stays absent, and
//! [`Observation::lacks`] names it with the flag that says it. Environments, prompts, answers, names of hosts and paths are never kept, and no error quotes text of a file.
//!
//! ```
//! # use rooflab::observe::{from_bytes, Quantity};
//! let file = br#"{"elapsed_time": 42.5, "num_requests": 1000, "requests_per_second": 23.5294, "tokens_per_second": 30117.65}"#;
//! let run = &from_bytes(file, "run.json")?[0];
//! assert_eq!(run.typical(Quantity::TotalRate), Some(30117.65));
//! assert!(run.lacks().iter().any(|lack| lack.flag() == "--model"));
//! # Ok::<(), rooflab::observe::ReadError>(())
//! ```

mod caveat;
mod contradiction;
mod derive;
mod document;
mod error;
mod import;
mod input;
mod lacks;
mod merge;
mod metric;
mod node;
mod object;
mod part;
mod read;
mod text;
mod typed;

pub use caveat::Caveat;
pub use contradiction::Contradiction;
pub use document::{
    Arrivals, Format, Load, Observation, SCHEMA, SCHEMA_MAJOR, SCHEMA_NAME, Source, Subject, Tool, schema,
};
pub use error::{MAX_BYTES, ReadError};
pub use import::{IMPORTERS, Importer};
pub use lacks::Lack;
pub use merge::{Merged, cases, merge};
pub use metric::{Distribution, Measured, MetricUnit, Quantity, Stat};
pub use part::{
    Collective, CollectivePoint, CollectiveTiming, Copy, Direction, End, Kernel, KernelOperations, Operation, Rate,
};
pub use read::{from_bytes, from_reader, sniff};
pub use typed::{Typed, TypedError};
