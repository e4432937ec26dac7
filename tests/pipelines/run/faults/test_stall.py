"""Signs of progress: metrics, log, CPU time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipelines.run.faults import stall
from pipelines.run.faults.stall import StallWatch, cpu_times, works


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """CPU times that the test sets."""
    times: dict[int, float] = {7: 0.0}
    monkeypatch.setattr(stall, "cpu_times", lambda pid: dict(times))
    return times


def test_silence_without_cpu_time_is_a_stall(tmp_path: Path, idle: dict[int, float]) -> None:
    watch = StallWatch(1.0, tmp_path / "log", 0.0)
    assert all(watch.check(now, 3, 1) is None for now in range(0, 60, 5))
    assert watch.check(60.0, 3, 1) == "no metric, no line of log and no CPU time for 60 s"


@pytest.mark.parametrize("sign", ["step", "log", "cpu"])
def test_each_sign_counts(tmp_path: Path, idle: dict[int, float], sign: str) -> None:
    log = tmp_path / "log"
    watch = StallWatch(1.0, log, 0.0)
    for now in range(0, 200, 5):
        if sign == "log":
            log.write_text("x" * now)
        if sign == "cpu":
            idle[7] += 2.0
        assert watch.check(now, now if sign == "step" else 0, 1) is None


def test_cpu_time_alone_is_no_progress_for_ever(tmp_path: Path, idle: dict[int, float]) -> None:
    """A process that waits for a GPU may spin."""
    watch = StallWatch(1.0, tmp_path / "log", 0.0)
    found = {}
    for now in range(0, 300, 5):
        idle[7] += 5.0
        found[now] = watch.check(now, 0, 1)
    assert found[235] is None and found[240] == "no metric and no line of log for 4 minutes, 4 x stall_minutes"


def test_work_on_other_machines_is_not_seen(tmp_path: Path, idle: dict[int, float]) -> None:
    watch = StallWatch(1.0, tmp_path / "log", 0.0, is_elsewhere=True)
    assert all(watch.check(now, 0, 1) is None for now in range(0, 240, 5))
    assert watch.check(240.0, 0, 1) is not None


def test_null_waits_for_ever(tmp_path: Path, idle: dict[int, float]) -> None:
    assert StallWatch(None, tmp_path / "log", 0.0).check(1e9, 0, 1) is None


def test_polling_is_not_work() -> None:
    assert not works({7: 1.0, 8: 1.0}, {7: 1.1, 8: 1.1}, 1.0)
    assert works({7: 1.0}, {7: 1.5}, 1.0)
    assert works({}, {9: 1.0}, 1.0), "a new process"


def test_cpu_times_are_those_of_descendants() -> None:
    code = "import os, time\nif os.fork(): time.sleep(600)\nwhile True: pass"
    child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while max((found := cpu_times(child.pid)).values(), default=0.0) < 0.2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (busy,) = psutil.Process(child.pid).children()
        assert set(found) == {busy.pid}
        assert busy.pid in cpu_times(psutil.Process().pid), "the descendants of descendants, too"
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
