use http::Request;

use super::*;

fn parse(head: &str, for_head: bool) -> Result<Head, Error> {
    Head::parse(&Bytes::copy_from_slice(head.as_bytes()), for_head)
}

#[track_caller]
fn check(head: &str, framing: Framing, keep_alive: bool) {
    let head = parse(head, false).unwrap();
    assert_eq!((head.framing, head.keep_alive), (framing, keep_alive));
}

#[test]
fn the_length_of_a_body_follows_rfc_9112() {
    let ok = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
    check(&ok("content-length: 5\r\n"), Framing::Length(5), true);
    check(&ok("content-length: 5\r\ncontent-length: 5\r\n"), Framing::Length(5), true);
    check(&ok("transfer-encoding: chunked\r\n"), Framing::Chunked, true);
    check(&ok("content-length: 5\r\ntransfer-encoding: Chunked\r\n"), Framing::Chunked, false);
    check(&ok(""), Framing::UntilClose, false);
    check("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", Framing::Length(0), true);
    check("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", Framing::Length(0), true);
    assert_eq!(parse(&ok("content-length: 5\r\n"), true).unwrap().framing, Framing::Length(0));
}

#[test]
fn a_connection_is_kept_unless_somebody_says_close() {
    let length = "content-length: 5\r\n";
    check(&format!("HTTP/1.1 200 OK\r\n{length}connection: Keep-Alive, Close\r\n\r\n"), Framing::Length(5), false);
    check(&format!("HTTP/1.0 200 OK\r\n{length}\r\n"), Framing::Length(5), false);
    check(&format!("HTTP/1.0 200 OK\r\n{length}connection: keep-alive\r\n\r\n"), Framing::Length(5), true);
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let many = "x: 1\r\n".repeat(MAX_HEADERS + 1);
    for lines in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 5\r\n",
        "content-length: +5\r\n",
        "content-length: 99999999999999999999\r\n",
        "content-length: \r\n",
        "content-length : 5\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "x: 1\r\n folded\r\n",
        "x y: 1\r\n",
        "x: a\0b\r\n",
        many.as_str(),
    ] {
        let result = parse(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n"), false);
        assert!(matches!(result, Err(Error::Malformed(_))), "{lines:?}: {result:?}");
    }
    for head in [
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "nonsense\r\n\r\n",
        "\r\n\r\n",
    ] {
        assert!(matches!(parse(head, false), Err(Error::Malformed(_))), "{head:?}");
    }
}

#[test]
fn a_head_is_taken_when_its_end_has_come_however_it_comes() {
    let text = b"HTTP/1.1 200 OK\r\nserver: x\r\ncontent-length: 2\r\n\r\nok";
    for piece in 1..text.len() {
        let (mut input, mut seen, mut head) = (BytesMut::new(), 0, None);
        for bytes in text.chunks(piece) {
            input.extend_from_slice(bytes);
            head = head.or_else(|| take_head(&mut input, &mut seen, false).unwrap());
        }
        assert_eq!(head.unwrap().framing, Framing::Length(2));
        assert_eq!(&input[..], b"ok");
    }
    let mut endless = BytesMut::from(&vec![b'a'; MAX_HEAD][..]);
    assert!(matches!(take_head(&mut endless, &mut 0, false), Err(Error::HeadTooLong)));
}

#[test]
fn a_request_is_written_with_one_host_and_one_length() {
    let written = |request: Request<()>, framing| {
        let (parts, ()) = request.into_parts();
        let mut output = BytesMut::new();
        Outgoing { parts: &parts, host: "10.0.0.1:80", upgrade: None }.write(&mut output, framing);
        String::from_utf8(output.to_vec()).unwrap()
    };
    let get = Request::get("/a?b").header("x", "1").body(()).unwrap();
    assert_eq!(written(get, Framing::Length(0)), "GET /a?b HTTP/1.1\r\nx: 1\r\nhost: 10.0.0.1:80\r\n\r\n");
    let post = Request::post("/").header("host", "h").body(()).unwrap();
    assert_eq!(written(post, Framing::Length(0)), "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n");
    let put = Request::put("/").header("host", "h").header("content-length", "7").body(()).unwrap();
    assert_eq!(written(put, Framing::Length(3)), "PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\n");
    let put = Request::put("/").header("host", "h").header("content-length", "7").body(()).unwrap();
    assert_eq!(written(put, Framing::Chunked), "PUT / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n");
}
