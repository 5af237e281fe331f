"""The picture: CPU time per request of all, by that of the best peer."""

from __future__ import annotations

from pathlib import Path

import results as store
from scenarios import PEERS, SCENARIOS

COLOURS = {
    "jackfield": "#d1495b",
    "nginx": "#8aa29e",
    "haproxy": "#6c7a89",
    "envoy": "#a9b7c6",
    "caddy": "#cfd8dc",
}
# A bar beyond it is cut off and says its value.
CEILING = 3.0


def draw(results: dict, path: Path) -> None:
    """Writes an SVG without a date in it, so that it changes only with the figures."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "jackfield"
    # Letters stay letters: smaller, and searchable.
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    shown = [one for one in SCENARIOS if store.best_peer(results["scenarios"].get(one.name, {}))]
    figure, axes = pyplot.subplots(figsize=(11, 1.2 + 0.75 * len(shown)))
    width = 0.8 / len(PEERS)
    for number, peer in enumerate(PEERS):
        for place, scenario in enumerate(shown):
            bar(axes, results["scenarios"][scenario.name], peer.name, place + (number - 2) * width, width)
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_yticks(range(len(shown)), [scenario.title for scenario in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, CEILING * 1.06)
    axes.set_xlabel("CPU time of the proxy per request; 1 = the best of the others; less is better")
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=COLOURS[peer.name]) for peer in PEERS]
    axes.legend(handles, [peer.name for peer in PEERS], loc="lower right")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def bar(axes, contenders: dict, name: str, place: float, width: float) -> None:
    """One contender in one scenario; nothing where it was not measured."""
    found, best = store.summary(contenders.get(name, {})), store.best_peer(contenders)
    if not found or not best:
        return
    ratio = found["cpu"] / best[1]
    low, high = found["least"] / best[1], found["most"] / best[1]
    axes.barh(place, min(ratio, CEILING), width, color=COLOURS[name])
    if ratio > CEILING:
        axes.text(CEILING * 1.005, place, f"{ratio:.1f}", va="center", fontsize=7)
    else:
        axes.plot([low, min(high, CEILING)], [place, place], color="black", linewidth=0.6)
        if name == "jackfield":
            axes.text(min(high, CEILING) + 0.02, place, f"{ratio:.2f}", va="center", fontsize=7, weight="bold")
