"""Requests over a new TLS connection each, with a full handshake. Run as a program of its own, so that it can be pinned.

wrk and h2load both resume the session of the connection before (nginx's `$ssl_session_reused` says so for 99.9 %
of wrk's), and whether a server lets them is a setting that not every peer has.

    tls_new.py PORT SECONDS CLIENTS           prints one line of JSON
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Load:
    """Clients that connect, ask once and are hung up on."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self.latencies: list[float] = []
        self.wrong: dict[str, int] = {}

    def run(self, seconds: float, clients: int) -> dict:
        """Asks for so long; latencies in microseconds, the handshake included."""
        began = time.perf_counter()
        threads = [threading.Thread(target=self.client, args=(began + seconds,)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - began
        ordered = sorted(self.latencies) or [0.0]
        return {
            "requests": len(self.latencies),
            "microseconds": took * 1e6,
            "p50": ordered[int(0.50 * (len(ordered) - 1))],
            "p99": ordered[int(0.99 * (len(ordered) - 1))],
            **self.wrong,
        }

    def client(self, end: float) -> None:
        """One request after the other; what goes wrong is counted by its name."""
        while (began := time.perf_counter()) < end:
            try:
                wrong = "" if self.ask().startswith(b"HTTP/1.1 200") else "status"
            except OSError as error:
                wrong = type(error).__name__
            if wrong:
                self.wrong[wrong] = self.wrong.get(wrong, 0) + 1
            else:
                self.latencies.append((time.perf_counter() - began) * 1e6)

    def ask(self) -> bytes:
        """A whole answer."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as tcp:
            # Otherwise the request waits for the acknowledgement of the handshake's end, 40 ms with some peers.
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.context.wrap_socket(tcp) as tls:
                tls.sendall(REQUEST)
                parts = []
                while part := tls.recv(4096):
                    parts.append(part)
                return b"".join(parts)


if __name__ == "__main__":
    port, seconds, clients = sys.argv[1:]
    print(json.dumps(Load(int(port)).run(float(seconds), int(clients))))
