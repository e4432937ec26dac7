"""Records of steps."""

import json
from dataclasses import replace
from pathlib import Path

from pipelines.digests import Digests
from pipelines.run import record
from pipelines.run.plan import Step
from pipelines.trainers.base import Launch
from tests.pipelines.run.toy import make_toy_plan


def test_outputs_with_the_same_name(tmp_path: Path) -> None:
    outputs = []
    for stage in ("one", "two"):
        (tmp_path / stage).mkdir()
        (tmp_path / stage / "prompts.json").write_text(stage)
        outputs.append(tmp_path / stage / "prompts.json")
    step = Step("prompts", "count", None, None, tmp_path, Launch(("true",)), outputs=(*outputs, tmp_path / "two"))
    digests = record.digest_outputs(step, Digests(tmp_path / "digests.json"))
    assert list(digests) == ["one/prompts.json", "two/prompts.json", "two"]
    assert len(set(digests.values())) == 3


def test_records_of_version_0_1_stay_valid(tmp_path: Path) -> None:
    """A finished stage is not re-trained after an upgrade: renamed modules and fields are recognised."""
    now = Step("model", "make", None, None, tmp_path, Launch(("python", "-m", "pipelines.models.tiny", "model.json")))
    before = replace(now, launch=Launch(("python", "-m", "pipelines.tiny_model", "model.json")))
    plan = make_toy_plan(tmp_path)
    command = record.digest_command(before, plan)
    assert record.digest_command(now, plan) == command
    fields = {"command": command, "inputs": {}, "outcome": "complete", "made": "2026-11-27T16:00:00+00:00 7"}
    (tmp_path / "record.json").write_text(json.dumps(fields))
    found = record.read(now)
    assert found is not None and found.execution_id == "2026-11-27T16:00:00+00:00 7"
    assert record.why_run(now, plan, Digests(tmp_path / "digests.json")) is None
