//! The link over which weights and caches come that lie outside of a device's memory.

use super::Costing;
use super::error::CostError;
use super::knowledge::{Bound, Knowledge, Need, Source};
use crate::estimate::link::Link;
use crate::graph::Collective;
use crate::profile::Place;
use crate::resource::{Direction, Resource};
use crate::units::Bytes;

/// What is outside of the device's memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Host {
    /// The user says how far it is.
    Given(Link),
    /// The host's memory, as far as the profile says.
    Measured,
    /// The device is the host: its memory is all there is.
    Itself,
}

impl Costing<'_> {
    /// How long some bytes take from outside of the device's memory, or to there.
    ///
    /// # Errors
    /// Nothing is known of the link.
    pub fn host(&self, bytes: Bytes) -> Result<Need, CostError> {
        match self.host {
            Host::Given(link) => {
                let time = link.time(&Collective::Send { bytes });
                Ok(Need { of: Bound::Host, time, from: Source::HostLink, knowledge: Knowledge::Given })
            }
            Host::Measured => {
                let resource = Resource::HostLink { direction: Direction::H2d };
                let rate = self.asked.rate(resource, Place::Bytes(bytes.get())).map_err(|lack| {
                    CostError::NoHostLink { why: format!("the profile `{}` lacks {lack}", self.profile) }
                })?;
                Ok(rate.need(Bound::Host, bytes.get()))
            }
            Host::Itself => {
                let why = format!("`{}` is a processor, whose memory is the host's own", self.profile);
                Err(CostError::NoHostLink { why })
            }
        }
    }
}
