//! TLS in front: certificates and keys.

use super::{check, with_listener};

#[test]
fn tls_in_front() {
    check(
        &with_listener(
            r#"upstream = "api"
tls = true"#,
        ),
        r#"bad.toml:4:7: error: `tls` must be a table, found true or false
  tls = true
        ^^^^"#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
tls = {}"#,
        ),
        r#"bad.toml:4:7: error: missing key `certificates` in `tls` of a listener
  tls = {}
        ^^
  help: write `certificates = [{ cert = "site.pem", key = "site.key" }]`"#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
tls = { certificates = [] }"#,
        ),
        r#"bad.toml:4:24: error: `certificates` is empty
  tls = { certificates = [] }
                         ^^
  help: write one certificate and its key, or leave out `tls`"#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
tls = { certificates = [{ cert = "site.pem" }] }"#,
        ),
        r#"bad.toml:4:25: error: missing key `key` in a certificate
  tls = { certificates = [{ cert = "site.pem" }] }
                          ^^^^^^^^^^^^^^^^^^^^^
  help: write `key = "site.key"`"#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
tls = { certificates = [{ cert = "site.pem", key = "site.key", ca = "x" }], http3 = true, handshake-timeout = "1" }"#,
        ),
        r#"bad.toml:4:64: error: unknown key `ca` in a certificate
  tls = { certificates = [{ cert = "site.pem", key = "site.key", ca = "x" }], http3 = true, handshake-timeout = "1" }
                                                                 ^^
  help: known keys: `cert`, `key`
bad.toml:4:77: error: unknown key `http3` in `tls` of a listener
  tls = { certificates = [{ cert = "site.pem", key = "site.key", ca = "x" }], http3 = true, handshake-timeout = "1" }
                                                                              ^^^^^
  help: did you mean `http2`? known keys: `certificates`, `handshake-timeout`, `http2`
bad.toml:4:111: error: `1` is not a duration
  tls = { certificates = [{ cert = "site.pem", key = "site.key", ca = "x" }], http3 = true, handshake-timeout = "1" }
                                                                                                                ^^^
  help: a whole number and a unit: "250ms", "2s", "5m", "1h""#,
    );
}

#[test]
fn certificates() {
    check(
        &with_listener(
            r#"upstream = "api"
tls = { certificates = [{ cert = "nowhere.pem", key = "nowhere.key" }] }"#,
        ),
        r#"bad.toml:4:34: error: cannot read FOLDER/nowhere.pem: No such file or directory (os error 2)
  tls = { certificates = [{ cert = "nowhere.pem", key = "nowhere.key" }] }
                                   ^^^^^^^^^^^^^
bad.toml:4:55: error: cannot read FOLDER/nowhere.key: No such file or directory (os error 2)
  tls = { certificates = [{ cert = "nowhere.pem", key = "nowhere.key" }] }
                                                        ^^^^^^^^^^^^^"#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
tls = { certificates = [{ cert = "site.key", key = "site.pem" }] }"#,
        ),
        r#"bad.toml:4:34: error: FOLDER/site.key holds no certificate
  tls = { certificates = [{ cert = "site.key", key = "site.pem" }] }
                                   ^^^^^^^^^^
  help: what it holds is: PRIVATE KEY
bad.toml:4:52: error: FOLDER/site.pem holds no private key
  tls = { certificates = [{ cert = "site.key", key = "site.pem" }] }
                                                     ^^^^^^^^^^
  help: what it holds is: CERTIFICATE"#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
tls = { certificates = [{ cert = "empty.pem", key = "locked.key" }] }"#,
        ),
        r#"bad.toml:4:34: error: FOLDER/empty.pem holds no certificate
  tls = { certificates = [{ cert = "empty.pem", key = "locked.key" }] }
                                   ^^^^^^^^^^^
  help: a PEM file, with lines `-----BEGIN …-----`
bad.toml:4:53: error: FOLDER/locked.key holds no private key
  tls = { certificates = [{ cert = "empty.pem", key = "locked.key" }] }
                                                      ^^^^^^^^^^^^
  help: the key in it is encrypted: `openssl pkey -in FILE -out FILE`"#,
    );
    check(
        &with_listener(
            r#"upstream = "api"
tls = { certificates = [{ cert = 1, key = "." }] }"#,
        ),
        r#"bad.toml:4:34: error: `cert` must be a string, found a whole number
  tls = { certificates = [{ cert = 1, key = "." }] }
                                   ^
bad.toml:4:43: error: cannot read FOLDER/.: Is a directory (os error 21)
  tls = { certificates = [{ cert = 1, key = "." }] }
                                            ^^^"#,
    );
}
