"""Two runs of one recipe on one machine share no name: temporary files, shared memory, weight sockets, tracker runs."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

from pipelines.records.runs import open_run
from pipelines.run import process
from pipelines.run.description import describe_run
from pipelines.run.display import Display
from pipelines.run.execute import execute
from pipelines.run.scratch import scratch_folder
from pipelines.trackers.stages import tracked_run
from pipelines.trainers.verl.plugin import overrides
from tests.pipelines.run.toy import make_toy_plan, use_toy_trainer

HANDLE = "ipc:///tmp/rl-colocate-zmq-01000000-replica-0-rank-0.sock"
PRINT = (
    "import os, tempfile; print(*map(os.environ.get, ('TMPDIR', 'RAY_TMPDIR', 'PIPELINE_SHM_PREFIX')), tempfile.gettempdir())"
)


def test_names_of_processes(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        process.run([sys.executable, "-c", PRINT], cwd=folder, environment={}, log=folder / "log", run_directory=folder)
        found.append((folder / "log").read_text().split())
        assert found[-1][0] == found[-1][1] == found[-1][3] == str(scratch_folder(folder))
    assert all(one != two for one, two in zip(*found, strict=True))


def test_weight_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ends of verl's transfer get the same name, which is another one in the other run."""
    names = []
    for name in ("one", "two"):

        class End:
            def __init__(self, zmq_handle: str) -> None:
                self.handle = zmq_handle

        module = ModuleType("bucketed_weight_transfer")
        module.BucketedWeightSender = End  # type: ignore[attr-defined]
        module.BucketedWeightReceiver = type("Other", (End,), {"__init__": End.__init__})  # type: ignore[attr-defined]
        parent = ModuleType("vllm_rollout")
        parent.bucketed_weight_transfer = module  # type: ignore[attr-defined]
        for each in ("verl", "verl.workers", "verl.workers.rollout"):
            monkeypatch.setitem(sys.modules, each, ModuleType(each))
        monkeypatch.setitem(sys.modules, "verl.workers.rollout.vllm_rollout", parent)
        (tmp_path / name).mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name))
        overrides.move_weight_sockets()
        sender, receiver = module.BucketedWeightSender(HANDLE), module.BucketedWeightReceiver(HANDLE)
        assert sender.handle == receiver.handle == f"ipc://{tmp_path / name}/{Path(HANDLE).name}"
        names.append(sender.handle)
    assert names[0] != names[1]


def test_tracker_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_toy_trainer(monkeypatch)
    ids = []
    for name in ("one", "two"):
        plan = make_toy_plan(tmp_path / name)
        describe_run(plan, plan.steps, [], smoke=False)
        execute(plan, plan.steps, Display(4))
        run = open_run(tmp_path / name)
        ids += [tracked_run(run, stage, tmp_path, {}, {}).id for stage in run.stages]
    assert len(set(ids)) == 4
