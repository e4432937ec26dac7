"""`run.json` has the environments of the trainers."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from pipelines.environments.pins import pin
from pipelines.records.manifest import read_manifest
from pipelines.run.description import describe_run
from tests.pipelines.run.toy import make_toy_plan


def test_pins(tmp_path: Path) -> None:
    plan = make_toy_plan(tmp_path)
    pinned = pin("verl").environment("cpu") / "bin" / "python"
    machine = replace(plan.machine, pythons={"llamafactory": Path(sys.executable), "verl": pinned})
    describe_run(replace(plan, machine=machine), plan.steps, ["pipeline", "run", "x.yaml"], smoke=False)
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    chosen, verl = manifest.pins
    assert (chosen.trainer, chosen.python, chosen.version) == ("llamafactory", sys.executable, "")
    assert (verl.trainer, verl.python, verl.version, len(verl.lock)) == ("verl", "", pin("verl").version, 16)
