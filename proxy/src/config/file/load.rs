//! `load = {...}` of an upstream: where its endpoints' CPU and memory reports come from.

use std::time::Duration;

use super::check::{Check, Problem};
use super::health;
use super::value::Value;
use crate::config::{LoadPoll, LoadReports};

const INTERVAL: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(1);
const EXPIRES: Duration = Duration::from_secs(10);

pub fn none() -> LoadReports {
    LoadReports { orca: false, poll: None, expires: EXPIRES }
}

pub fn load(check: &Check<'_>, value: &Value<'_>) -> Option<LoadReports> {
    let mut table = value.table(check, "in `load`")?;
    let orca = table.flag("orca", false);
    let poll = table.take("poll").and_then(|value| poll(check, &value));
    let expires = table.duration("expires", EXPIRES);
    if let Some(poll) = &poll
        && expires <= poll.interval
    {
        let message = "`expires` must be longer than `interval` of `poll`: a report would be gone before the next";
        table.report(Problem::new(message));
    }
    table.finish();
    Some(LoadReports { orca, poll, expires })
}

fn poll(check: &Check<'_>, value: &Value<'_>) -> Option<LoadPoll> {
    let mut table = value.table(check, "in `poll`")?;
    let path = table.require("path", "\"/load\"");
    let interval = table.duration("interval", INTERVAL);
    let timeout = table.duration("timeout", TIMEOUT);
    table.finish();
    let path = path?;
    Some(LoadPoll { path: check.accept(path.place, health::path(&path))?, interval, timeout })
}
