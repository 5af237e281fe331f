"""Latency at the same fixed rate for all: half of what the slowest of the proxies without Caddy can do."""

from __future__ import annotations

import results as store
import rounds
from load import Load
from origin import Origins
from peers.peer import Peer
from place import Place
from scenarios import Scenario
from service import Service

CONNECTIONS = 64
HTTP = Service("http")
# Caddy is measured at the rate too, but does not set it.
PACE = ("jackfield", "nginx", "haproxy", "envoy")


def run(peers: list[Peer], effort: rounds.Effort, place: Place, origins: Origins, say) -> dict:
    """First one round each at full speed, then rounds as in a scenario."""
    full = Scenario("full-load", "", HTTP, Load(tool="h2load", http1=True, connections=CONNECTIONS))
    pace = [peer for peer in peers if peer.name in PACE]
    say("  at full load:")
    maxima = rounds.run(full, pace, rounds.Effort(2, effort.seconds, effort.warm_up), place, origins, say)
    rates = [found["rate"] for found in map(store.summary, maxima.values()) if found]
    if not rates:
        return {peer.name: {"skipped": "none of those that set the rate can run"} for peer in peers}
    rate = max(1, int(min(rates) / 2 / CONNECTIONS))
    say(f"  at {rate * CONNECTIONS}/s:")
    load = Load(tool="h2load", http1=True, connections=CONNECTIONS, rate=rate)
    found = rounds.run(Scenario("half-load", "", HTTP, load), peers, effort, place, origins, say)
    for contender in found.values():
        contender["asked"] = rate * CONNECTIONS
    return found
