"""What Linux says about processes: CPU time and memory. Reads /proc only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cpu:
    """CPU time in microseconds: the total to the nanosecond, user and system only to the clock tick (10 ms)."""

    total: float
    user: float
    system: float

    def __sub__(self, earlier: Cpu) -> Cpu:
        return Cpu(self.total - earlier.total, self.user - earlier.user, self.system - earlier.system)


def family(pid: int) -> list[int]:
    """The process and all its descendants: nginx has its worker as a child."""
    pids = [pid]
    for parent in pids:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            pids += map(int, read(children).split())
    return pids


def cpu(pid: int) -> Cpu:
    """CPU time that all threads of a process and of its descendants have taken so far.

    The time of a thread that has ended is lost; no proxy here ends threads while it serves.
    """
    total = user = system = 0.0
    for member in family(pid):
        for schedstat in Path(f"/proc/{member}/task").glob("*/schedstat"):
            total += int((read(schedstat).split() or ["0"])[0]) / 1000
        # After the name in parentheses: field 14 is utime, field 15 is stime (proc(5)).
        fields = read(Path(f"/proc/{member}/stat")).rpartition(")")[2].split()
        if fields:
            user += int(fields[11]) * TICK_US
            system += int(fields[12]) * TICK_US
    return Cpu(total, user, system)


def memory(pid: int) -> int:
    """Bytes of memory: the proportional set size, which counts a page of n processes as 1/n in each."""
    return sum(proportional(member) for member in family(pid))


def proportional(pid: int) -> int:
    """Pss of one process in bytes."""
    for line in read(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def read(path: Path) -> str:
    """A file of /proc; empty when its process or thread has ended meanwhile."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
