//! Load reports in the `endpoint-load-metrics` header of responses: ORCA, the Open Request Cost
//! Aggregation of the xDS project (`xds.data.orca.v3.OrcaLoadReport`), in the forms that Envoy and
//! gRPC's backends write:
//!
//! - `TEXT cpu_utilization=0.3, mem_utilization=0.8`, also without the prefix and with `:` for `=`
//!   (Envoy's native form of before 2024);
//! - `JSON {"cpu_utilization": 0.3, "mem_utilization": 0.8}`, also with the names of protobuf's
//!   JSON mapping (`cpuUtilization`).
//!
//! The binary form (`BIN`, base64 of the message) is not read. A report is advice from an
//! endpoint: what is wrong in it is ignored.

use http::HeaderName;
use serde_json::Value;

pub static HEADER: HeaderName = HeaderName::from_static("endpoint-load-metrics");

/// CPU and memory as shares; CPU may be over 1. None when the header holds neither.
pub fn parse(header: &[u8]) -> Option<(Option<f64>, Option<f64>)> {
    let text = std::str::from_utf8(header).ok()?.trim();
    let report = if let Some(json) = text.strip_prefix("JSON ") {
        parse_json(json)
    } else if text.starts_with("BIN ") {
        None
    } else {
        Some(parse_text(text.strip_prefix("TEXT ").unwrap_or(text)))
    };
    report.filter(|(cpu, memory)| cpu.is_some() || memory.is_some())
}

fn parse_text(text: &str) -> (Option<f64>, Option<f64>) {
    let (mut cpu, mut memory) = (None, None);
    for metric in text.split(',') {
        let Some((name, value)) = metric.split_once(['=', ':']) else { continue };
        match name.trim() {
            "cpu_utilization" => cpu = cpu.or(share(value.trim().parse().ok())),
            "mem_utilization" => memory = memory.or(share(value.trim().parse().ok())),
            _ => {}
        }
    }
    (cpu, memory)
}

fn parse_json(text: &str) -> Option<(Option<f64>, Option<f64>)> {
    let report: Value = serde_json::from_str(text).ok()?;
    let number = |names: [&str; 2]| share(names.iter().find_map(|name| report.get(name)).and_then(Value::as_f64));
    Some((number(["cpu_utilization", "cpuUtilization"]), number(["mem_utilization", "memUtilization"])))
}

fn share(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite() && *value >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_is_written_is_read() {
        for (header, cpu, memory) in [
            ("TEXT cpu_utilization=0.3, mem_utilization=0.8", Some(0.3), Some(0.8)),
            ("TEXT cpu_utilization=1.5,rps_fractional=10,named_metrics.queue=4", Some(1.5), None),
            ("cpu_utilization=0.3,mem_utilization=0.8", Some(0.3), Some(0.8)),
            ("cpu_utilization:0.3, mem_utilization:0.8", Some(0.3), Some(0.8)),
            ("JSON {\"cpu_utilization\":0.3,\"mem_utilization\":0.8}", Some(0.3), Some(0.8)),
            ("JSON {\"cpuUtilization\": 0.3, \"eps\": 1}", Some(0.3), None),
            ("TEXT cpu_utilization=NaN, mem_utilization=0.5", None, Some(0.5)),
            ("TEXT mem_utilization=0.5, cpu_utilization", None, Some(0.5)),
        ] {
            assert_eq!(parse(header.as_bytes()), Some((cpu, memory)), "{header}");
        }
    }

    #[test]
    fn nonsense_is_no_report() {
        let nonsense = [
            "",
            "TEXT",
            "TEXT ",
            "JSON",
            "JSON ",
            "JSON {",
            "JSON []",
            "JSON \"x\"",
            "JSON {\"cpu_utilization\":\"0.3\"}",
            "BIN CgA=",
            "TEXT cpu_utilization=-1",
            "cpu_utilization=",
            "=",
            ",,,",
            "TEXT rps_fractional=5",
        ];
        for header in nonsense {
            assert_eq!(parse(header.as_bytes()), None, "{header}");
        }
        assert_eq!(parse(b"TEXT cpu_utilization=\xff"), None);
    }
}
