"""Jackfield: one worker. Its balancer is always the round-robin plugin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Optional

from peers.peer import Peer
from service import Job, Service

XFF = '"x-forwarded-for"'
FIVE = [XFF] + [
    f'{{ plugin = "headers", settings = {{ request = {{ set = {{ x-bench-{n} = "value {n}" }} }} }} }}' for n in range(1, 5)
]


class Jackfield(Peer):
    """`filters` as TOML; `endpoints` in all (0: the three origins); `routes` beside the one that is used."""

    program = "jackfield"
    package = "cargo build --profile dist"
    # Set by the command line.
    binary: Optional[Path] = None

    def __init__(self, name: str, filters: Optional[list[str]] = None, endpoints: int = 0, routes: int = 0) -> None:
        super().__init__(name)
        self.filters = [XFF] if filters is None else filters
        self.endpoints = endpoints
        self.routes = routes

    def path(self) -> Optional[str]:
        return str(self.binary) if self.binary and self.binary.exists() else None

    def version(self) -> str:
        return self.ask("--version").split()[-1]

    def command(self, job: Job) -> list[str]:
        path = job.write("jackfield.toml", self.config(job))
        return [self.path() or self.program, "run", "-c", path]

    def config(self, job: Job) -> str:
        """The whole configuration file."""
        return "\n".join(
            [
                "workers = 1",
                f"cache = {json.dumps(str(cache(job)))}",
                "drain-timeout = \"1s\"",
                'log = { level = "warn", access = false }',
                f'admin = {{ address = "127.0.0.1:{job.spare_port}" }}',
                "[[listener]]",
                f'address = "127.0.0.1:{job.port}"',
                *self.listener(job),
                "[upstream.origins]",
                f"endpoints = {json.dumps(self.spread(job.endpoints))}",
                'balancer = "round-robin"',
                *(['protocol = "h2"'] if job.service.kind == "grpc" else []),
                "",
            ]
        )

    def listener(self, job: Job) -> list[str]:
        """Lines of the listener, after its address."""
        service = job.service
        if service.kind in ("tcp", "udp"):
            return [f'protocol = "{service.kind}"', 'upstream = "origins"']
        tls = f'tls = {{ certificates = [{{ cert = "{job.certificate}", key = "{job.key}" }}] }}'
        return [
            *([tls] if service.tls else []),
            'upstream = "origins"',
            f"filters = [{', '.join(self.filters)}]",
            *self.many_routes(),
        ]

    def many_routes(self) -> list[str]:
        """Half by host and path, half by path alone; the requests of the load match none of them."""
        routes = [
            f'  {{ host = "host-{n}.example.com", path = "/part/{n}/", upstream = "origins" }},'
            if n % 2
            else f'  {{ path = "/part/{n}/", upstream = "origins" }},'
            for n in range(self.routes)
        ]
        return ["routes = [", *routes, "]"] if routes else []

    def spread(self, endpoints: list[str]) -> list[str]:
        """As many endpoints as wanted: the same ports on more addresses of the loopback network."""
        ports = [endpoint.rpartition(":")[2] for endpoint in endpoints]
        more = [
            f"127.0.{1 + n // len(ports) // 250}.{1 + n // len(ports) % 250}:{ports[n % len(ports)]}"
            for n in range(self.endpoints)
        ]
        return more or endpoints


def cache(job: Job) -> Path:
    """One cache of compiled plugins for the whole run; nobody else may write there."""
    folder = job.folder.parent / "plugin-cache"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
