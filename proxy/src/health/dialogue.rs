//! What is said on a connection, and what must be heard there.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::config::Dialogue;

/// Within so many bytes, the rest is not read.
pub(super) const MOST_HEARD: usize = 16 << 10;

/// Sends, and listens until what is expected has come.
pub(super) async fn talk(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    dialogue: &Dialogue,
) -> Result<(), String> {
    stream.write_all(&dialogue.send).await.map_err(|error| format!("cannot send: {error}"))?;
    stream.flush().await.map_err(|error| format!("cannot send: {error}"))?;
    let Some(expect) = &dialogue.expect else { return Ok(()) };
    let mut heard = Vec::new();
    let mut buffer = [0; 1024];
    while !expect.is_in(&heard) {
        let room = buffer.len().min(MOST_HEARD - heard.len());
        let count = match stream.read(&mut buffer[..room]).await {
            Ok(count) => count,
            Err(error) => return Err(format!("broke off: {error}, after `{}`", shown(&heard))),
        };
        if count == 0 {
            return Err(format!("{expect} did not come, but `{}`", shown(&heard)));
        }
        heard.extend_from_slice(&buffer[..count]);
    }
    Ok(())
}

/// The beginning of an answer, fit for a line of the log.
pub(super) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 64;
    let more = if bytes.len() > MOST { "…" } else { "" };
    format!("{}{more}", bytes[..bytes.len().min(MOST)].escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Pattern;

    async fn heard(answer: &[u8], expect: &str) -> Result<(), String> {
        let (mut near, mut far) = tokio::io::duplex(32 << 10);
        far.write_all(answer).await.unwrap();
        far.shutdown().await.unwrap();
        let expect = match expect.strip_prefix("~ ") {
            Some(regex) => Pattern::Regex(regex::bytes::Regex::new(regex).unwrap()),
            None => Pattern::Bytes(expect.as_bytes().to_vec()),
        };
        talk(&mut near, &Dialogue { send: Vec::new(), expect: Some(expect) }).await
    }

    #[tokio::test]
    async fn what_is_expected_may_stand_anywhere_within_the_bound() {
        assert_eq!(heard(b"220 mail ESMTP\r\n", "ESMTP").await, Ok(()));
        assert_eq!(heard(b"220 mail ESMTP\r\n", "~ ^2[0-9]{2} ").await, Ok(()));
        assert_eq!(heard(b"\xff\x00S", "~ (?-u)\\xff\\x00").await, Ok(()));
        assert_eq!(heard(b"550\r\n", "220").await, Err("`220` did not come, but `550\\r\\n`".to_owned()));
        let mut long = vec![b'x'; MOST_HEARD];
        long.extend_from_slice(b"220");
        let refused = heard(&long, "220").await.unwrap_err();
        assert_eq!(refused, format!("`220` did not come, but `{}…`", "x".repeat(64)));
    }
}
