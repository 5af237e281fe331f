"""The goals, and whether the results meet them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import results as store

MIB = 2**20


@dataclass(frozen=True)
class Verdict:
    """A goal and what was measured; `value` and `limit` in the same unit. `value` is `None`: not measured."""

    goal: str
    value: Optional[float]
    limit: float
    detail: str = ""

    @property
    def met(self) -> Optional[bool]:
        """`None`: not measured."""
        return None if self.value is None else self.value <= self.limit


def verdicts(results: dict) -> list[Verdict]:
    """All goals, in the order of the table."""
    best = [
        ("http1-small", "HTTP/1.1, small", 0.95, "nginx"),
        ("tls-small", "TLS, small", 0.95, ""),
        ("http2-small", "HTTP/2, small", 0.95, "haproxy"),
        ("http1-64k", "64 KiB", 0.8, ""),
        ("http1-10m", "10 MiB", 0.8, ""),
        ("http1-new", "new connection each", 1.0, ""),
        ("tls-new", "new TLS connection each", 1.0, ""),
        ("l4-small", "TCP, small", 1.0, ""),
        ("l4-10m", "TCP, 10 MiB", 0.8, ""),
        ("l4-new", "TCP, new connection each", 1.0, ""),
    ]
    return [
        *(compared(results, *goal) for goal in best),
        latency(results),
        plugins(results),
        idle(results),
        grown(results, "1,000 endpoints as cheap as 3", "jackfield-1000-endpoints"),
        grown(results, "10,000 routes as cheap as one", "jackfield-10000-routes"),
    ]


def compared(results: dict, scenario: str, title: str, limit: float, rival: str) -> Verdict:
    """CPU time per request by that of a rival; without a name, of the best."""
    contenders = results["scenarios"].get(scenario, {})
    ours = store.summary(contenders.get("jackfield", {}))
    theirs = store.summary(contenders.get(rival, {})) if rival else None
    name, cpu = (rival, theirs["cpu"]) if theirs else (None if rival else store.best_peer(contenders)) or ("", None)
    goal = f"{title}: CPU per request of {rival or 'the best peer'}, at most × {limit}"
    if not ours or not cpu:
        return Verdict(goal, None, limit)
    return Verdict(goal, ours["cpu"] / cpu, limit, f"{ours['cpu']:,.1f} µs, {name} {cpu:,.1f} µs")


def latency(results: dict) -> Verdict:
    """p99 at the fixed rate."""
    contenders = results["others"].get("half-load", {})
    ours, best = store.summary(contenders.get("jackfield", {})), store.best_peer(contenders, "p99")
    goal = "p99 at half load, of the best peer, at most × 1.0"
    if not ours or not best:
        return Verdict(goal, None, 1.0)
    return Verdict(goal, ours["p99"] / best[1], 1.0, f"{ours['p99']:,.0f} µs, {best[0]} {best[1]:,.0f} µs")


def plugins(results: dict) -> Verdict:
    """What Jackfield's clock says of both plugins: an upstream without a balancer does not exist to compare with."""
    contenders = results["scenarios"].get("http1-small", {})
    goal = "balancer and X-Forwarded-For together, at most 1.0 µs per request"
    times = contenders.get("jackfield", {}).get("plugins", {})
    if not times:
        return Verdict(goal, None, 1.0)
    ours, without = (store.summary(contenders.get(name, {})) for name in ("jackfield", "jackfield-no-filter"))
    detail = ", ".join(f"{use.partition(' at ')[0]} {time:.2f} µs" for use, time in times.items())
    if ours and without:
        detail += f"; without the filter {ours['cpu'] - without['cpu']:.2f} µs less CPU"
    return Verdict(goal, sum(times.values()), 1.0, detail)


def idle(results: dict) -> Verdict:
    """In MiB; what the plugins take is what Jackfield has before the first connection more than nginx."""
    found = results["others"].get("idle-10000", {})
    goal = "memory of 10,000 idle connections, at most nginx's and the plugins', in MiB"
    ours, nginx = found.get("jackfield", {}), found.get("nginx", {})
    if "after" not in ours or "after" not in nginx:
        return Verdict(goal, None, 0)
    allowed = nginx["after"] + max(0, ours["before"] - nginx["before"])
    grown = f"grows by {(ours['after'] - ours['before']) / MIB:.1f} MiB, nginx by {(nginx['after'] - nginx['before']) / MIB:.1f} MiB"
    return Verdict(goal, ours["after"] / MIB, allowed / MIB, grown)


def grown(results: dict, title: str, variant: str) -> Verdict:
    """A larger configuration beside the usual one, of the same run."""
    contenders = results["scenarios"].get("http1-small", {})
    ours, larger = (store.summary(contenders.get(name, {})) for name in ("jackfield", variant))
    goal = f"{title}, at most × 1.05"
    if not ours or not larger:
        return Verdict(goal, None, 1.05)
    return Verdict(goal, larger["cpu"] / ours["cpu"], 1.05, f"{larger['cpu']:.1f} µs, else {ours['cpu']:.1f} µs")
