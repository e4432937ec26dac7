"""Records and counts of failed rewards."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from rewards.errors import RewardError, one_line
from rewards.plugins.loading import load
from rewards.sandbox import SandboxError, SandboxUnavailableError
from rewards.scoring.failures import FILE, Counts, Failures, archive_failures, read_counts, read_stop_reason

ROW = {"row": "r", "data_source": "d"}


def fail(failures: Failures, times: int = 1, error: BaseException | None = None) -> None:
    for _ in range(times):
        failures.failed(load("white_box"), error or ValueError("broken"), ROW)


def test_failures_without_a_path_are_only_counted() -> None:
    failures = Failures(None, 1.0)
    fail(failures, 3)
    failures.passed()
    assert failures.counts == Counts(rows=4, failed=3)


def test_forked_process_has_its_own_count(tmp_path: Path) -> None:
    failures = Failures(tmp_path / FILE, 1.0)
    failures.passed()
    child = multiprocessing.get_context("fork").Process(target=fail, args=(failures, 2))
    child.start()
    child.join()
    failures.passed()
    assert read_counts(tmp_path) == Counts(rows=4, failed=2)
    assert len(list(tmp_path.glob("*.count"))) == 2


def test_max_failed_of_0_aborts_at_the_first_failure_of_enough_rows(tmp_path: Path) -> None:
    failures = Failures(tmp_path / FILE, 0.0)
    for _ in range(31):
        failures.passed()
    with pytest.raises(RewardError, match=r"failed on 1 of 32 responses \(3%; max_failed_rewards is 0\); first on row r of d"):
        fail(failures)


def test_stop_reason_is_the_first_and_complete(tmp_path: Path) -> None:
    assert read_stop_reason(tmp_path) is None
    for name in ("one", "two"):
        with pytest.raises(RewardError, match=name):
            fail(Failures(tmp_path / FILE, 1.0), error=RewardError(f"{name} is missing"))
    assert read_stop_reason(tmp_path) == f"one is missing; first on row r of d; all failures: {tmp_path / FILE}"
    (tmp_path / "stopped").write_text("half of a li")
    assert read_stop_reason(tmp_path) is None


def test_sandbox_that_does_not_answer_ends_the_run(tmp_path: Path) -> None:
    error = SandboxUnavailableError("SandboxFusion at http://x: not sent")
    with pytest.raises(RewardError) as caught:
        fail(Failures(tmp_path / FILE, 0.1), error=error)
    assert str(caught.value).startswith(
        "reward white_box cannot run programs: SandboxFusion at http://x: not sent; first on row r of d: "
    )
    fail(Failures(tmp_path / FILE, 0.1), 9, SandboxError("SandboxFusion at http://x: HTTP 500"))
    fail(Failures(tmp_path / FILE, 1.0), 99, error)


def test_incomplete_count_file_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "host-1-2.count").write_bytes(b"          12            3\n")
    (tmp_path / "host-3-4.count").write_bytes(b"")
    assert read_counts(tmp_path) == Counts(rows=12, failed=3)
    assert read_counts(tmp_path / "nowhere") == Counts()


def test_archive_failures(tmp_path: Path) -> None:
    folder = tmp_path / "rewards"
    archive_failures(folder)
    failures = Failures(folder / FILE, 1.0)
    failures.passed()
    archive_failures(folder)
    assert not folder.exists(), "counts without a failure must be deleted"
    failures = Failures(folder / FILE, 1.0)
    fail(failures)
    archive_failures(folder)
    assert not folder.exists()
    assert json.loads((tmp_path / "rewards-1" / FILE).read_text())["error"] == "ValueError: broken"


def test_error_is_one_short_line() -> None:
    assert one_line(ValueError("a\n\tb\x1b[31m")) == "ValueError: a b\N{REPLACEMENT CHARACTER}[31m"
    assert one_line(KeyError()) == "KeyError"
    assert len(one_line(ValueError("x" * 100_000))) == 2000
