"""What is measured beside CPU time per request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

import half_load
import idle
import starting


@dataclass(frozen=True)
class Other:
    """`run(peers, effort, place, origins, say)` gives results by peer."""

    name: str
    title: str
    run: Callable


OTHERS = [
    Other("half-load", "Latency at one fixed rate", half_load.run),
    Other("idle-10000", "Memory with 10,000 idle client connections", idle.run),
    Other("start", "From exec to the first answer", starting.start),
    Other("reload", "From SIGHUP to the changed answer", starting.reload),
]
