//! The link between devices: how long an exchange of data takes, by latency and bandwidth.

mod measured;

pub use measured::{MeasuredLink, Timings};

use serde::Serialize;

use crate::graph::Collective;
use crate::units::{Bytes, BytesPerSecond, Seconds};

/// A link that every device of a group has to the others, as the user gives it or as it was measured.
///
/// ```
/// # use rooflab::estimate::link::Link;
/// # use rooflab::graph::Collective;
/// # use rooflab::units::{Bytes, BytesPerSecond, Seconds};
/// let link = Link::new(Seconds(5e-6), BytesPerSecond(450e9)).unwrap();
/// let sum = Collective::AllReduce { devices: 8, bytes: Bytes(1e6) };
/// assert!(link.time(&sum).get() > 5e-6);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Link {
    latency: Seconds,
    bandwidth: BytesPerSecond,
}

/// A number that is none of a link.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum LinkError {
    /// The latency is negative or not finite.
    #[error("the link's `latency` is {0} s: it must be 0 or above")]
    Latency(f64),
    /// The bandwidth is not positive and finite.
    #[error("the link's `bandwidth` is {0} B/s: it must be above 0")]
    Bandwidth(f64),
}

/// How the sum of all devices' data gets to all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AllReduce {
    /// Every device reads all others' data and sums by itself.
    OneShot,
    /// Every device sums a part of all data; then all read the parts.
    TwoShot,
    /// Parts go round from neighbour to neighbour, twice.
    Ring,
}

impl AllReduce {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::OneShot, Self::TwoShot, Self::Ring];
}

impl Link {
    /// A link with the time of the smallest message and the bytes that a device sends per second.
    ///
    /// # Errors
    ///
    /// One of the numbers is not one of a link.
    pub fn new(latency: Seconds, bandwidth: BytesPerSecond) -> Result<Self, LinkError> {
        let (seconds, rate) = (latency.get(), bandwidth.get());
        if !(seconds >= 0.0 && seconds.is_finite()) {
            return Err(LinkError::Latency(seconds));
        }
        if !(rate > 0.0 && rate.is_finite()) {
            return Err(LinkError::Bandwidth(rate));
        }
        Ok(Self { latency, bandwidth })
    }

    /// The time of the smallest message.
    #[must_use]
    pub const fn latency(&self) -> Seconds {
        self.latency
    }

    /// The bytes that a device sends per second.
    #[must_use]
    pub const fn bandwidth(&self) -> BytesPerSecond {
        self.bandwidth
    }

    /// How long an exchange takes. Between less than two devices there is none. A sum of which every device keeps a part takes as long as gathering parts.
    #[must_use]
    pub fn time(&self, exchange: &Collective) -> Seconds {
        match *exchange {
            Collective::AllReduce { devices, bytes } => {
                let ways = AllReduce::ALL.map(|way| self.all_reduce(way, devices, bytes));
                ways.into_iter().reduce(|a, b| if b < a { b } else { a }).unwrap_or_default()
            }
            Collective::AllGather { devices, bytes } | Collective::AllToAll { devices, bytes } => {
                if devices < 2 {
                    Seconds(0.0)
                } else {
                    self.message(bytes * others(devices))
                }
            }
            Collective::Send { bytes } => self.message(bytes),
        }
    }

    /// How long one way of summing takes.
    #[must_use]
    pub fn all_reduce(&self, way: AllReduce, devices: u64, bytes: Bytes) -> Seconds {
        if devices < 2 {
            return Seconds(0.0);
        }
        let steps = devices as f64 - 1.0;
        let part = self.wire(bytes * others(devices)) * 2.0;
        match way {
            AllReduce::OneShot => self.latency + self.wire(bytes * steps),
            AllReduce::TwoShot => self.latency * 2.0 + part,
            AllReduce::Ring => self.latency * (2.0 * steps) + part,
        }
    }

    fn message(&self, bytes: Bytes) -> Seconds {
        self.latency + self.wire(bytes)
    }

    fn wire(&self, bytes: Bytes) -> Seconds {
        Seconds(bytes.get() / self.bandwidth.get())
    }
}

/// The share of data that is at other devices: (n − 1) / n.
fn others(devices: u64) -> f64 {
    (devices as f64 - 1.0) / devices as f64
}

/// How long summing takes at a bus bandwidth, as nccl-tests defines it: 2(n−1)/n · bytes / time.
#[must_use]
pub fn all_reduce_at_bus_bandwidth(devices: u64, bytes: Bytes, bus: BytesPerSecond) -> Seconds {
    if devices < 2 { Seconds(0.0) } else { Seconds(2.0 * others(devices) * bytes.get() / bus.get()) }
}

