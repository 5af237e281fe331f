"""What all peers have in common."""

from __future__ import annotations

import subprocess
from typing import Optional

from program import find
from service import Job, Service


class Peer:
    """A proxy in one configuration. `name` is what the tables call it."""

    # The program, and the Debian or PyPI package that brings it.
    program = ""
    package = ""

    def __init__(self, name: str) -> None:
        self.name = name

    def path(self) -> Optional[str]:
        """The program's file; `None`: not installed."""
        return find(self.program)

    def missing(self, service: Service) -> Optional[str]:
        """Why this peer cannot do it; `None`: it can."""
        return None if self.path() else f"{self.program} is not installed ({self.package})"

    def version(self) -> str:
        """One line."""
        return self.ask("--version")

    def command(self, job: Job) -> list[str]:
        """Writes the configuration; the command that serves it."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Variables that the program needs."""
        return {}

    def ask(self, *arguments: str) -> str:
        """The first line that the program prints with these arguments."""
        done = subprocess.run([self.path() or self.program, *arguments], capture_output=True, text=True)
        lines = (done.stdout + done.stderr).strip().splitlines()
        return lines[0].strip() if lines else "unknown"


def lines(items: list[str], indent: int) -> str:
    """Items one below the other."""
    return ("\n" + " " * indent).join(items)
