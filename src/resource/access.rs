//! How a streaming kernel touches memory.

use std::fmt;
use std::str::FromStr;

use super::words::StreamOp;

/// How a streaming kernel touches memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Access {
    /// The kernel.
    pub op: StreamOp,
    /// The kind of store it uses.
    pub stores: Stores,
}

/// The kind of store a kernel uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stores {
    /// Ordinary stores; caches may fetch the line first (write-allocate), which is not counted.
    Plain,
    /// Non-temporal stores, past the caches.
    NonTemporal,
}

impl Access {
    /// An access with ordinary stores.
    #[must_use]
    pub const fn plain(op: StreamOp) -> Self {
        Self { op, stores: Stores::Plain }
    }

    /// An access with non-temporal stores.
    #[must_use]
    pub const fn non_temporal(op: StreamOp) -> Self {
        Self { op, stores: Stores::NonTemporal }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stores {
            Stores::Plain => write!(f, "{}", self.op),
            Stores::NonTemporal => write!(f, "{}_nt", self.op),
        }
    }
}

impl FromStr for Access {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (word, stores) = match text.strip_suffix("_nt") {
            Some(word) => (word, Stores::NonTemporal),
            None => (text, Stores::Plain),
        };
        let op = StreamOp::from_word(word).ok_or(())?;
        if op == StreamOp::Read && stores == Stores::NonTemporal { Err(()) } else { Ok(Self { op, stores }) }
    }
}
