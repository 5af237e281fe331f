"""The servers behind the proxies: one nginx with one worker, and for UDP a small echo in Python."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from place import Place, free_ports
from program import Program, find

SMALL = "The answer of the origin: with its newline this text has one hundred and twenty-nine bytes, as in the table of the goals to meet\n"
# A gRPC message without fields: not compressed, length 0 (PROTOCOL-HTTP2.md of gRPC).
GRPC_FRAME = bytes(5)
SIZES = {"small": len(SMALL), "64k": 64 * 1024, "10m": 10 * 1024 * 1024}

CONFIG = """
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    default_type text/plain;
    keepalive_requests 1000000000;
    keepalive_timeout 600;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    open_file_cache max=16 inactive=600s;
    open_file_cache_valid 600s;
    sendfile on;
    server {{
        {http}
        root {folder}/files;
        location = / {{ return 200 "{small}"; }}
        location = /forwarded {{ return 200 "$http_x_forwarded_for"; }}
    }}
    server {{
        {grpc}
        http2_max_concurrent_streams 1024;
        root {folder}/files;
        # Reading the request to its end before the answer is what `mirror` is for: an origin that does not ends the
        # stream with a RST_STREAM, and nginx as a proxy takes it for one of a foreign stream.
        location /bench.Echo/ {{
            mirror /nowhere;
            # A static file may not be posted to; the answer is turned into the file.
            error_page 405 =200 /frame;
        }}
        location = /nowhere {{ return 204; }}
        add_header x-forwarded $http_x_forwarded_for;
        add_trailer grpc-status 0;
        types {{ }}
        default_type application/grpc;
    }}
}}
"""


class Origins:
    """Three HTTP/1.1 ports on all addresses (so that 127.0.3.17 is one too), three of h2c, three of UDP."""

    def __init__(self, place: Place) -> None:
        ports = free_ports(6)
        self.http, self.grpc = ports[:3], ports[3:]
        self.udp = free_ports(3, socket.SOCK_DGRAM)
        folder = place.subfolder("origin")
        write_files(folder / "files")
        config = folder / "nginx.conf"
        config.write_text(
            CONFIG.format(
                folder=folder,
                small=SMALL.replace("\n", "\\n"),
                http="\n        ".join(f"listen {port} backlog=4096;" for port in self.http),
                grpc="\n        ".join(f"listen {port} http2;" for port in self.grpc),
            )
        )
        self.programs = [
            Program([find("nginx") or "nginx", "-c", str(config)], folder, place.other_cpus),
            Program(
                [sys.executable, str(Path(__file__).with_name("udp.py")), "echo", *map(str, self.udp)],
                place.subfolder("echo"),
                place.other_cpus,
            ),
        ]

    def stop(self) -> None:
        """Ends all of them."""
        for program in self.programs:
            program.stop()


def write_files(folder: Path) -> None:
    """The bodies that are too long for a configuration file, or have bytes of zero."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("64k", "10m"):
        (folder / name).write_bytes(b"0123456789abcde\n" * (SIZES[name] // 16))
    (folder / "frame").write_bytes(GRPC_FRAME)
    service = folder / "bench.Echo"
    service.mkdir(exist_ok=True)
    (service / "Say").touch()
    # nginx's worker is nobody when it was started by root.
    for parent in (folder.parents[1], folder.parents[0], folder, service):
        parent.chmod(0o755)
