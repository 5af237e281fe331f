"""The results as Markdown."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Optional

import results as store
from others import OTHERS
from scenarios import SCENARIOS
from targets import verdicts

HEAD = ["", "CPU µs per request", "lowest–highest", "user", "system", "requests/s", "p50 µs", "p99 µs", "MiB", "ratio"]
MIB = 2**20
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def markdown(results: dict) -> str:
    """Everything."""
    parts = [about(results), "### Goals\n\n" + goals(results)]
    for scenario in SCENARIOS:
        if scenario.name in results["scenarios"]:
            parts.append(heading(scenario) + scenario_table(results["scenarios"][scenario.name]))
    for other in OTHERS:
        if other.name in results["others"]:
            parts.append(heading(other) + other_table(other.name, results["others"][other.name]))
    times = results["scenarios"].get("http1-small", {}).get("jackfield", {}).get("plugins")
    if times:
        rows = [[use, f"{time:.2f}"] for use, time in times.items()]
        parts.append("### Plugin calls by Jackfield's own clock\n\n" + table(["", "µs per call"], rows))
    return "\n\n".join(parts) + "\n"


def write_docs(results: dict, path: Path) -> None:
    """Replaces what stands between the two markers."""
    text = path.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or END not in rest:
        raise SystemExit(f"{path.name} has no {BEGIN} … {END}")
    path.write_text(f"{before}{BEGIN}\n{markdown(results)}{END}{after}")


def about(results: dict) -> str:
    """Versions and the machine."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    pinned = "the proxy on CPU 0, all else on the others" if machine.get("pinned") else "nothing pinned to a CPU"
    load = f"load of the machine when it began {machine.get('load', 0):.1f}"
    return f"{versions}.\n{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}; {pinned}; {load}."


def heading(one) -> str:
    """Of a scenario or another measurement."""
    return f"### {one.title} (`{one.name}`)\n\n"


def goals(results: dict) -> str:
    """Met or not, and by how much."""
    rows = []
    for verdict in verdicts(results):
        if verdict.met is None:
            rows.append([verdict.goal, "not measured", "", "", ""])
            continue
        off = 100 * (verdict.value / verdict.limit - 1)
        word = "met" if verdict.met else "**not met**"
        rows.append([verdict.goal, word, f"{verdict.value:.2f}", f"{off:+.0f} %", verdict.detail])
    return table(["goal", "", "measured", "off the limit", ""], rows)


def scenario_table(contenders: dict) -> str:
    """One line for each contender, those that were skipped included."""
    best = store.best_peer(contenders)
    return table(HEAD, [row(name, contender, best[1] if best else None) for name, contender in contenders.items()])


def row(name: str, contender: dict, best: Optional[float]) -> list[str]:
    """Cells of one contender."""
    failed = [one["failed"] for one in contender.get("rounds", []) if one["failed"]]
    found = store.summary(contender)
    if not found:
        return [name, f"– ({contender.get('skipped') or 'all rounds invalid: ' + failed[0]})", *[""] * (len(HEAD) - 2)]
    return [
        name,
        number(found["cpu"]) + (f" ({len(failed)} rounds invalid: {failed[0]})" if failed else ""),
        f"{number(found['least'])}–{number(found['most'])}",
        number(found["user"]),
        number(found["system"]),
        f"{found['rate']:,.0f}",
        f"{found['p50']:,.0f}",
        f"{found['p99']:,.0f}",
        f"{found['memory'] / MIB:.1f}" if found["memory"] else "",
        f"{found['cpu'] / best:.2f}" if best else "",
    ]


def other_table(name: str, found: dict) -> str:
    """Of what has a shape of its own."""
    if name == "half-load":
        asked = next((one["asked"] for one in found.values() if "asked" in one), 0)
        return f"{asked:,} requests/s.\n\n" + scenario_table(found)
    if name == "idle-10000":
        rows = [[peer, *idle_cells(one)] for peer, one in found.items()]
        return table(["", "MiB before", "MiB with them", "bytes each"], rows)
    return table(["", "median ms", "lowest–highest"], [[peer, *time_cells(one)] for peer, one in found.items()])


def idle_cells(one: dict) -> list[str]:
    """Memory before and after."""
    if "skipped" in one:
        return [f"– ({one['skipped']})", "", ""]
    each = (one["after"] - one["before"]) / 10_000
    return [f"{one['before'] / MIB:.1f}", f"{one['after'] / MIB:.1f}", f"{each:,.0f}"]


def time_cells(one: dict) -> list[str]:
    """Milliseconds."""
    if "skipped" in one:
        return [f"– ({one['skipped']})", ""]
    times = one["milliseconds"]
    return [number(statistics.median(times)), f"{number(min(times))}–{number(max(times))}"]


def number(value: float) -> str:
    """Three significant digits or so."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; all but the first column to the right."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
