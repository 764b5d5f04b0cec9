"""What the machine does, read from /proc: CPU seconds of one process, of everything, and of everybody else.

/proc/<pid>/stat -> utime + stime, all threads     /proc/stat - os.times() -> what others took while we measured
"""

import os
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
IDLE = slice(3, 5)  # idle and iowait
QUIET = 0.5  # cores that others may take before the figures of a run say nothing


def process_seconds(stat: str) -> float:
    """CPU seconds of a process from its /proc/<pid>/stat: fields 14 and 15 of proc(5)."""
    fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses
    return (int(fields[11]) + int(fields[12])) / TICKS


def machine_seconds(stat: str) -> float:
    """CPU seconds that all cores were busy, from /proc/stat; what the hypervisor took away counts as busy."""
    ticks = [int(field) for field in stat.split("\n", 1)[0].split()[1:9]]  # guest time is in user time already
    return (sum(ticks) - sum(ticks[IDLE])) / TICKS


def cpu_of(pid: int) -> float:
    """CPU seconds of the process `pid` until now."""
    return process_seconds(Path(f"/proc/{pid}/stat").read_text())


def cpu_of_first_thread(pid: int) -> float:
    """CPU seconds of the thread that the process `pid` began with: of ours, the one that does all HTTP."""
    return process_seconds(Path(f"/proc/{pid}/task/{pid}/stat").read_text())


def cpu_model() -> str:
    """The processor's name, as it tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


class Others:
    """The load of everybody else over a stretch of time, in cores; our children count once they have ended."""

    def __init__(self) -> None:
        self._began, self._machine, self._ours = self._read()

    @staticmethod
    def _read() -> tuple[float, float, float]:
        return time.monotonic(), machine_seconds(Path("/proc/stat").read_text()), sum(os.times()[:4])

    def load(self) -> float:
        """Mean number of cores that others kept busy since the start."""
        now, machine, ours = self._read()
        return max(0.0, (machine - self._machine - (ours - self._ours)) / max(now - self._began, 1e-9))
