"""What a proxy is to do in a scenario: the same for every peer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Service:
    """One listener and one upstream.

    `kind` is "http", "grpc" (cleartext HTTP/2 on both sides), "tcp" or "udp".
    """

    kind: str = "http"
    tls: bool = False
    # Client connections that must be possible at a time.
    clients: int = 2048


@dataclass(frozen=True)
class Job:
    """A service with all that a configuration file has to name."""

    service: Service
    folder: Path
    # Where to listen, on 127.0.0.1.
    port: int
    # Origins, "127.0.0.1:9000".
    endpoints: list[str]
    certificate: Path
    key: Path
    # Certificate and key in one file.
    both: Path
    # For what a peer has beside its listener: statistics, metrics.
    spare_port: int = field(default=0)

    def write(self, name: str, text: str) -> str:
        """Writes a file into the folder; its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)
