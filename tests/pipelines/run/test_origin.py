"""What executed a step: recorded, compared, and refused with --strict."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.environments.pins import pin
from pipelines.errors import InputError
from pipelines.records.steps import read_record, write_record
from pipelines.run import origin
from pipelines.run.display import Display
from pipelines.run.execute import execute
from pipelines.run.plan import Plan
from tests.pipelines.run.toy import make_toy_plan, use_toy_trainer


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A run that is complete."""
    use_toy_trainer(monkeypatch)
    plan = make_toy_plan(tmp_path)
    execute(plan, plan.steps, Display(4))
    return plan


def test_every_step_has_a_record_of_its_origin(finished: Plan) -> None:
    for step in finished.steps:
        record = read_record(step.directory)
        assert record is not None
        assert record.origin["host"]
        assert record.origin.get("commit") == (origin.project_commit() or None)
        assert record.origin["environment"] == str(finished.machine.pythons["llamafactory"])
        # No GPU is used on a CPU.
        assert "GPUs" not in record.origin
    assert origin.find_differences(finished, finished.steps) == {}
    origin.check_origin(finished, finished.steps)


def test_a_pinned_environment_is_known_by_its_lock(tmp_path: Path) -> None:
    plan = make_toy_plan(tmp_path)
    pinned = pin("llamafactory")
    python = pinned.environment("cpu") / "bin" / "python"
    found = origin.origin_of(
        plan.step("one/train"), replace(plan, machine=replace(plan.machine, pythons={"llamafactory": python}))
    )
    text = pinned.lock("cpu").read_bytes()
    assert found["lock"] == hashlib.sha256(text).hexdigest()[:16]
    assert found["source archive"] == pinned.sha256[:16]


def test_gpus_and_driver_are_those_of_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (0, 1):
        folder = tmp_path / "nvidia" / "gpus" / f"0000:0{number}:00.0"
        folder.mkdir(parents=True)
        (folder / "information").write_text("Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 16\nGPU UUID: \t GPU-1\n")
    version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.82.07  Wed Aug 27 17:00:00 UTC 2026\nGCC version: 12\n"
    (tmp_path / "nvidia" / "version").write_text(version)
    monkeypatch.setattr(origin, "_NVIDIA", tmp_path / "nvidia")
    plan = make_toy_plan(tmp_path)
    found = origin.origin_of(plan.step("one/train"), replace(plan, machine=replace(plan.machine, platform="cuda")))
    assert (found["GPUs"], found["driver"]) == ("2 x NVIDIA H100 80GB HBM3", "580.82.07")


def test_a_difference_is_reported_and_refused(finished: Plan) -> None:
    step = finished.step("one/train")
    record = read_record(step.directory)
    assert record is not None
    record.origin |= {"commit": "0123", "driver": "570.1", "host": "elsewhere"}
    write_record(step.directory, record)
    found = origin.find_differences(finished, finished.steps)
    assert {line.partition(":")[0]: names for line, names in found.items()} == {
        "commit": ["one/train"],
        "driver": ["one/train"],
    }
    with pytest.raises(InputError, match=r"--strict: commit: 0123 -> .* in one/train"):
        origin.check_origin(finished, finished.steps)
    # A difference re-runs nothing.
    assert execute(finished, finished.steps, Display(4)) == []
    after = read_record(step.directory)
    assert after is not None and after.started == record.started


def test_records_of_earlier_versions_are_not_compared(finished: Plan) -> None:
    step = finished.step("one/train")
    text = json.loads((step.directory / "record.json").read_text())
    del text["origin"]
    (step.directory / "record.json").write_text(json.dumps(text))
    assert origin.find_differences(finished, finished.steps) == {}


def test_the_commit_of_a_checkout_with_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-qm", "first")
    monkeypatch.setattr(origin, "CODE", tmp_path)
    commit = git("rev-parse", "HEAD")
    found = [origin.project_commit.__wrapped__()]
    (tmp_path / "file").write_text("two")
    found.append(origin.project_commit.__wrapped__())
    (tmp_path / "file").write_text("three")
    found.append(origin.project_commit.__wrapped__())
    assert found[0] == commit
    assert found[1].startswith(f"{commit} with changes ") and found[2].startswith(f"{commit} with changes ")
    assert found[1] != found[2]
