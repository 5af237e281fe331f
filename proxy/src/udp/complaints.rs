//! Log lines about datagrams that were lost: at most one each second, with the number of those
//! that it stands for. A flood must not fill the disk too.

use std::cell::Cell;
use std::fmt::Display;
use std::time::{Duration, Instant};

#[derive(Default)]
pub struct Complaints {
    told: Cell<Option<Instant>>,
    untold: Cell<u64>,
}

impl Complaints {
    pub fn tell(&self, reason: &dyn Display) {
        let lost = self.untold.get() + 1;
        if self.told.get().is_some_and(|told| told.elapsed() < Duration::from_secs(1)) {
            self.untold.set(lost);
            return;
        }
        self.told.set(Some(Instant::now()));
        self.untold.set(0);
        tracing::warn!(lost, %reason, "datagrams were lost");
    }
}
