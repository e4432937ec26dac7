"""A run of smoke.yaml on disk, with a Python that plays the trainers: it converts and checks by copying files.

Scripts are run by the Python that the variable REAL_PYTHON names."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.recipe.loading import load
from pipelines.records.steps import StepRecord, write_record
from pipelines.run.description import describe_run
from pipelines.run.machine import find_environments, find_machine
from pipelines.run.plan import Plan, make_plan, stage_paths
from pipelines.trainers.verl.checkpoints.rotation import mark_complete
from tests.pipelines.evaluation.fakes import write_model

VERSIONS = {"code-post-training": "0.2.0", "verl": "0.9.1"}
"""In the records of finished steps."""

_PYTHON = """#!{python}
import json, os, pathlib, shutil, sys
import yaml
words = sys.argv[1:]
if words[0] == "-P":
    os.execv(os.environ["REAL_PYTHON"], [os.environ["REAL_PYTHON"], *words])
elif words[0] == "-c":
    print(json.dumps([[3, 12, 0], "9.9"]))
elif words[1] == "pipelines.run.handover":
    settings = json.loads(pathlib.Path(words[2]).read_text())
    exported, model = pathlib.Path(settings["exported"]), pathlib.Path(settings["model"])
    pathlib.Path({log!r}).write_text(json.dumps(settings))
    if (exported / "broken").exists():
        print("handover: its tokenizer does not load", file=sys.stderr)
        sys.exit(1)
    model.mkdir()
    for file in exported.glob("*.*"):
        if file.name != "README.md":
            shutil.copy(file, model / file.name)
elif words[1] == "llamafactory.cli":
    settings = yaml.safe_load(pathlib.Path(words[3]).read_text())
    shutil.copytree(settings["adapter_name_or_path"], settings["export_dir"])
elif words[1] == "verl.model_merger":
    source, target = (pathlib.Path(words[words.index(name) + 1]) for name in ("--local_dir", "--target_dir"))
    if not (source / "model.safetensors").exists():
        raise RuntimeError("no shards")
    shutil.copytree(source, target)
else:
    raise SystemExit(f"unexpected: {{words}}")
"""


def write_python(folder: Path) -> Path:
    """Write the Python; the settings of its last check are in `check.json`."""
    path = folder / "python"
    path.write_text(_PYTHON.format(python=sys.executable, log=str(folder / "check.json")))
    path.chmod(0o755)
    return path


def make_run(folder: Path, *sets: str, recipe: str = "smoke.yaml", name: str = "smoke") -> Plan:
    """Make a run whose first two stages are finished: two checkpoints in the first stage, one in the second."""
    folder.mkdir(exist_ok=True)
    python = write_python(folder)
    given = [f"environments.verl={python}", f"environments.llamafactory={python}", "hardware.platform=cpu", *sets]
    loaded = load(Path(recipe), [*given, f"name={name}"])
    directory = folder / "runs" / name
    directory.mkdir(parents=True)
    (directory / "recipe.yaml").write_text(loaded.text())
    plan = make_plan(loaded.recipe, find_machine(find_environments(loaded.recipe)), directory)
    describe_run(plan, plan.steps, ["pipeline", "run", recipe], smoke=False)
    write_model(directory / "model")
    return plan


def finish_stage(plan: Plan, stage: str) -> Path:
    """Write the model of a stage, and complete records of its steps; return the model."""
    for step in plan.steps:
        if step.stage == stage:
            write_record(step.directory, StepRecord(command="", inputs={}, outcome="complete", seconds=62.0, versions=VERSIONS))
    return write_model(stage_paths(plan.directory, stage).model)


def write_sft_checkpoints(plan: Plan, stage: str, steps: Sequence[int], *, complete: bool = True) -> None:
    """Write checkpoints of LLaMA-Factory."""
    for step in steps:
        folder = write_model(stage_paths(plan.directory, stage).checkpoints / f"checkpoint-{step}")
        (folder / "optimizer.pt").write_bytes(b"o" * 10_000)
        if complete:
            (folder / "trainer_state.json").write_text("{}")


def write_rl_checkpoints(plan: Plan, stage: str, steps: Sequence[int]) -> None:
    """Write checkpoints of verl."""
    for step in steps:
        folder = stage_paths(plan.directory, stage).checkpoints / f"global_step_{step}"
        write_model(folder / "actor")
        (folder / "data.pt").write_bytes(b"d" * 10_000)
        mark_complete(folder, {"step": step})


def write_metrics(plan: Plan, stage: str, steps: int) -> None:
    """Write the metrics of a training."""
    lines = [json.dumps({"step": step, "loss": 1 / step}) for step in range(1, steps + 1)]
    stage_paths(plan.directory, stage).metrics.write_text("\n".join(lines) + "\n")
