"""Memory with many idle client connections, each of which has made one request."""

from __future__ import annotations

import resource
import socket

import measure
from check import check
from contender import Contender
from origin import SMALL, Origins
from peers.peer import Peer
from place import Place
from service import Service

CONNECTIONS = 10_000
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
SERVICE = Service("http", clients=CONNECTIONS + 100)


def run(peers: list[Peer], effort, place: Place, origins: Origins, say) -> dict:
    """Bytes `before` and `after`, by peer; one at a time."""
    results = {}
    for peer in peers:
        why = peer.missing(SERVICE) or too_few_files()
        results[peer.name] = {"skipped": why} if why else one(peer, place, origins)
        say(f"  {peer.name}: {results[peer.name]}")
    return results


def too_few_files() -> str:
    """Why so many sockets are not possible here; empty: they are. Children inherit the limit that this sets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CONNECTIONS + 500:
        return f"only {hard} open files are allowed (ulimit -n)"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return ""


def one(peer: Peer, place: Place, origins: Origins) -> dict:
    """Of one proxy."""
    clients: list[socket.socket] = []
    try:
        contender = Contender(peer, SERVICE, place, origins).start()
    except RuntimeError as error:
        return {"skipped": f"does not work: {error}"}
    try:
        check(contender)
        before = measure.memory(contender.pid)
        for _ in range(CONNECTIONS):
            clients.append(ask(contender.port))
        return {"before": before, "after": measure.memory(contender.pid)}
    except (OSError, RuntimeError) as error:
        return {"skipped": f"after {len(clients)} connections: {error}"}
    finally:
        for client in clients:
            client.close()
        contender.stop()


def ask(port: int) -> socket.socket:
    """A connection on which one answer has come."""
    client = socket.create_connection(("127.0.0.1", port), 10)
    client.sendall(REQUEST)
    answer = b""
    while not answer.endswith(SMALL.encode()):
        part = client.recv(4096)
        if not part:
            raise RuntimeError(f"closed after {answer[:40]!r}")
        answer += part
    return client
