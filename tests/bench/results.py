"""The results as a file of JSON, and their summaries."""

from __future__ import annotations

import json
import os
import platform
import statistics
from pathlib import Path
from typing import Optional

KEYS = ("cpu", "user", "system", "rate", "p50", "p99", "busy")


def load(path: Path) -> dict:
    """What earlier runs have left; empty at first."""
    if path.exists():
        return json.loads(path.read_text())
    return {"machine": {}, "versions": {}, "scenarios": {}, "others": {}}


def save(path: Path, results: dict) -> None:
    """Replaces the file at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(results, indent=1) + "\n")
    fresh.replace(path)


def machine() -> dict:
    """What the figures depend on."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": model[0].partition(":")[2].strip() if model else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "load": os.getloadavg()[0],
    }


def summary(contender: dict) -> Optional[dict]:
    """Medians and range of CPU of the valid rounds; `None` without any."""
    valid = [one for one in contender.get("rounds", []) if not one["failed"]]
    if not valid:
        return None
    medians = {key: statistics.median(one[key] for one in valid) for key in KEYS}
    cpus = [one["cpu"] for one in valid]
    return {**medians, "least": min(cpus), "most": max(cpus), "memory": contender.get("memory")}


def best_peer(scenario: dict, key: str = "cpu") -> Optional[tuple[str, float]]:
    """Who of the others is lowest in that key, and its median; Envoy's filters and Jackfield's variants do not count."""
    medians = []
    for name, contender in scenario.items():
        found = summary(contender)
        if found and "-" not in name and name != "jackfield":
            medians.append((found[key], name))
    return (min(medians)[1], min(medians)[0]) if medians else None
