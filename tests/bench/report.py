"""The results as Markdown."""

from __future__ import annotations

from typing import Optional

import results as store
from scenarios import SCENARIOS

HEAD = ["", "CPU µs per request", "lowest–highest", "user", "system", "requests/s", "p50 µs", "p99 µs", "MiB", "ratio"]


def markdown(results: dict) -> str:
    """Everything."""
    parts = []
    for scenario in SCENARIOS:
        if scenario.name in results["scenarios"]:
            parts.append(scenario_table(scenario.name, scenario.title, results["scenarios"][scenario.name]))
    return "\n\n".join(parts) + "\n"


def scenario_table(name: str, title: str, contenders: dict) -> str:
    """One line for each contender, those that were skipped included."""
    best = store.best_peer(contenders)
    rows = [row(contender, found, best[1] if best else None) for contender, found in contenders.items()]
    return f"### {title} (`{name}`)\n\n" + table(HEAD, rows)


def row(name: str, contender: dict, best: Optional[float]) -> list[str]:
    """Cells of one contender."""
    found = store.summary(contender)
    if not found:
        why = contender.get("skipped") or "; ".join(sorted({one["failed"] for one in contender["rounds"]}))
        return [name, f"– ({why})", *[""] * (len(HEAD) - 2)]
    failed = [one["failed"] for one in contender["rounds"] if one["failed"]]
    return [
        name,
        number(found["cpu"]) + (f" ({len(failed)} rounds invalid: {failed[0]})" if failed else ""),
        f"{number(found['least'])}–{number(found['most'])}",
        number(found["user"]),
        number(found["system"]),
        f"{found['rate']:,.0f}",
        f"{found['p50']:,.0f}",
        f"{found['p99']:,.0f}",
        f"{found['memory'] / 2**20:.1f}" if found["memory"] else "",
        f"{found['cpu'] / best:.2f}" if best else "",
    ]


def number(value: float) -> str:
    """Three significant digits or so."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; all but the first column to the right."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
