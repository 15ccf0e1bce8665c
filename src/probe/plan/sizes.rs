//! Sizes of working sets, by what a device has.

use crate::backend::Device;
use crate::facts::DeviceKind;
use crate::resource::Scope;

/// Main memory is only believed beyond this many times the last-level cache…
const CACHES: u64 = 8;
/// …and this many bytes.
const LEAST_FAR: u64 = 512 << 20;
/// The same on a GPU: 8 times the largest caches there are, but for those of AMD's and NVIDIA's largest.
pub(super) const FAR_OF_GPU: u64 = 1 << 30;
/// …and where a processor stands in for a GPU: its numbers mean nothing, and shall not take long.
pub(super) const FAR_OF_SOFTWARE: u64 = 8 << 20;

/// Sizes that follow from the device.
pub(super) struct Sizes {
    /// What kind of device it is.
    pub(super) kind: DeviceKind,
    /// The largest working set, in bytes.
    pub(super) far: u64,
    /// What it should be.
    pub(super) wanted: u64,
    /// The largest product that somebody asks for by its shape.
    pub(super) most: u64,
    /// Elements that streaming kernels take at a time.
    pub(super) stream_granule: u64,
}

impl Sizes {
    pub(super) fn of(device: &dyn Device, available: Option<u64>) -> Self {
        let identity = device.identity();
        let least = match identity.kind {
            DeviceKind::Software => FAR_OF_SOFTWARE,
            DeviceKind::Gpu => FAR_OF_GPU,
            _ => LEAST_FAR,
        };
        let wanted = (CACHES * identity.last_level_cache(identity.cores)).max(least);
        // Memory is kept between steps: a tenth for all lanes, one for a single lane and half of one for what lanes share make the quarter we allow
        // ourselves.
        // Backends of GPUs keep nothing.
        let share = if identity.kind.is_gpu_like() { 4 } else { 10 };
        let of_total = if identity.memory > 0 { identity.memory / share } else { LEAST_FAR };
        let of_available = available.map_or(u64::MAX, |available| available / 5);
        let of_array = device.largest_array().unwrap_or(u64::MAX);
        let most = of_total.min(of_available).min(of_array).max(1 << 20);
        let far = wanted.min(most);
        Self { kind: identity.kind, far, wanted, most, stream_granule: device.stream_granule() }
    }

    /// The first place of a curve: some bytes per lane, or those of a whole GPU.
    pub(super) fn first(&self, per_lane: u64, (scope, lanes): (Scope, u32), of_gpu: u64) -> u64 {
        if self.kind.is_gpu_like() && scope == Scope::Device { of_gpu } else { per_lane * u64::from(lanes) }
    }

    /// Iterations that make a pass over some bytes of a lane, in pieces of some bytes. A GPU's dispatch costs too much to be that small.
    pub(super) fn parts(&self, bytes: u64, piece: u64) -> u64 {
        if self.kind.is_gpu_like() { 1 } else { (bytes / piece).max(1) }
    }
}
