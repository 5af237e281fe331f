"""nginx: one worker process."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from peers.peer import Peer, lines
from service import Job, Service

STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")

MAIN = """
{module}
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections {connections}; }}
"""

# A keep-alive upstream connection per client and some more; answers are not spooled to disk.
HTTP = """
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    # 1.22 would stay at TLS 1.2 by itself; the others take 1.3.
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_tickets off;
    ssl_session_cache off;
    upstream origins {{
        {servers}
        keepalive 128;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} {listen};
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location / {{
            {action}
        }}
    }}
}}
"""

PROXY_PASS = """proxy_pass http://origins;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_max_temp_file_size 0;"""

GRPC_PASS = """grpc_pass grpc://origins;
            grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"""

STREAMING = """
stream {{
    upstream origins {{
        {servers}
    }}
    server {{
        listen 127.0.0.1:{port} {listen};
        proxy_pass origins;
    }}
}}
"""


class Nginx(Peer):
    program = "nginx"
    package = "Debian: nginx"

    def missing(self, service: Service) -> Optional[str]:
        if service.kind in ("tcp", "udp") and not STREAM.exists():
            return "nginx has no stream module (Debian: libnginx-mod-stream)"
        return super().missing(service)

    def version(self) -> str:
        return self.ask("-v").replace("nginx version: nginx/", "")

    def command(self, job: Job) -> list[str]:
        service = job.service
        streaming = service.kind in ("tcp", "udp")
        text = (MAIN + (STREAMING if streaming else HTTP)).format(
            module=f"load_module {STREAM};" if streaming else "",
            folder=job.folder,
            connections=service.clients + 2048,
            servers=lines([f"server {endpoint};" for endpoint in job.endpoints], 8),
            port=job.port,
            listen=listen(service),
            certificate=job.certificate,
            key=job.key,
            action=GRPC_PASS if service.kind == "grpc" else PROXY_PASS,
        )
        return [self.path() or self.program, "-c", job.write("nginx.conf", text)]


def listen(service: Service) -> str:
    """The options of `listen`."""
    if service.kind == "udp":
        return "udp"
    backlog = "backlog=4096"
    if service.tls:
        return f"ssl http2 {backlog}"
    return f"http2 {backlog}" if service.kind == "grpc" else backlog
