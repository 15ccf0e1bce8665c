//! Asks the sensors again and again, in a thread of its own: whoever measures never waits for the library, and goes on where it hangs.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nvml_wrapper::Nvml;

use super::tally::Tally;
use super::{Key, library};
use crate::backend::Glance;
use crate::facts::GpuObserved;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(50);
/// How long is waited for the thread when the device is closed. A program that ends in the middle of a question could crash in the library.
const PATIENCE: Duration = Duration::from_secs(1);

/// Looks at the sensors of a device for as long as it lives.
pub(in crate::backend::cuda) struct Watch {
    seen: Arc<Mutex<Tally>>,
    /// Dropped to end the thread.
    stop: Option<Sender<()>>,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
}

impl Watch {
    /// Begins to look, unless no thread can be had.
    pub(in crate::backend::cuda) fn start(key: Key) -> Option<Self> {
        let seen = Arc::<Mutex<Tally>>::default();
        let (stop, stopped) = channel();
        let (end, ended) = channel();
        let tally = Arc::clone(&seen);
        let work = move || {
            look_on(&key, &tally, &stopped);
            drop(end);
        };
        thread::Builder::new().name("sensors".to_owned()).spawn(work).ok()?;
        Some(Self { seen, stop: Some(stop), ended })
    }

    /// What was seen since this was asked last, if anything. Never waits.
    pub(in crate::backend::cuda) fn glance(&self) -> Option<Glance> {
        self.seen.try_lock().ok()?.take_glance()
    }

    /// What was seen so far, if anything.
    pub(in crate::backend::cuda) fn observed(&self) -> Option<GpuObserved> {
        self.seen.lock().ok()?.observed()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        // Either it ended, or it hangs and is left to itself.
        let _ = self.ended.recv_timeout(PATIENCE);
    }
}

/// What the thread does. The library is loaded here, because that takes its time.
fn look_on(key: &Key, seen: &Mutex<Tally>, stopped: &Receiver<()>) {
    let Ok(nvml) = Nvml::init() else { return };
    let Some(device) = library::find(&nvml, key) else { return };
    let set_lower = library::is_set_lower(&device);
    while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        let look = library::look(&device);
        let Ok(mut seen) = seen.lock() else { return };
        seen.add(&look, set_lower);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_the_library_does_not_know_has_nothing_to_see() {
        let watch = Watch::start(Key { uuid: [0; 16], bus: "ffff:ff:1f.0".to_owned() }).unwrap();
        // Whether the library is missing or knows no such device, the thread ends by itself.
        assert_eq!(watch.ended.recv(), Err(std::sync::mpsc::RecvError));
        assert_eq!((watch.glance(), watch.observed()), (None, None));
    }
}
