"""What Jackfield itself says about the time in its plugins."""

from __future__ import annotations

import re
import urllib.request

from contender import Contender

SERIES = re.compile(r'jackfield_plugin_(calls|seconds)_total\{plugin="([^"]+)",place="([^"]+)"\} (\S+)')


def plugin_times(contender: Contender) -> dict[str, float]:
    """Microseconds of one call, by plugin and place; wall time, so a preempted call counts in full."""
    with urllib.request.urlopen(f"http://127.0.0.1:{contender.job.spare_port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found: dict[str, dict[str, float]] = {}
    for what, plugin, place, value in SERIES.findall(text):
        found.setdefault(f"{plugin} at {place}", {})[what] = float(value)
    return {use: 1e6 * one["seconds"] / one["calls"] for use, one in found.items() if one.get("calls")}
