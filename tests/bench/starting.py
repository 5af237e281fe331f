"""Milliseconds from exec until the first answered request, and from SIGHUP until the changed answer."""

from __future__ import annotations

import http.client
import shutil
import signal
import time

from contender import Contender
from origin import Origins
from peers.jackfield import Jackfield, cache
from peers.peer import Peer
from place import Place
from program import Program
from service import Service

SERVICE = Service("http")
# Seconds.
LIMIT = 30


def start(peers: list[Peer], effort, place: Place, origins: Origins, say) -> dict:
    """By peer; Jackfield also with no plugin compiled yet."""
    results: dict[str, dict] = {}
    for peer in peers:
        for name, cold in [(peer.name, False)] + ([(f"{peer.name}, cold cache", True)] if peer.name == "jackfield" else []):
            results[name] = several(peer, effort.rounds, place, origins, cold)
            say(f"  {name}: {results[name]}")
    return results


def several(peer: Peer, times: int, place: Place, origins: Origins, cold: bool) -> dict:
    """One start more than asked for, which is left out: it fills the page cache, and Jackfield's cache of plugins."""
    why = peer.missing(SERVICE)
    if why:
        return {"skipped": why}
    try:
        return {"milliseconds": [started(peer, place, origins, cold) for _ in range(times + 1)][1:]}
    except (OSError, RuntimeError) as error:
        return {"skipped": f"does not work: {error}"}


def started(peer: Peer, place: Place, origins: Origins, cold: bool) -> float:
    """Of one start."""
    contender = Contender(peer, SERVICE, place, origins)
    if cold:
        shutil.rmtree(cache(contender.job))
        cache(contender.job)
    began = time.perf_counter()
    contender.program = Program(contender.command, contender.job.folder, contender.cpus, peer.environment())
    try:
        until(lambda: answer(contender.port) is not None, contender.program)
        return (time.perf_counter() - began) * 1000
    finally:
        contender.stop()


def reload(peers: list[Peer], effort, place: Place, origins: Origins, say) -> dict:
    """Jackfield alone."""
    results: dict[str, dict] = {}
    for peer in peers:
        if not isinstance(peer, Jackfield) or peer.name != "jackfield":
            continue
        why = peer.missing(SERVICE)
        try:
            results[peer.name] = {"skipped": why} if why else {"milliseconds": reloaded(peer, effort.rounds, place, origins)}
        except (OSError, RuntimeError) as error:
            results[peer.name] = {"skipped": f"does not work: {error}"}
        say(f"  {peer.name}: {results[peer.name]}")
    return results


def reloaded(peer: Jackfield, times: int, place: Place, origins: Origins) -> list[float]:
    """Each time another answer of a route is put into the file."""
    contender = Contender(peer, SERVICE, place, origins).start()
    config = peer.config(contender.job)
    taken = []
    try:
        for number in range(times):
            route = f'routes = [{{ path = "/version", respond = {{ body = "{number}" }} }}]\n[upstream.origins]'
            contender.job.write("jackfield.toml", config.replace("[upstream.origins]", route))
            began = time.perf_counter()
            contender.program.process.send_signal(signal.SIGHUP)
            until(lambda: answer(contender.port, "/version") == str(number).encode(), contender.program)
            taken.append((time.perf_counter() - began) * 1000)
    finally:
        contender.stop()
    return taken


def until(true, program: Program) -> None:
    """Asks every millisecond."""
    deadline = time.monotonic() + LIMIT
    while not true():
        program.check_alive()
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {LIMIT} s")
        time.sleep(0.001)


def answer(port: int, path: str = "/"):
    """The body of an answer with status 200, or `None`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        got = connection.getresponse()
        return got.read() if got.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
