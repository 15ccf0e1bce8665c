//! What a kernel needs at the least: its bytes at the bandwidth of the level they come from, its operations at the peak of their format.

use std::cell::RefCell;

use super::document::{Bound, KernelNeed};
use super::{bytes, counted};
use crate::dtype::DType;
use crate::estimate::cost::Knowledge;
use crate::observe::{Kernel, KernelOperations};
use crate::profile::{Answer, Ceilings, Demand, Place, Profile};
use crate::resource::{Access, ComputeUnit, MemoryLevel, Resource, Scope, StreamOp};
use crate::units::{Seconds, Unit};

/// The share of a kernel's traffic from which on it is one of reads, or of writes, alone.
const ALONE: f64 = 0.9;

/// The ceilings of a device as kernels ask for them.
pub(super) struct Roofs<'a> {
    ceilings: Ceilings<'a>,
    /// What was asked for in vain, with the reason.
    unknown: RefCell<Vec<(Resource, String)>>,
}

impl<'a> Roofs<'a> {
    pub(super) fn new(profile: &'a Profile, datasheet: Option<&'a Profile>) -> Self {
        let ceilings = Ceilings::new(profile);
        let ceilings = datasheet.map_or(ceilings, |datasheet| ceilings.with_datasheet(datasheet));
        Self { ceilings, unknown: RefCell::default() }
    }

    /// Ceilings that kernels needed and the profile does not have.
    pub(super) fn unknown(&self) -> Vec<String> {
        self.unknown.borrow().iter().map(|(resource, why)| format!("`{resource}`: {why}")).collect()
    }

    /// Everything that a kernel of some time needs, as far as it was counted.
    pub(super) fn needs(&self, kernel: &Kernel, time: Seconds) -> Vec<KernelNeed> {
        let mut needs = Vec::new();
        if let Some(bytes) = bytes(kernel).filter(|bytes| bytes.get() > 0.0) {
            let access = Access::plain(access(kernel));
            let main = Resource::Memory { level: Some(MemoryLevel::Dram), access };
            needs.extend(self.need(Bound::Memory, main, bytes.get()));
        }
        if let Some(bytes) = kernel.cache_moved.typical().filter(|bytes| *bytes > 0.0) {
            let access = Access::plain(StreamOp::Read);
            let cache = Resource::Memory { level: Some(MemoryLevel::L2), access };
            needs.extend(self.need(Bound::Cache, cache, bytes));
        }
        for operations in &kernel.operations {
            if let Some(count) = counted(operations) {
                needs.extend(self.arithmetic(operations, count));
            }
        }
        // What was counted says what had to be done; how busy the units were, only what was.
        let counted = kernel.operations.iter().any(|operations| counted(operations).is_some());
        if let Some(share) = kernel.compute_share.typical().filter(|share| *share > 0.0 && !counted) {
            let (time, knowledge) = (time * share, Knowledge::Given);
            needs.push(KernelNeed { of: Bound::Issue, resource: None, rate: None, time, knowledge });
        }
        needs
    }

    /// Operations at the peak of the units that did them; where that has no figure, of those that multiply the format as fast.
    fn arithmetic(&self, operations: &KernelOperations, count: f64) -> Option<KernelNeed> {
        let unit = if operations.tensor { ComputeUnit::Matrix } else { ComputeUnit::Vector };
        let of = |input, accumulate| Resource::Compute { unit, input, accumulate };
        let wanted = of(operations.input, operations.accumulate);
        // A datasheet gives one figure for both 16-bit formats, and for both sums.
        let alike = match (operations.tensor, operations.input) {
            (true, DType::F16 | DType::Bf16) => vec![of(DType::Bf16, DType::F32), of(DType::F16, DType::F32)],
            _ => Vec::new(),
        };
        let best = std::iter::once(wanted).chain(alike).find(|&resource| self.value(resource).is_ok());
        self.need(Bound::Compute, best.unwrap_or(wanted), count)
    }

    fn need(&self, of: Bound, resource: Resource, amount: f64) -> Option<KernelNeed> {
        match self.value(resource) {
            Ok((rate, knowledge)) => Some(KernelNeed {
                of,
                resource: Some(resource),
                rate: Some(rate),
                time: Seconds(amount / rate),
                knowledge,
            }),
            Err(why) => {
                let mut unknown = self.unknown.borrow_mut();
                if unknown.iter().all(|(known, _)| *known != resource) {
                    unknown.push((resource, why));
                }
                None
            }
        }
    }

    /// A rate, and how it is known.
    fn value(&self, resource: Resource) -> Result<(f64, Knowledge), String> {
        match self.ceilings.ask(&Demand { resource, scope: Scope::Device, at: Place::Anywhere }) {
            Answer::Known(known) if known.unit != Unit::Second => Ok((known.value, Knowledge::from(&known.how))),
            Answer::Known(_) => Err("it is no rate".to_owned()),
            Answer::Missing { why } => Err(why),
        }
    }
}

/// What a kernel does with main memory: pure reads and writes have ceilings of their own; a mixture is as a copy.
fn access(kernel: &Kernel) -> StreamOp {
    let (read, written) = (kernel.memory_read.typical(), kernel.memory_written.typical());
    let Some((read, written)) = read.zip(written) else { return StreamOp::Read };
    match read / (read + written) {
        share if share >= ALONE => StreamOp::Read,
        share if share <= 1.0 - ALONE => StreamOp::Write,
        _ => StreamOp::Copy,
    }
}
