//! TLS on either side: certificates and keys are read here, and understood by `tls`.

use std::path::PathBuf;
use std::time::Duration;

use super::check::{Check, Problem};
use super::name::is_host_name;
use super::value::Value;
use crate::config::{CertificatePair, ClientTls, ServerTls};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const CERTIFICATE: &str = "CERTIFICATE";
const PRIVATE_KEYS: [&str; 3] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];

/// `tls = { certificates = [{ cert, key }] }` of a listener.
pub fn server_tls(check: &Check<'_>, value: &Value<'_>) -> Option<ServerTls> {
    let mut table = value.table(check, "in `tls` of a listener")?;
    let example = "[{ cert = \"site.pem\", key = \"site.key\" }]";
    let list = table.require("certificates", example);
    let handshake_timeout = table.duration("handshake-timeout", HANDSHAKE_TIMEOUT);
    let http2 = table.flag("http2", true);
    table.finish();
    let list = list?;
    let list = check.accept(list.place, list.nonempty_list("write one certificate and its key, or leave out `tls`"))?;
    let certificates = list.iter().filter_map(|value| pair(check, value)).collect();
    Some(ServerTls { certificates, handshake_timeout, http2 })
}

fn pair(check: &Check<'_>, value: &Value<'_>) -> Option<CertificatePair> {
    let mut table = value.table(check, "in a certificate")?;
    let chain = table.require("cert", "\"site.pem\"");
    let key = table.require("key", "\"site.key\"");
    table.finish();
    let chain = chain.and_then(|value| check.accept(value.place, read_pem(check, &value, &[CERTIFICATE])));
    let key = key.and_then(|value| check.accept(value.place, read_pem(check, &value, &PRIVATE_KEYS)));
    let ((chain_path, chain), (key_path, key)) = (chain?, key?);
    Some(CertificatePair { chain, key, chain_path, key_path, place: value.place })
}

/// `tls = true` or `tls = { ca, server-name, verify }` of an upstream. Nothing: no TLS.
pub fn client_tls(check: &Check<'_>, value: &Value<'_>) -> Option<ClientTls> {
    match value.as_flag() {
        Some(false) => return None,
        Some(true) => {
            return Some(ClientTls { roots: Vec::new(), server_name: None, verify: true });
        }
        None if !value.is_table() => {
            return check.accept(value.place, Err(value.mismatch("true, false or a table")));
        }
        None => {}
    }
    let mut table = value.table(check, "in `tls` of an upstream")?;
    let roots = table.read("ca", |value| read_pem(check, value, &[CERTIFICATE]));
    let server_name = table.read("server-name", server_name);
    let verify = table.flag("verify", true);
    table.finish();
    Some(ClientTls { roots: roots.map(|(_, roots)| roots).unwrap_or_default(), server_name, verify })
}

fn server_name(value: &Value<'_>) -> Result<String, Problem> {
    let written = value.text()?;
    if is_host_name(written) || written.parse::<std::net::IpAddr>().is_ok() {
        return Ok(written.to_owned());
    }
    Err(Problem::new(format!("`{written}` is not a server name")).help("a name without port: \"example.com\""))
}

/// A file with at least one PEM section of the wanted kind. What is in it, only `tls` can say.
fn read_pem(check: &Check<'_>, value: &Value<'_>, wanted: &[&str]) -> Result<(PathBuf, Vec<u8>), Problem> {
    let path = check.path(value.text()?);
    let shown = path.display();
    let bytes = std::fs::read(&path).map_err(|error| Problem::new(format!("cannot read {shown}: {error}")))?;
    let labels = pem_labels(&String::from_utf8_lossy(&bytes));
    if labels.iter().any(|label| wanted.contains(&label.as_str())) {
        return Ok((path, bytes));
    }
    let kind = if wanted.contains(&CERTIFICATE) { "certificate" } else { "private key" };
    let problem = Problem::new(format!("{shown} holds no {kind}"));
    Err(match labels.first().map(String::as_str) {
        None => problem.help("a PEM file, with lines `-----BEGIN …-----`"),
        Some("ENCRYPTED PRIVATE KEY") => problem.help("the key in it is encrypted: `openssl pkey -in FILE -out FILE`"),
        Some(label) => problem.help(format!("what it holds is: {label}")),
    })
}

fn pem_labels(text: &str) -> Vec<String> {
    let label = |line: &str| Some(line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----")?.to_owned());
    text.lines().filter_map(label).collect()
}
