"""UDP: an echo server, and a client that measures. Run as a program of its own, so that it can be pinned.

    udp.py echo PORT...                       echoes
    udp.py load PORT SECONDS CLIENTS BYTES    prints one line of JSON
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

# Seconds after which a datagram counts as lost.
LOST = 0.5


def bound(port: int) -> socket.socket:
    """A UDP socket on a port of the loopback address; 0: any."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    udp.setblocking(False)
    udp.bind(("127.0.0.1", port))
    return udp


def echo(ports: list[int]) -> None:
    """Sends every datagram back, for ever."""
    poll = select.epoll()
    sockets = {}
    for port in ports:
        udp = bound(port)
        sockets[udp.fileno()] = udp
        poll.register(udp, select.EPOLLIN)
    while True:
        for number, _ in poll.poll():
            udp = sockets[number]
            try:
                while True:
                    udp.sendto(*udp.recvfrom(2048))
            except BlockingIOError:
                pass


class Load:
    """Clients that each have one datagram in flight."""

    def __init__(self, port: int, clients: int, size: int) -> None:
        self.payload = b"x" * size
        self.poll = select.epoll()
        self.clients = {}
        # When each client sent last, in seconds.
        self.sent: dict[int, float] = {}
        self.latencies: list[float] = []
        self.lost = self.wrong = 0
        for _ in range(clients):
            udp = bound(0)
            udp.connect(("127.0.0.1", port))
            self.clients[udp.fileno()] = udp
            self.poll.register(udp, select.EPOLLIN)

    def run(self, seconds: float) -> dict:
        """Sends for so long; latencies in microseconds."""
        began = looked = time.perf_counter()
        for client in self.clients:
            self.send(client)
        while (now := time.perf_counter()) - began < seconds:
            for client, _ in self.poll.poll(0.05):
                self.receive(client)
            if now - looked > LOST / 2:
                self.send_again(now)
                looked = now
        self.latencies.sort()
        return {
            "requests": len(self.latencies),
            "microseconds": (time.perf_counter() - began) * 1e6,
            "p50": self.percentile(0.50),
            "p99": self.percentile(0.99),
            "lost": self.lost,
            "wrong": self.wrong,
        }

    def send(self, client: int) -> None:
        """One datagram."""
        self.sent[client] = time.perf_counter()
        try:
            self.clients[client].send(self.payload)
        except ConnectionRefusedError:
            self.wrong += 1

    def receive(self, client: int) -> None:
        """An echo, and the next datagram."""
        try:
            echoed = self.clients[client].recv(2048)
        except (BlockingIOError, ConnectionRefusedError):
            return
        if echoed == self.payload:
            self.latencies.append((time.perf_counter() - self.sent[client]) * 1e6)
        else:
            self.wrong += 1
        self.send(client)

    def send_again(self, now: float) -> None:
        """Where an echo has not come in time."""
        for client, sent in self.sent.items():
            if now - sent > LOST:
                self.lost += 1
                self.send(client)

    def percentile(self, part: float) -> float:
        """In microseconds, of sorted latencies; 0 without any."""
        return self.latencies[int(part * (len(self.latencies) - 1))] if self.latencies else 0.0


if __name__ == "__main__":
    if sys.argv[1] == "echo":
        echo([int(port) for port in sys.argv[2:]])
    else:
        port, seconds, clients, size = sys.argv[2:]
        print(json.dumps(Load(int(port), int(clients), int(size)).run(float(seconds))))
