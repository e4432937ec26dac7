"""How often the kernel has killed processes because memory ran out: a kill does not say why it came."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path("/")


def oom_kills(root: Path = _ROOT) -> int:
    """Return the number since the start of this process's control group, else of the machine; 0: unknown."""
    try:
        (line,) = (each for each in _read(root / "proc/self/cgroup") if each.startswith("0::/"))
        group = root / "sys/fs/cgroup" / line.removeprefix("0::/") / "memory.events"
        return _find(group)
    except (OSError, ValueError):
        pass
    try:
        return _find(root / "proc/vmstat")
    except (OSError, ValueError):
        return 0


def _find(file: Path) -> int:
    (line,) = (each for each in _read(file) if each.startswith("oom_kill "))
    return int(line.split()[1])


def _read(file: Path) -> list[str]:
    return file.read_text(encoding="ascii").splitlines()
