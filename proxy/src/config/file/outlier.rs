//! `outlier = {...}` of an upstream: which endpoints the traffic itself convicts.

use std::time::Duration;

use super::check::{Check, Problem};
use super::value::Value;
use crate::config::{Outlier, SuccessRate};

const CONSECUTIVE: u64 = 5;
const INTERVAL: Duration = Duration::from_secs(10);
const EJECTION_TIME: Duration = Duration::from_secs(30);
const MAX_EJECTION_TIME: Duration = Duration::from_mins(5);
const MAX_EJECTED: f64 = 0.1;
const JITTER: f64 = 0.1;
const FACTOR: f64 = 1.9;
const MIN_ENDPOINTS: usize = 5;
const MIN_REQUESTS: u64 = 100;

pub fn outlier(check: &Check<'_>, value: &Value<'_>) -> Option<Outlier> {
    let mut table = value.table(check, "in `outlier`")?;
    let consecutive_5xx = table.integer("consecutive-5xx", CONSECUTIVE, 0..=10_000) as u32;
    let consecutive_gateway = table.integer("consecutive-gateway", CONSECUTIVE, 0..=10_000) as u32;
    let success_rate = match table.take("success-rate") {
        Some(value) if value.as_flag() == Some(false) => None,
        Some(value) => success_rate(check, &value),
        None => Some(SuccessRate { factor: FACTOR, min_endpoints: MIN_ENDPOINTS, min_requests: MIN_REQUESTS }),
    };
    let interval = table.duration("interval", INTERVAL);
    let ejection_time = table.duration("ejection-time", EJECTION_TIME);
    let max_ejection_time = table.duration("max-ejection-time", MAX_EJECTION_TIME.max(ejection_time));
    if max_ejection_time < ejection_time {
        table.report(Problem::new("`max-ejection-time` must not be shorter than `ejection-time`"));
    }
    let max_ejected = table.number("max-ejected", MAX_EJECTED, 0.0..=1.0);
    let jitter = table.number("jitter", JITTER, 0.0..=1.0);
    table.finish();
    Some(Outlier {
        consecutive_5xx,
        consecutive_gateway,
        success_rate,
        interval,
        ejection_time,
        max_ejection_time,
        max_ejected,
        jitter,
    })
}

fn success_rate(check: &Check<'_>, value: &Value<'_>) -> Option<SuccessRate> {
    if value.as_flag().is_some() || !value.is_table() {
        return check.accept(value.place, Err(value.mismatch("false, or a table")));
    }
    let mut table = value.table(check, "in `success-rate`")?;
    let factor = table.number("factor", FACTOR, 0.0..=100.0);
    let min_endpoints = table.count("min-endpoints", MIN_ENDPOINTS, 2..=1_000_000);
    let min_requests = table.integer("min-requests", MIN_REQUESTS, 1..=1_000_000_000);
    table.finish();
    Some(SuccessRate { factor, min_endpoints, min_requests })
}
