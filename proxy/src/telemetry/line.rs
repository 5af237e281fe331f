//! How a line of the access log looks. Both forms have the same fields in the same order:
//!
//! - text: the time, then `key=value`; `-` where there is nothing. A value with anything but
//!   visible ASCII, or with `"`, `=` or `\`, stands in quotes, and its control and foreign
//!   characters are escaped: nobody can forge a line.
//! - JSON: an object; what there is nothing of is left out.

use std::io::Write;
use std::time::Duration;

use super::access::{Entry, Subject};
use crate::config::LogFormat;

enum Value<'a> {
    Text(&'a str),
    Number(u64),
    Nothing,
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Self::Nothing, Self::Text)
    }
}

pub(super) fn write(out: &mut Vec<u8>, format: LogFormat, entry: &Entry) {
    let time = humantime::format_rfc3339_millis(entry.at);
    // Writing to memory cannot fail.
    let _ = match format {
        LogFormat::Text => write!(out, "{time}"),
        LogFormat::Json => write!(out, "{{\"time\":\"{time}\""),
    };
    fields(entry, &mut |key, value| match format {
        LogFormat::Text => text_field(out, key, &value),
        LogFormat::Json => json_field(out, key, &value),
    });
    out.extend_from_slice(if format == LogFormat::Json { b"}\n" } else { b"\n" });
}

fn fields(entry: &Entry, field: &mut dyn FnMut(&'static str, Value<'_>)) {
    field("client", Value::Text(&entry.client.to_string()));
    field("protocol", Value::Text(entry.protocol));
    match &entry.subject {
        Subject::Request { method, host, uri, status, .. } => {
            let header = host.as_ref().map(|host| String::from_utf8_lossy(host.as_bytes()));
            let host = uri.authority().map(http::uri::Authority::as_str).or(header.as_deref());
            field("method", Value::Text(method.as_str()));
            field("host", host.into());
            field("path", Value::Text(uri.path_and_query().map_or("", |path| path.as_str())));
            field("status", Value::Number((*status).into()));
        }
        Subject::Connection { listener, sni } => {
            field("listener", Value::Text(&listener.to_string()));
            field("sni", sni.as_deref().into());
        }
    }
    field("upstream", entry.upstream.as_deref().into());
    field("endpoint", entry.endpoint.as_ref().map(|endpoint| endpoint.config.name.as_str()).into());
    field("plugin_us", micros(entry.plugin_time));
    if let Subject::Request { plugin_wait, .. } = &entry.subject {
        field("plugin_wait_us", micros(*plugin_wait));
    }
    field("total_us", micros(entry.total_time));
    field("received", Value::Number(entry.received));
    field("sent", Value::Number(entry.sent));
    if let Subject::Request { id, .. } = &entry.subject {
        field("id", id.as_deref().into());
    }
    field("error", entry.error.as_deref().into());
}

fn micros(time: Duration) -> Value<'static> {
    Value::Number(time.as_micros() as u64)
}

fn text_field(out: &mut Vec<u8>, key: &str, value: &Value<'_>) {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b'\\');
    let _ = match value {
        Value::Nothing => write!(out, " {key}=-"),
        Value::Number(number) => write!(out, " {key}={number}"),
        Value::Text(text) if !text.is_empty() && text.bytes().all(plain) => write!(out, " {key}={text}"),
        Value::Text(text) => write!(out, " {key}=\"{}\"", text.escape_default()),
    };
}

fn json_field(out: &mut Vec<u8>, key: &str, value: &Value<'_>) {
    let _ = match value {
        Value::Nothing => Ok(()),
        Value::Number(number) => write!(out, ",\"{key}\":{number}"),
        Value::Text(text) => {
            let _ = write!(out, ",\"{key}\":");
            serde_json::to_writer(&mut *out, text).map_err(Into::into)
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, Method, Uri};
    use std::time::SystemTime;

    fn entry() -> Entry {
        Entry {
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            client: "192.0.2.1:5000".parse().unwrap(),
            protocol: "HTTP/1.1",
            subject: Subject::Request {
                method: Method::GET,
                host: Some(HeaderValue::from_bytes(b"a\xffb").unwrap()),
                uri: Uri::from_static("/a?b=c"),
                status: 502,
                plugin_wait: Duration::from_micros(7),
                id: None,
            },
            upstream: Some("api".into()),
            endpoint: None,
            plugin_time: Duration::from_nanos(12_999),
            total_time: Duration::from_millis(3),
            received: 0,
            sent: 129,
            error: Some("refused\n\"GET\" / forged".into()),
        }
    }

    fn line(format: LogFormat, entry: &Entry) -> String {
        let mut out = Vec::new();
        write(&mut out, format, entry);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_cannot_be_forged() {
        assert_eq!(
            line(LogFormat::Text, &entry()),
            "2023-11-14T22:13:20.123Z client=192.0.2.1:5000 protocol=HTTP/1.1 method=GET host=\"a\\u{fffd}b\" \
             path=\"/a?b=c\" status=502 upstream=api endpoint=- plugin_us=12 plugin_wait_us=7 \
             total_us=3000 received=0 sent=129 id=- error=\"refused\\n\\\"GET\\\" / forged\"\n"
        );
    }

    #[test]
    fn json_is_one_object_on_one_line() {
        let text = line(LogFormat::Json, &entry());
        assert_eq!(text.matches('\n').count(), 1);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["time"], "2023-11-14T22:13:20.123Z");
        assert_eq!(json["path"], "/a?b=c");
        assert_eq!(json["status"], 502);
        assert_eq!(json["error"], "refused\n\"GET\" / forged");
        assert_eq!(json.get("endpoint"), None);
    }

    #[test]
    fn connections_have_lines_too() {
        let subject = Subject::Connection { listener: "0.0.0.0:5432".parse().unwrap(), sni: Some("db".into()) };
        let entry = Entry { subject, protocol: "tcp", error: None, ..entry() };
        assert_eq!(
            line(LogFormat::Text, &entry),
            "2023-11-14T22:13:20.123Z client=192.0.2.1:5000 protocol=tcp listener=0.0.0.0:5432 sni=db upstream=api \
             endpoint=- plugin_us=12 total_us=3000 received=0 sent=129 error=-\n"
        );
    }
}
