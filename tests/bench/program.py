"""A program that runs beside us until it is stopped."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Optional


class Program:
    """Starts at once; its output goes to a file in its folder."""

    def __init__(self, command: list[str], folder: Path, cpus: Optional[set[int]], env: Optional[dict] = None) -> None:
        self.log = folder / "output.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(env or {})},
                preexec_fn=confine(cpus),
            )

    @property
    def pid(self) -> int:
        """Of the process that was started; it may have children."""
        return self.process.pid

    def check_alive(self) -> None:
        """Raises with the end of the output when the program has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(f"ended with {self.process.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        """The last lines of its output."""
        return " / ".join(self.log.read_text(errors="replace").splitlines()[-4:])

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after five seconds."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def confine(cpus: Optional[set[int]]):
    """What a child does before it becomes the program: stay on these CPUs."""
    return (lambda: os.sched_setaffinity(0, cpus)) if cpus else None


def find(tool: str) -> Optional[str]:
    """Path of a tool. Debian keeps servers where a user's PATH does not look."""
    return shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
