"""A peer that runs: started, checked, measured, stopped."""

from __future__ import annotations

import socket
import time

from origin import Origins
from peers.peer import Peer
from place import Place, free_ports
from program import Program
from service import Job, Service

# Seconds that a proxy may take until it listens; Jackfield compiles its plugins when it first runs.
START_LIMIT = 30


class Contender:
    """One proxy process with one configuration."""

    def __init__(self, peer: Peer, service: Service, place: Place, origins: Origins) -> None:
        self.peer = peer
        self.service = service
        self.cpus = place.proxy_cpus
        ports = {"grpc": origins.grpc, "udp": origins.udp}.get(service.kind, origins.http)
        kind = socket.SOCK_DGRAM if service.kind == "udp" else socket.SOCK_STREAM
        self.port = free_ports(1, kind)[0]
        self.job = Job(
            service=service,
            folder=place.subfolder(peer.name),
            port=self.port,
            endpoints=[f"127.0.0.1:{port}" for port in ports],
            certificate=place.certificate,
            key=place.key,
            both=place.both,
            spare_port=free_ports(1)[0],
        )
        self.command = peer.command(self.job)

    def start(self) -> Contender:
        """Starts it and waits until it listens."""
        self.program = Program(self.command, self.job.folder, self.cpus, self.peer.environment())
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def wait(self) -> None:
        """Until it accepts connections; for UDP, until an echo comes back."""
        ready = echoes if self.service.kind == "udp" else accepts
        deadline = time.monotonic() + START_LIMIT
        while not ready(self.port):
            self.program.check_alive()
            if time.monotonic() > deadline:
                raise RuntimeError(f"does not listen after {START_LIMIT} s: {self.program.last_words()}")

    @property
    def pid(self) -> int:
        """Of the program that was started."""
        return self.program.pid

    def stop(self) -> None:
        """Ends it."""
        self.program.stop()


def accepts(port: int) -> bool:
    """Whether a connection can be made; takes at least 2 ms when not."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        time.sleep(0.002)
        return False


def echoes(port: int) -> bool:
    """Whether a datagram comes back within 50 ms."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(0.05)
        try:
            udp.connect(("127.0.0.1", port))
            udp.send(b"?")
            return udp.recv(16) == b"?"
        except OSError:
            time.sleep(0.01)
            return False
