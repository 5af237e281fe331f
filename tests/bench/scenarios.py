"""What is measured: who competes, at what, under which load."""

from __future__ import annotations

from dataclasses import dataclass

from load import Load
from origin import GRPC_FRAME, SIZES
from peers.caddy import Caddy
from peers.envoy import Envoy
from peers.haproxy import HaProxy
from peers.jackfield import FIVE, Jackfield
from peers.nginx import Nginx
from peers.peer import Peer
from service import Service

PEERS: list[Peer] = [Jackfield("jackfield"), Nginx("nginx"), HaProxy("haproxy"), Envoy("envoy"), Caddy("caddy")]
# What Jackfield's plugins and sizes cost, and what Envoy's filters do.
VARIANTS: list[Peer] = [
    Jackfield("jackfield-no-filter", filters=[]),
    Jackfield("jackfield-5-filters", filters=FIVE),
    Jackfield("jackfield-1000-endpoints", endpoints=1000),
    Jackfield("jackfield-10000-routes", routes=10_000),
    Envoy("envoy-lua", filter="lua"),
    Envoy("envoy-wasm", filter="wasm"),
]


@dataclass(frozen=True)
class Scenario:
    """Every contender serves `service` under `load`; `title` is what a table says."""

    name: str
    title: str
    service: Service
    load: Load
    variants: bool = False

    def peers(self) -> list[Peer]:
        """Who competes; those that cannot are shown as skipped."""
        return PEERS + (VARIANTS if self.variants else [])


HTTP, TLS, TCP = Service("http"), Service("http", tls=True), Service("tcp")
GRPC_LOAD = Load(
    tool="h2load",
    path="/bench.Echo/Say",
    connections=16,
    streams=4,
    post=GRPC_FRAME,
    headers=("content-type: application/grpc", "te: trailers"),
)

SCENARIOS = [
    Scenario("http1-small", "HTTP/1.1, 129 bytes", HTTP, Load(), variants=True),
    Scenario("http1-one-connection", "HTTP/1.1, 129 bytes, one connection", HTTP, Load(connections=1)),
    Scenario("http1-64k", "HTTP/1.1, 64 KiB", HTTP, Load(path="/64k", body=SIZES["64k"])),
    Scenario("http1-10m", "HTTP/1.1, 10 MiB", HTTP, Load(path="/10m", body=SIZES["10m"])),
    Scenario("http1-new", "HTTP/1.1, new connection each", HTTP, Load(close=True)),
    Scenario("tls-small", "HTTP/1.1 over TLS, 129 bytes", TLS, Load(scheme="https")),
    Scenario("tls-new", "TLS, new connection each", TLS, Load(tool="tls-new", connections=16)),
    Scenario(
        "http2-small",
        "HTTP/2 over TLS, 129 bytes",
        TLS,
        Load(tool="h2load", scheme="https", connections=16, streams=4),
    ),
    Scenario("grpc", "gRPC", Service("grpc"), GRPC_LOAD),
    Scenario("l4-small", "TCP, 129 bytes", TCP, Load()),
    Scenario("l4-10m", "TCP, 10 MiB", TCP, Load(path="/10m", body=SIZES["10m"])),
    Scenario("l4-new", "TCP, new connection each", TCP, Load(close=True)),
    Scenario("udp", "UDP, echo of 64 bytes", Service("udp"), Load(tool="udp")),
]
