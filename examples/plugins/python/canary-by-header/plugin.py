"""A request with the header `x-canary` goes to the endpoints that are labelled `canary`, every other
to the rest. Among them the wrapped balancer chooses (`then`), or without one they take turns."""

from itertools import count

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import delegate, endpoints, request

NONE = 0xFFFF_FFFF
canaries, others = [], []
turns = count()


def choose(group):
    chosen = delegate.pick_among(group)
    if chosen != NONE:
        return chosen
    eligible = [endpoint for endpoint in group if endpoints.eligible(endpoint)]
    return eligible[next(turns) % len(eligible)] if eligible else NONE


class Balancing(exports.Balancing):
    def configure(self, settings):
        if settings != "{}":
            raise Err("canary-by-header has no settings")

    def update(self, endpoints):
        global canaries, others
        canaries, others = [], []
        for position, labels in enumerate(endpoints.labels):
            (canaries if any(name == "canary" for name, _ in labels) else others).append(position)

    def pick(self, context):
        wanted, rest = (others, canaries) if request.header("x-canary") is None else (canaries, others)
        chosen = choose(wanted)
        return choose(rest) if chosen == NONE else chosen
