"""Measures Jackfield beside nginx, HAProxy, Envoy and Caddy. See docs/performance.md; `run` calls it."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import plot
import report
import results as store
import rounds
import starting
from origin import Origins
from others import OTHERS
from peers.jackfield import Jackfield
from place import Place
from program import find
from scenarios import PEERS, SCENARIOS, VARIANTS

HERE = Path(__file__).resolve().parent
# Without these there is no origin and no certificate; what else is missing is shown in the tables.
NEEDED = {"nginx": "Debian: nginx", "openssl": "Debian: openssl"}
DOCS = HERE.parents[1] / "docs"


def main() -> None:
    """The command line."""
    options = parse()
    Jackfield.binary = options.jackfield.resolve() if options.jackfield else None
    results = store.load(options.results)
    needed = [f"{tool} ({package})" for tool, package in NEEDED.items() if not find(tool)]
    if needed and not options.report:
        raise SystemExit(f"not installed: {', '.join(needed)}")
    if not options.report:
        results["machine"] = {**store.machine(), "pinned": options.pin}
        results["versions"].update({peer.name: peer.version() for peer in PEERS if peer.path()})
        with tempfile.TemporaryDirectory(prefix="jackfield-bench-") as folder:
            Path(folder).chmod(0o755)
            measure_all(options, Place(Path(folder), options.pin), results)
    print("\n" + report.markdown(results))
    if options.write_docs:
        report.write_docs(results, DOCS / "performance.md")
        plot.draw(results, DOCS / "performance.svg")


def measure_all(options: argparse.Namespace, place: Place, results: dict) -> None:
    """Each scenario's results are kept as soon as they are there."""
    effort = rounds.Effort(options.rounds, options.seconds, min(options.seconds, 1))
    origins = Origins(place)
    time.sleep(0.3)
    try:
        warm_cache(place, origins)
        for scenario in SCENARIOS:
            if options.only and scenario.name not in options.only:
                continue
            print(f"== {scenario.name}", flush=True)
            peers = [peer for peer in scenario.peers() if not options.peers or peer.name in options.peers]
            results["scenarios"][scenario.name] = rounds.run(scenario, peers, effort, place, origins, say)
            store.save(options.results, results)
        for other in OTHERS:
            if options.only and other.name not in options.only:
                continue
            print(f"== {other.name}", flush=True)
            peers = [peer for peer in PEERS if not options.peers or peer.name in options.peers]
            results["others"][other.name] = other.run(peers, effort, place, origins, say)
            store.save(options.results, results)
    finally:
        origins.stop()


def warm_cache(place: Place, origins: Origins) -> None:
    """Has Jackfield compile its plugins once, so that no memory that is measured holds the compiler's."""
    if Jackfield.binary:
        starting.several(Jackfield("jackfield"), 0, place, origins, cold=False)


def say(line: str) -> None:
    """Progress, at once."""
    print(line, flush=True)


def parse() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    names = [one.name for one in [*SCENARIOS, *OTHERS]]
    everyone = [peer.name for peer in PEERS + VARIANTS]
    parser.add_argument("--only", type=list_of(names), metavar="NAME,…", help="of " + ", ".join(names))
    parser.add_argument("--peers", type=list_of(everyone), metavar="NAME,…", help=", ".join(everyone))
    parser.add_argument("--quick", action="store_true", help="2 rounds of 1 s; for a first look")
    parser.add_argument("--rounds", type=int, help="of each contender (default 5)")
    parser.add_argument("--seconds", type=float, help="that a round takes (default 2)")
    parser.add_argument("--pin", action=argparse.BooleanOptionalAction, default=False, help="proxy on CPU 0, the rest on others")
    parser.add_argument("--jackfield", type=Path, metavar="FILE", help="the program to measure (default: build it)")
    parser.add_argument("--results", type=Path, default=HERE / "results/results.json", metavar="FILE", help="merged into")
    parser.add_argument("--report", action="store_true", help="measure nothing, report what is in the results")
    parser.add_argument("--write-docs", action="store_true", help="put tables and picture into docs/performance.*")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.seconds = options.seconds or (1 if options.quick else 2)
    return options


def list_of(known: list[str]):
    """An argument type: names with commas between them."""

    def names(text: str) -> list[str]:
        wrong = [name for name in text.split(",") if name not in known]
        if wrong:
            raise argparse.ArgumentTypeError(f"{', '.join(wrong)}: not one of {', '.join(known)}")
        return text.split(",")

    return names


if __name__ == "__main__":
    main()
