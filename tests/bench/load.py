"""The load generators: each runs for some seconds and says what came back."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from place import Place
from program import confine, find

HERE = Path(__file__).parent
PACKAGES = {"wrk": "Debian: wrk", "h2load": "Debian: nghttp2-client"}
# Of an answer of the origin, about; only counts where the body is large.
HEAD_BYTES = 200


@dataclass(frozen=True)
class Outcome:
    """`requests` answered well, in `seconds`; latencies in microseconds; `failed`: what went wrong, or empty."""

    requests: float
    seconds: float
    p50: float
    p99: float
    failed: str = ""


@dataclass(frozen=True)
class Load:
    """What is asked of a proxy. `tool` is "wrk", "h2load", or of our own: "tls-new", "udp"."""

    tool: str = "wrk"
    scheme: str = "http"
    path: str = "/"
    connections: int = 64
    # A new connection for each request.
    close: bool = False
    # HTTP/2: requests at a time on one connection.
    streams: int = 1
    # Bytes of the body where requests are so long that those unfinished at the end of a round count.
    body: Optional[int] = None
    # A body to post.
    post: bytes = b""
    headers: tuple[str, ...] = ()
    # HTTP/1.1 from h2load.
    http1: bool = False
    # Requests per second of each connection; 0: as many as it can.
    rate: int = 0

    def missing(self) -> Optional[str]:
        """Why it cannot run; `None`: it can."""
        if self.tool not in PACKAGES or find(self.tool):
            return None
        return f"{self.tool} is not installed ({PACKAGES[self.tool]})"

    def run(self, port: int, seconds: float, place: Place) -> Outcome:
        """Loads the proxy on that port for so long."""
        tools = {"wrk": self.wrk, "h2load": self.h2load, "tls-new": self.tls_new, "udp": self.udp}
        return tools[self.tool](port, seconds, place)

    def url(self, port: int) -> str:
        """Of the proxy."""
        return f"{self.scheme}://127.0.0.1:{port}{self.path}"

    def wrk(self, port: int, seconds: float, place: Place) -> Outcome:
        """wrk takes whole seconds only."""
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
        command += ["-s", str(HERE / "wrk.lua"), *(["-H", "Connection: close"] if self.close else []), self.url(port)]
        said = json.loads(output(command, place).rstrip().rpartition("\n")[2])
        requests = said["bytes"] / (self.body + HEAD_BYTES) if self.body else said["requests"]
        wrong = [f"{said[kind]} {kind}" for kind in ("connect", "read", "write", "timeout", "status") if said[kind]]
        return Outcome(requests, said["microseconds"] / 1e6, said["p50"], said["p99"], ", ".join(wrong))

    def h2load(self, port: int, seconds: float, place: Place) -> Outcome:
        """Latencies come from h2load's log of all requests."""
        log = place.folder / "h2load.log"
        log.unlink(missing_ok=True)
        command = ["h2load", "-t1", f"-c{self.connections}", f"-m{self.streams}", f"-D{seconds:g}"]
        command += [f"--log-file={log}"] + [argument for header in self.headers for argument in ("-H", header)]
        command += ["--h1"] if self.http1 else []
        command += [f"--rps={self.rate}"] if self.rate else []
        if self.post:
            (place.folder / "post").write_bytes(self.post)
            command += ["-d", str(place.folder / "post")]
        said = output(command + [self.url(port)], place)
        latencies = sorted(int(line.rpartition("\t")[2]) for line in log.read_text().splitlines())
        counts = {kind: int(count) for count, kind in re.findall(r"(\d+) (\w+)", line_of(said, "requests:"))}
        counts.update({kind: int(count) for count, kind in re.findall(r"(\d+) (\dxx)", line_of(said, "status codes:"))})
        wrong = [f"{counts[kind]} {kind}" for kind in ("failed", "errored", "timeout", "3xx", "4xx", "5xx") if counts[kind]]
        return Outcome(
            counts["2xx"], seconds, percentile(latencies, 0.5), percentile(latencies, 0.99), ", ".join(wrong)
        )

    def tls_new(self, port: int, seconds: float, place: Place) -> Outcome:
        """A full handshake for each request."""
        return self.own("tls_new.py", [str(port), str(seconds), str(self.connections)], place)

    def udp(self, port: int, seconds: float, place: Place) -> Outcome:
        """Each client has one datagram in flight."""
        return self.own("udp.py", ["load", str(port), str(seconds), str(self.connections), "64"], place)

    def own(self, script: str, arguments: list[str], place: Place) -> Outcome:
        """One of our own generators; whatever it counts beside what is usual is an error."""
        said = json.loads(output([sys.executable, str(HERE / script), *arguments], place))
        requests, microseconds, p50, p99 = (said.pop(key) for key in ("requests", "microseconds", "p50", "p99"))
        wrong = [f"{count} {kind}" for kind, count in said.items() if count]
        return Outcome(requests, microseconds / 1e6, p50, p99, ", ".join(wrong))


def output(command: list[str], place: Place) -> str:
    """What a program prints, when it ends well."""
    command = [find(command[0]) or command[0], *command[1:]]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=confine(place.other_cpus))
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout


def line_of(text: str, start: str) -> str:
    """The line that begins so."""
    return next((line for line in text.splitlines() if line.startswith(start)), "")


def percentile(ordered: list[int], part: float) -> float:
    """Of sorted values; 0 without any."""
    return float(ordered[int(part * (len(ordered) - 1))]) if ordered else 0.0
