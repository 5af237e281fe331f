//! The Prometheus text format, version 0.0.4. By hand: `prometheus-client` wants its metrics
//! registered as its own types and writes `OpenMetrics`, and what we have are sums made while the
//! page is written, of things that come and go with reloads.

use std::fmt::{Display, Write};

use super::metrics::{BOUNDS_US, Histogram};

/// What the metrics page is served as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Page {
    /// Begins a family; its samples must follow before the next family begins.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    pub(super) fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.put(format_args!("{name}"));
        self.labels(labels, None);
        self.put(format_args!(" {value}\n"));
    }

    /// A family of one sample.
    pub(super) fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    pub(super) fn histogram(&mut self, name: &str, labels: Labels<'_>, histogram: &Histogram) {
        let bounds = BOUNDS_US.map(|micros| micros as f64 / 1e6);
        let mut count = 0;
        let counts = histogram.buckets.map(|observed| {
            count += observed;
            count
        });
        self.buckets(name, labels, &bounds, &counts, histogram.sum.as_secs_f64());
    }

    /// A histogram of any bounds. The counts are cumulative, one more than bounds: the last is all.
    pub(super) fn buckets(&mut self, name: &str, labels: Labels<'_>, bounds: &[f64], counts: &[u64], sum: f64) {
        let bounds = bounds.iter().map(f64::to_string);
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(counts) {
            self.put(format_args!("{name}_bucket"));
            self.labels(labels, Some(("le", &bound)));
            self.put(format_args!(" {count}\n"));
        }
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, counts.last().copied().unwrap_or_default());
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn labels(&mut self, labels: Labels<'_>, last: Option<(&str, &str)>) {
        let mut before = '{';
        for (name, value) in labels.iter().copied().chain(last) {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.put(format_args!("{before}{name}=\"{value}\""));
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.text.write_fmt(text);
    }
}
