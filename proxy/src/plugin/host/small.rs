//! `counters`, `clock`, `random`, `log`.

use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use super::{Host, random64};
use crate::plugin::bindings::jackfield::plugin::{clock, counters, log, random};

impl counters::Host for Host {
    fn add(&mut self, slot: u32, delta: u64) -> u64 {
        let counters = &self.usage.shared.counters;
        counters[slot as usize % counters.len()].fetch_add(delta, Relaxed)
    }
}

impl clock::Host for Host {
    fn now(&mut self) -> u64 {
        Host::now(self).as_nanos() as u64
    }

    fn unix_time(&mut self) -> u64 {
        *self.unix_ms.get_or_insert_with(|| {
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
        })
    }
}

impl random::Host for Host {
    fn next(&mut self) -> u64 {
        random64()
    }
}

impl log::Host for Host {
    fn write(&mut self, level: log::Level, message: String) {
        if let Some(pass) = self.usage.may_say(level) {
            self.usage.say(pass, level, None, &message);
        }
    }
}
