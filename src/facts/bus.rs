//! Where a device is on the bus: what tells that two backends reach the same one.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An address on the PCI bus: `0000:19:00.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct PciAddress {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

/// A text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address on the PCI bus, such as `0000:19:00.0`")]
pub struct NotAnAddress(String);

impl FromStr for PciAddress {
    type Err = NotAnAddress;

    /// Drivers write domains with four digits or with eight, and in either case.
    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let refused = || NotAnAddress(text.to_owned());
        let parts = || {
            let (place, function) = text.trim().rsplit_once('.')?;
            let mut places = place.split(':');
            let address = Self {
                domain: u32::from_str_radix(places.next()?, 16).ok()?,
                bus: u8::from_str_radix(places.next()?, 16).ok()?,
                device: u8::from_str_radix(places.next()?, 16).ok()?,
                function: u8::from_str_radix(function, 16).ok()?,
            };
            places.next().is_none().then_some(address)
        };
        parts().ok_or_else(refused)
    }
}

impl TryFrom<String> for PciAddress {
    type Error = NotAnAddress;

    fn try_from(text: String) -> Result<Self, NotAnAddress> {
        text.parse()
    }
}

impl From<PciAddress> for String {
    fn from(address: PciAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, device, function } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_write_the_same_address_in_several_ways() {
        let address: PciAddress = "0000:3b:00.0".parse().unwrap();
        for other in ["00000000:3B:00.0", "0:3b:0.0", " 0000:3B:00.0 "] {
            assert_eq!(other.parse(), Ok(address), "{other}");
        }
        assert_eq!(address.to_string(), "0000:3b:00.0");
        assert_ne!("0001:3b:00.0".parse(), Ok(address));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", ":", "0000:3b:00", "0000:3b:00:00.0", "0000:3b0:00.0", "g:0:0.0", "-1:0:0.0", "0000:3b:00.0.0"]
        {
            assert!(text.parse::<PciAddress>().is_err(), "{text}");
        }
    }
}
