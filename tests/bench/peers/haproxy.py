"""HAProxy: one process, one thread."""

from __future__ import annotations

from typing import Optional

from peers.peer import Peer, lines
from service import Job, Service

CONFIG = """
global
    nbthread 1
    maxconn {connections}
    # Starts even where not both sides of so many connections may be open; the servers' sides are few.
    no strict-limits
    tune.ssl.cachesize 0
    ssl-default-bind-options no-tls-tickets
defaults
    mode {mode}
    balance roundrobin
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    {options}
frontend clients
    bind 127.0.0.1:{port} backlog 4096 {bind}
    default_backend origins
backend origins
    {servers}
"""

HTTP_OPTIONS = ["option forwardfor", "http-reuse always"]


class HaProxy(Peer):
    program = "haproxy"
    package = "Debian: haproxy"

    def missing(self, service: Service) -> Optional[str]:
        return "does not proxy UDP" if service.kind == "udp" else super().missing(service)

    def version(self) -> str:
        return self.ask("-v").replace("HAProxy version ", "").split()[0]

    def command(self, job: Job) -> list[str]:
        service = job.service
        to_origin = "proto h2" if service.kind == "grpc" else ""
        text = CONFIG.format(
            connections=service.clients,
            mode="tcp" if service.kind == "tcp" else "http",
            options=lines([] if service.kind == "tcp" else HTTP_OPTIONS, 4),
            port=job.port,
            bind=bind(job),
            servers=lines([f"server s{n} {endpoint} {to_origin}" for n, endpoint in enumerate(job.endpoints)], 4),
        )
        return [self.path() or self.program, "-db", "-f", job.write("haproxy.cfg", text)]


def bind(job: Job) -> str:
    """The options of `bind`."""
    if job.service.tls:
        return f"ssl crt {job.both} alpn h2,http/1.1"
    return "proto h2" if job.service.kind == "grpc" else ""
