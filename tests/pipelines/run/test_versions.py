"""The versions in the record of a step."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from pipelines.environments.pins import pin
from pipelines.records.manifest import project_version
from pipelines.run.versions import versions_of
from tests.pipelines.run.toy import make_toy_plan


def test_the_pinned_trainer(tmp_path: Path) -> None:
    plan = make_toy_plan(tmp_path)
    pinned = pin("llamafactory")
    python = pinned.environment("cpu") / "bin" / "python"
    plan = replace(plan, machine=replace(plan.machine, pythons={"llamafactory": python}))
    step = plan.step("one/train")
    assert versions_of(step, plan) == {"code-post-training": project_version(), "llamafactory": pinned.version}
    assert versions_of(replace(step, trainer=None), plan) == {"code-post-training": project_version()}


def test_an_environment_of_the_user(tmp_path: Path) -> None:
    """Its version is not known without asking it."""
    plan = make_toy_plan(tmp_path)
    assert plan.machine.pythons["llamafactory"] == Path(sys.executable)
    assert versions_of(plan.step("one/train"), plan) == {"code-post-training": project_version()}
