"""Endpoints take turns, at first those with a label: `{"prefer": "LABEL"}`."""

import json
from itertools import count

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import endpoints

NONE = 0xFFFF_FFFF
prefer, preferred, others = None, [], []
turns = count()


def in_turn(group):
    eligible = [endpoint for endpoint in group if endpoints.eligible(endpoint)]
    return eligible[next(turns) % len(eligible)] if eligible else NONE


class Balancing(exports.Balancing):
    def configure(self, settings):
        global prefer
        settings = json.loads(settings)
        prefer = settings.pop("prefer", None)
        if settings or not isinstance(prefer, str | None):
            raise Err('{{name}} has one setting: {"prefer": "LABEL"}')

    def update(self, endpoints):
        global preferred, others
        preferred, others = [], []
        for position, labels in enumerate(endpoints.labels):
            (preferred if any(label == prefer for label, _ in labels) else others).append(position)

    def pick(self, context):
        chosen = in_turn(preferred)
        return in_turn(others) if chosen == NONE else chosen
