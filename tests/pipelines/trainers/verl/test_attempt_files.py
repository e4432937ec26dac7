"""Per-attempt names of metric files and shared memory."""

from __future__ import annotations

import os
from multiprocessing import current_process, shared_memory
from pathlib import Path

import pytest

from pipelines.trainers.verl import attempt_files


def test_each_attempt_has_its_own_metrics_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_METRICS_FOLDER", str(tmp_path / "metrics"))
    monkeypatch.setenv("VERL_FILE_LOGGER_PATH", "inherited")
    names = []
    for _ in range(2):
        attempt_files.name_metrics_file()
        names.append(os.environ["VERL_FILE_LOGGER_PATH"])
    assert len(set(names)) == 2
    assert all(Path(name).parent == tmp_path / "metrics" for name in names)
    assert sorted(names) == names  # the order of the names is the order of the attempts


def test_nothing_is_named_without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIPELINE_METRICS_FOLDER", "PIPELINE_SHM_PREFIX", "VERL_FILE_LOGGER_PATH"):
        monkeypatch.delenv(name, raising=False)
    before = shared_memory._SHM_NAME_PREFIX  # type: ignore[attr-defined]
    attempt_files.name_metrics_file()
    attempt_files.name_shared_memory()
    assert "VERL_FILE_LOGGER_PATH" not in os.environ
    assert before == shared_memory._SHM_NAME_PREFIX  # type: ignore[attr-defined]


def test_shared_memory_has_the_prefix_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_SHM_PREFIX", "testrun")
    monkeypatch.setattr(shared_memory, "_SHM_NAME_PREFIX", "/psm_")
    monkeypatch.setitem(current_process()._config, "semprefix", "/mp")  # type: ignore[attr-defined]
    attempt_files.name_shared_memory()
    segment = shared_memory.SharedMemory(create=True, size=1)
    try:
        assert segment.name.startswith("testrun")
    finally:
        segment.close()
        segment.unlink()
    assert current_process()._config["semprefix"] == "/testrun"  # type: ignore[attr-defined]
