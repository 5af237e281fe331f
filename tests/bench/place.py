"""Where a run takes place: its folder, its ports, its certificate, the CPUs of each side."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from typing import Optional


class Place:
    """A temporary folder with one certificate, and who runs on which CPU."""

    def __init__(self, folder: Path, pin: bool) -> None:
        self.folder = folder
        self.certificate = folder / "certificate.pem"
        self.key = folder / "key.pem"
        # HAProxy wants both in one file.
        self.both = folder / "both.pem"
        # `None`: wherever the kernel likes.
        self.proxy_cpus: Optional[set[int]] = {0} if pin else None
        self.other_cpus: Optional[set[int]] = set(range(1, os.cpu_count() or 1)) if pin else None
        self.make_certificate()

    def make_certificate(self) -> None:
        """A self-signed ECDSA P-256 certificate for localhost."""
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
            + ["-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
            + ["-keyout", str(self.key), "-out", str(self.certificate)],
            check=True,
            capture_output=True,
        )
        self.both.write_text(self.certificate.read_text() + self.key.read_text())
        # nginx reads it before it drops its privileges; the others run as whoever runs this.
        for secret in (self.key, self.both):
            secret.chmod(0o600)

    def subfolder(self, name: str) -> Path:
        """A folder of its own for one process."""
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path


def free_ports(count: int, kind: int = socket.SOCK_STREAM) -> list[int]:
    """Ports that nothing listens on, outside the range from which the kernel takes client ports.

    A port of that range could become the local end of some connection between this look and its use.
    """
    first_client_port = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports: list[int] = []
    while len(ports) < count:
        port = 10_000 + int.from_bytes(os.urandom(2), "big") % (first_client_port - 10_000)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports
