//! The harness itself, and the shortest configuration.

use jackfield_tests::{Client, Origin, client};

use crate::start;

#[test]
fn a_request_goes_to_the_origin_and_back() {
    let origin = Origin::echo("a");
    let mut proxy = start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"api\"\n[upstream.api]\nendpoints = [\"{}\"]\n",
        origin.address()
    ));
    let mut client = Client::connect(proxy.address(0));
    let answer = client.get("/a?b=c");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json()["path"], "/a?b=c");
    assert_eq!(client.get("/again").json()["origin"], "a");
    assert_eq!(client::get(proxy.address(0), "/third").json()["headers"]["host"], "test.example");
    assert_eq!(proxy.access_of("/a?b=c")["status"], 200);
    assert!(proxy.stop().success());
}
