"""How much memory of this machine, or of the container around it, can still be taken."""

from pathlib import Path

MEMINFO, CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def available(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> int | None:
    """Bytes that processes may still take; None where the system does not tell.

    Of what a container uses, files that the kernel keeps for speed do not count: it lets go of them when asked.
    """
    rooms = [room for room in (_of_machine(meminfo), _of_container(cgroup)) if room is not None]
    return min(rooms, default=None)


def _of_machine(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return None
    found = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return int(next(found, 0)) * 1024 or None


def _of_container(cgroup: Path) -> int | None:
    try:
        most = (cgroup / "memory.max").read_text().strip()
        used = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
    except OSError:
        return None
    return None if most == "max" else int(most) - int(used["anon"])
