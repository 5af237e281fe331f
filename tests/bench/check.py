"""Whether a contender really does what it is measured at: the right answer, with X-Forwarded-For at the origin."""

from __future__ import annotations

import http.client
import ssl
import subprocess
from typing import Optional

from contender import Contender
from origin import GRPC_FRAME, SIZES, SMALL
from program import find


def check(contender: Contender) -> None:
    """Raises with what is wrong."""
    kind = contender.service.kind
    if kind == "grpc":
        check_grpc(contender)
    elif kind in ("http", "tcp"):
        check_http(contender)


def check_http(contender: Contender) -> None:
    """Each of the answers that the loads ask for."""
    expect(get(contender, "/") == SMALL.encode(), "another small answer than the origin's")
    for name in ("64k", "10m"):
        expect(len(get(contender, f"/{name}")) == SIZES[name], f"/{name} has another length")
    if contender.service.kind == "http":
        forwarded = get(contender, "/forwarded", {"X-Forwarded-For": "192.0.2.1"}).decode()
        # Envoy writes its own address in place of a client's that is a loopback one, so any will do.
        without_filter = contender.peer.name == "jackfield-no-filter"
        expect((forwarded == "192.0.2.1") == without_filter, f"X-Forwarded-For arrives as {forwarded!r}")


def get(contender: Contender, path: str, headers: Optional[dict] = None) -> bytes:
    """The body of an answer with status 200."""
    if contender.service.tls:
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", contender.port, timeout=10, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", contender.port, timeout=10)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        body = answer.read()
        expect(answer.status == 200, f"{path} is answered with {answer.status}")
        return body
    finally:
        connection.close()


def check_grpc(contender: Contender) -> None:
    """The trailer must come through."""
    url = f"http://127.0.0.1:{contender.port}/bench.Echo/Say"
    frame = contender.job.folder / "frame"
    frame.write_bytes(GRPC_FRAME)
    command = [find("nghttp") or "nghttp", "-v", "--no-dep", "-d", str(frame)]
    command += ["-H", "te: trailers", "-H", "content-type: application/grpc", url]
    said = subprocess.run(command, capture_output=True, text=True, timeout=10).stdout
    for wanted in (":status: 200", "grpc-status: 0", "x-forwarded: "):
        expect(wanted in said, f"no {wanted!r} in the answer to a gRPC call")


def expect(true: bool, wrong: str) -> None:
    """An error unless it is so."""
    if not true:
        raise RuntimeError(wrong)
