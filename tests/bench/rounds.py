"""One scenario: all contenders run side by side and are loaded in turn, round by round."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import measure
from check import check
from contender import Contender
from load import Outcome
from origin import Origins
from peers.jackfield import Jackfield
from peers.peer import Peer
from place import Place
from plugin_time import plugin_times
from scenarios import Scenario


@dataclass(frozen=True)
class Effort:
    """How long everything takes, in seconds."""

    rounds: int
    seconds: float
    warm_up: float


def run(scenario: Scenario, peers: list[Peer], effort: Effort, place: Place, origins: Origins, say) -> dict:
    """Results by contender: {"rounds": [...], "memory": bytes} or {"skipped": why}."""
    results: dict[str, dict] = {}
    contenders = []
    try:
        for peer in peers:
            missing = scenario.load.missing() or peer.missing(scenario.service)
            if missing:
                results[peer.name] = {"skipped": missing}
                say(f"  {peer.name}: skipped, {missing}")
                continue
            try:
                contenders.append(begin(peer, scenario, effort, place, origins))
                results[peer.name] = {"rounds": []}
            except (OSError, RuntimeError) as error:
                results[peer.name] = {"skipped": f"does not work: {error}"}
                say(f"  {peer.name}: does not work: {error}")
        for number in range(effort.rounds):
            for contender in contenders:
                one = one_round(contender, scenario, effort, place)
                results[contender.peer.name]["rounds"].append(one)
                say(f"  round {number + 1} {describe(contender.peer.name, one)}")
        for contender in contenders:
            results[contender.peer.name]["memory"] = measure.memory(contender.pid)
            if isinstance(contender.peer, Jackfield) and contender.program.process.poll() is None:
                results[contender.peer.name]["plugins"] = plugin_times(contender)
    finally:
        for contender in contenders:
            contender.stop()
    return results


def begin(peer: Peer, scenario: Scenario, effort: Effort, place: Place, origins: Origins) -> Contender:
    """Starts, checks and warms up."""
    contender = Contender(peer, scenario.service, place, origins).start()
    try:
        check(contender)
        scenario.load.run(contender.port, effort.warm_up, place)
    except BaseException:
        contender.stop()
        raise
    return contender


def one_round(contender: Contender, scenario: Scenario, effort: Effort, place: Place) -> dict:
    """Times per request in microseconds; `busy` is the part of one CPU that the proxy took."""
    before = measure.cpu(contender.pid)
    outcome = load_once(contender, scenario, effort, place)
    # The last connections are still being closed.
    time.sleep(0.05)
    spent = measure.cpu(contender.pid) - before
    if not outcome.requests:
        outcome = replace(outcome, requests=float("nan"), failed=outcome.failed or "no request was answered")
    if outcome.failed:
        outcome = replace(outcome, failed=f"{outcome.failed}; it says: {contender.program.last_words()[:300]!r}")
    return {
        "cpu": spent.total / outcome.requests,
        "user": spent.user / outcome.requests,
        "system": spent.system / outcome.requests,
        "rate": outcome.requests / outcome.seconds,
        "p50": outcome.p50,
        "p99": outcome.p99,
        "busy": spent.total / 1e6 / outcome.seconds,
        "failed": outcome.failed,
    }


def load_once(contender: Contender, scenario: Scenario, effort: Effort, place: Place) -> Outcome:
    """A generator that fails makes the round invalid; the others go on."""
    try:
        return scenario.load.run(contender.port, effort.seconds, place)
    except (OSError, RuntimeError, ValueError) as error:
        return Outcome(0, effort.seconds, 0, 0, f"the load generator failed: {error}")


def describe(name: str, one: dict) -> str:
    """One line for the terminal."""
    text = f"{name}: {one['cpu']:.2f} µs (user {one['user']:.1f}, system {one['system']:.1f})"
    text += f" {one['rate']:.0f}/s p99 {one['p99']:.0f} µs busy {one['busy']:.2f}"
    return text + (f" INVALID: {one['failed']}" if one["failed"] else "")
