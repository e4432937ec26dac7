"""The record of each step in a run directory, and whether a step must run."""

from __future__ import annotations

import difflib
import json
import shlex
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from pipelines.digests import Digests, digest_text, write_atomically
from pipelines.run.plan import Plan, Step

Outcome = Literal["started", "failed", "complete"]

# Commands are digested with the module names of version 0.1, and its field names are read, so that a stage which it
# finished stays finished.
_MODULES_IN_RECORDS = {
    "preprocess.jobs.prepare": "preprocess.prepare",
    "preprocess.prompts.lengths": "preprocess.prompt_lengths",
    "pipelines.models.tiny": "pipelines.tiny_model",
    "pipelines.run.handover": "pipelines.handover",
    "pipelines.trainers.verl.checkpoints.merge_adapters": "pipelines.trainers.verl.merge_adapters",
}
_FIELDS_BEFORE = {"made": "execution_id"}


@dataclass
class Record:
    """A step's inputs and outcome."""

    command: str
    """Digest of the command line, its variables and its configuration files."""
    inputs: dict[str, str]
    """Digest of each file and folder read; of a preceding step, its `execution_id`."""
    outcome: Outcome
    reason: str = ""
    """Why it failed."""
    outputs: dict[str, str] = field(default_factory=dict)
    """Digest of each file and folder written."""
    execution_id: str = ""
    """Identifies the last execution; the steps that follow this one take it as an input."""
    attempts: int = 1
    started: str = ""
    """UTC, ISO 8601."""
    seconds: float = 0.0
    """Wall time of all attempts."""
    notes: list[str] = field(default_factory=list)
    """Lines that were printed about it, such as rows left out or metrics lost."""


def read(step: Step) -> Record | None:
    """Return the step's record; None if it has none."""
    try:
        fields = json.loads((step.directory / "record.json").read_text(encoding="utf-8"))
        return Record(**{_FIELDS_BEFORE.get(name, name): value for name, value in fields.items()})
    except FileNotFoundError:
        return None
    except (AttributeError, json.JSONDecodeError, TypeError):
        return None  # written by an incompatible version: the step runs again


def write(step: Step, record: Record) -> None:
    """Write the record atomically."""
    write_atomically(step.directory / "record.json", json.dumps(asdict(record), indent=1) + "\n")


def digest_command(step: Step, plan: Plan) -> str:
    """Return a digest of the command, its variables and its configuration.

    The paths of the run directory and the environments are left out, so that moving a run or rebuilding an environment
    re-trains nothing.
    """
    files = {**step.launch.files, **step.launch.cache_key_files}
    argv = [_MODULES_IN_RECORDS.get(word, word) for word in step.launch.argv[1:]]
    text = json.dumps([argv, dict(step.launch.environment), files], sort_keys=True)
    for name, path in sorted(plan.places.items(), key=lambda item: -len(str(item[1]))):
        text = text.replace(str(path), f"<{name}>")
    return digest_text(text)


def digest_inputs(step: Step, plan: Plan, digests: Digests) -> dict[str, str]:
    """Return the current digest of each input. A hub name is its own digest."""
    found = {name: digests.of(Path(path)) or f"name {path}" for name, path in step.inputs.items()}
    for earlier in step.follows:
        record = read(plan.step(earlier))
        found[f"step {earlier}"] = record.execution_id if record and record.outcome == "complete" else "not done"
    return found


def digest_outputs(step: Step, digests: Digests) -> dict[str, str]:
    """Return the current digest of each output."""
    return {name: digests.of(path) or "missing" for name, path in _name_outputs(step).items()}


def _name_outputs(step: Step) -> dict[str, Path]:
    """Return the outputs by file name, with the folder where several have the same name."""
    names = [path.name for path in step.outputs]
    return {path.name if names.count(path.name) == 1 else f"{path.parent.name}/{path.name}": path for path in step.outputs}


def why_run(step: Step, plan: Plan, digests: Digests) -> str | None:
    """Return why the step must run; None if it is complete.

    Checked in the order of DVC's stages: the record, the command, the inputs, the outputs.
    """
    record = read(step)
    if record is None:
        return "not done yet"
    if changed := why_changed(step, plan, digests, record):
        return changed
    if record.outcome == "failed":
        return f"failed: {record.reason}"
    if record.outcome == "started":
        return "was interrupted"
    for name, path in _name_outputs(step).items():
        digest = digests.of(path)
        if digest is None:
            return f"{name} is missing"
        if digest != record.outputs.get(name):
            return f"{name} was changed after the step"
    return None


def why_changed(step: Step, plan: Plan, digests: Digests, record: Record) -> str | None:
    """Return what changed since the record was written; None if nothing did."""
    if digest_command(step, plan) != record.command:
        return _changed_line(step) or "its command changed"
    now = digest_inputs(step, plan, digests)
    for name in sorted(now.keys() | record.inputs.keys()):
        if now.get(name) != record.inputs.get(name):
            return f"{name} was re-run" if name.startswith("step ") else f"{name} changed"
    return None


def _changed_line(step: Step) -> str | None:
    """Return the first line in which a configuration file differs from that of the last execution."""
    for name, text in step.launch.files.items():
        try:
            before = (step.directory / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            continue
        _, _, *diff = [*difflib.unified_diff(before.splitlines(), text.splitlines(), lineterm="", n=0)] or ("", "")
        removed, added = (next(filter(None, (line[1:].strip() for line in diff if line[0] == sign)), "") for sign in "-+")
        if removed or added:
            return f"{name} changed: {removed or 'nothing'} -> {added or 'nothing'}"
    return None


def command_script(step: Step) -> str:
    """Return `command.sh`, which runs the step's command without this project."""
    lines = ["#!/usr/bin/env bash", f"# {step.title}", "set -euo pipefail", 'cd "$(dirname "$0")"']
    lines += [f"export {name}={shlex.quote(value)}" for name, value in sorted(step.launch.environment.items())]
    lines += [f"export PATH={shlex.quote(str(Path(step.launch.argv[0]).parent))}:$PATH"]
    lines += ["exec " + shlex.join(step.launch.argv)]
    return "\n".join(lines) + "\n"