/// The bus bandwidth of summing that took some time.
#[must_use]
pub fn bus_bandwidth(devices: u64, bytes: Bytes, time: Seconds) -> BytesPerSecond {
    if devices < 2 { BytesPerSecond(0.0) } else { bytes * (2.0 * others(devices)) / time }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn link(latency: f64, bandwidth: f64) -> Link {
        Link::new(Seconds(latency), BytesPerSecond(bandwidth)).unwrap()
    }

    /// LLaMA2-13B between four devices: bytes of the residual stream of some tokens.
    fn activations(tokens: f64) -> Bytes {
        Bytes(5120.0 * 2.0 * tokens)
    }

    #[test]
    fn sums_at_a_bus_bandwidth() {
        let at = |tokens, bus: f64| all_reduce_at_bus_bandwidth(4, activations(tokens), BytesPerSecond(bus)).get();
        // (case, what came out, what is right). The survey printed 61,440 B per token: it forgot to divide by the devices.
        for (case, found, right) in [
            ("C26", at(1.0, 1.0), 15_360.0),
            ("C27", at(16.0, 1.0), 245_760.0),
            ("C27", at(16.0, 30e9), 8.192e-6),
            ("C27", at(16.0, 10e9), 24.576e-6),
            ("C28", at(128.0, 1.0), 1_966_080.0),
            ("C28", at(128.0, 90e9), 21.845e-6),
            ("C28", at(128.0, 10e9), 196.608e-6),
            ("C29", at(16.0, 30e9) * 2.0 * 40.0, 0.655e-3),
        ] {
            assert!((found / right - 1.0).abs() < 0.005, "{case}: {found} instead of {right}");
        }
    }

    #[test]
    fn bus_bandwidth_grows_with_size_towards_the_link() {
        // C37: below 30 GB/s up to 1 MB, about 130 at 128 MB, limit 150.
        let link = link(35e-6, 150e9);
        let bus = |bytes: f64| {
            bus_bandwidth(4, Bytes(bytes), link.time(&Collective::AllReduce { devices: 4, bytes: Bytes(bytes) })).get()
        };
        assert!(bus(1e6) < 30e9 && bus(1e4) < 1e9 && bus(128e6) > 120e9 && bus(1e12) < 150e9 && bus(1e12) > 149e9);
    }

    #[test]
    fn formulas_and_the_least_of_them() {
        let link = link(1e-6, 1e9);
        let ways = |bytes| AllReduce::ALL.map(|way| link.all_reduce(way, 4, Bytes(bytes)).get());
        assert_eq!(ways(0.0), [1e-6, 2e-6, 6e-6]);
        let [one, two, ring] = ways(1e6);
        let close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-12;
        assert!(close(one, 3.001e-3) && close(two, 1.502e-3) && close(ring, 1.506e-3));
        assert_eq!(link.time(&Collective::AllReduce { devices: 4, bytes: Bytes(1e6) }).get(), two);
        assert_eq!(link.time(&Collective::AllReduce { devices: 4, bytes: Bytes(8.0) }).get(), ways(8.0)[0]);
        assert!(close(link.time(&Collective::AllGather { devices: 4, bytes: Bytes(1e6) }).get(), 0.751e-3));
        assert!(close(link.time(&Collective::AllToAll { devices: 4, bytes: Bytes(1e6) }).get(), 0.751e-3));
        assert!(close(link.time(&Collective::Send { bytes: Bytes(1e6) }).get(), 1.001e-3));
    }

    #[test]
    fn what_is_no_link_is_refused() {
        for (latency, bandwidth) in [(-1.0, 1.0), (f64::NAN, 1.0), (0.0, 0.0), (0.0, -1.0), (0.0, f64::INFINITY)] {
            assert!(Link::new(Seconds(latency), BytesPerSecond(bandwidth)).is_err());
        }
        let error = Link::new(Seconds(0.0), BytesPerSecond(f64::NAN)).unwrap_err();
        assert!(error.to_string().contains("`bandwidth` is NaN"), "{error}");
    }

    proptest! {
        #[test]
        fn more_data_never_takes_less_time_and_one_device_has_none(
            devices in 0_u64..10_000, bytes in 0.0..1e15_f64, more in 1.0..100.0_f64,
            latency in 0.0..1.0_f64, bandwidth in 1.0..1e13_f64,
        ) {
            let link = link(latency, bandwidth);
            let all = |bytes| [
                Collective::AllReduce { devices, bytes }, Collective::AllGather { devices, bytes },
                Collective::AllToAll { devices, bytes },
            ].map(|exchange| link.time(&exchange).get());
            for (small, large) in all(Bytes(bytes)).into_iter().zip(all(Bytes(bytes * more))) {
                prop_assert!(small <= large && large.is_finite());
                prop_assert!(devices >= 2 || large == 0.0);
            }
            // No way of summing beats the wire: every device must get what the others have.
            prop_assert!(devices < 2 || all(Bytes(bytes))[0] >= bytes / bandwidth * 0.999_999);
        }
    }
}
