"""The kernel's counts of processes that it killed for their memory."""

from __future__ import annotations

from pathlib import Path

from pipelines.run.faults.memory import oom_kills


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_control_group_counts_first(tmp_path: Path) -> None:
    group = {"proc/self/cgroup": "0::/job/7\n", "sys/fs/cgroup/job/7/memory.events": "low 0\nmax 3\noom 2\noom_kill 2\n"}
    root = write(tmp_path, group | {"proc/vmstat": "nr_free_pages 5\noom_kill 9\n"})
    assert oom_kills(root) == 2


def test_else_the_machine(tmp_path: Path) -> None:
    root = write(tmp_path, {"proc/self/cgroup": "1:name=systemd:/\n0::/\n", "proc/vmstat": "nr_free_pages 5\noom_kill 9\n"})
    assert oom_kills(root) == 9


def test_unknown(tmp_path: Path) -> None:
    assert oom_kills(tmp_path) == 0
    assert oom_kills() >= 0
