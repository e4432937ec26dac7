"""Whether a step must run: its record, command, inputs and outputs."""

from __future__ import annotations

import difflib
import itertools
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipelines.digests import Digests, digest_text
from pipelines.records.steps import StepRecord, read_record
from pipelines.run.plan import Plan, Step
from pipelines.trainers.base import OFFLINE

# Commands are digested with the module names of version 0.1, so that a stage which it finished stays finished.
_MODULES_IN_RECORDS = {
    "preprocess.jobs.prepare": "preprocess.prepare",
    "preprocess.prompts.lengths": "preprocess.prompt_lengths",
    "pipelines.models.tiny": "pipelines.tiny_model",
    "pipelines.run.handover": "pipelines.handover",
    "pipelines.trainers.verl.checkpoints.merge_adapters": "pipelines.trainers.verl.merge_adapters",
}


def digest_command(step: Step, plan: Plan) -> str:
    """Return a digest of the command, its variables and its configuration.

    The paths of the run directory and the environments are left out, so that moving a run or rebuilding an environment
    re-trains nothing.
    """
    return digest_text(json.dumps(_replace_places(_command(step), plan.places), sort_keys=True))


def _digest_command_0_2(step: Step, plan: Plan) -> str:
    """Return the digest of versions up to 0.2.

    They replaced paths in the text after JSON had escaped it, and in the middle of longer names.
    """
    text = json.dumps(_command(step), sort_keys=True)
    for name, path in _longest_first(plan.places):
        text = text.replace(str(path), f"<{name}>")
    return digest_text(text)


def _command(step: Step) -> list[object]:
    argv = [_MODULES_IN_RECORDS.get(word, word) for word in step.launch.argv[1:]]
    return [argv, dict(step.launch.environment), {**step.launch.files, **step.launch.cache_key_files}]


def _replace_places(value: object, places: Mapping[str, Path]) -> object:
    """Return the value with a name for each place's path in its texts."""
    if isinstance(value, dict):
        return {key: _replace_places(each, places) for key, each in value.items()}
    if isinstance(value, list):
        return [_replace_places(each, places) for each in value]
    for name, path in _longest_first(places):
        value = _path_pattern(path).sub(lambda _, name=name: f"<{name}>", str(value))  # type: ignore[misc]
    return value


def _longest_first(places: Mapping[str, Path]) -> list[tuple[str, Path]]:
    return sorted(places.items(), key=lambda item: -len(str(item[1])))


def _path_pattern(path: Path) -> re.Pattern[str]:
    """Return a pattern of a path as it is written in a command, in JSON and in YAML; not a part of a longer name."""
    text = str(path)
    spellings = {text, json.dumps(text, ensure_ascii=False)[1:-1], text.replace("'", "''")}
    longest_first = sorted(map(re.escape, spellings), key=len, reverse=True)
    return re.compile(rf"(?<![\w.-])(?:{'|'.join(longest_first)})(?![\w.-])")


def digest_inputs(step: Step, plan: Plan, digests: Digests) -> dict[str, str]:
    """Return the current digest of each input. A hub name is its own digest, whatever the current folder contains.

    The names of inputs may contain paths; those of places are left out, as in `digest_command`.
    """
    found = {name: digests.of(Path(path)) or f"name {path}" for name, path in step.inputs.items()}
    found = _rename_places(found, plan)
    for earlier in step.follows:
        record = read_record(plan.step(earlier).directory)
        found[f"step {earlier}"] = record.execution_id if record and record.outcome == "complete" else "not done"
    return found


def _rename_places(inputs: Mapping[str, str], plan: Plan) -> dict[str, str]:
    return {str(_replace_places(name, plan.places)): digest for name, digest in inputs.items()}


def _name_paths(name: str, plan: Plan) -> str:
    for place, path in plan.places.items():
        name = name.replace(f"<{place}>", str(path))
    return name


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
    record = read_record(step.directory)
    if record is None:
        return "not done yet"
    if changed := why_changed(step, plan, digests, record):
        return changed
    if record.outcome == "failed":
        return f"failed: {record.reason}"
    if record.outcome != "complete":
        return "was interrupted"
    for name, path in _name_outputs(step).items():
        digest = digests.of(path)
        if digest is None:
            return f"{name} is missing"
        if digest != record.outputs.get(name):
            return f"{name} was changed after the step"
    return None


def why_changed(step: Step, plan: Plan, digests: Digests, record: StepRecord) -> str | None:
    """Return what changed since the record was written; None if nothing did."""
    if record.command not in (digest_command(step, plan), _digest_command_0_2(step, plan)):
        return _changed_line(step, plan) or "its command changed"
    before, now = _rename_places(record.inputs, plan), digest_inputs(step, plan, digests)
    for name in sorted(now.keys() | before.keys()):
        if now.get(name) != before.get(name):
            return f"{name} was re-run" if name.startswith("step ") else f"{_name_paths(name, plan)} changed"
    return None


def _changed_line(step: Step, plan: Plan) -> str | None:
    """Return the first line in which a configuration file differs from that of the last execution.

    Lines that the digest leaves out are skipped: those that differ only in the path of a place, because the run directory or
    an environment was moved, and those that do not affect the result.
    """
    for name, text in step.launch.files.items():
        try:
            before = (step.directory / name).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            continue
        counted = step.launch.cache_key_files.get(name, text).splitlines()
        for removed, added in _changed_lines(move_lines(before, text.splitlines(), plan.places), text.splitlines()):
            if not added or added in counted:
                return f"{name} changed: {removed.strip() or 'nothing'} -> {added.strip() or 'nothing'}"
    return None


def move_lines(before: list[str], now: list[str], places: Mapping[str, Path]) -> list[str]:
    """Return earlier lines with the current paths of the places instead of the earlier ones."""
    moved = {}
    for line in now:
        parts = [line]
        for _, path in _longest_first(places):
            parts = [part for each in parts for part in _path_pattern(path).split(each)]
        if len(parts) > 1:
            moved[line] = re.compile("/.+".join(map(re.escape, parts)))

    def move(line: str) -> str:
        return line if line in now else next((each for each, pattern in moved.items() if pattern.fullmatch(line)), line)

    return list(map(move, before))


def _changed_lines(before: list[str], now: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each changed line before and now; an empty one if a line was added or removed."""
    for kind, first, last, start, end in difflib.SequenceMatcher(None, before, now, autojunk=False).get_opcodes():
        if kind != "equal":
            pairs = itertools.zip_longest(before[first:last], now[start:end], fillvalue="")
            yield from (pair for pair in pairs if any(map(str.strip, pair)))


def command_script(step: Step) -> str:
    """Return `command.sh`, which runs the step's command without this project."""
    lines = ["#!/usr/bin/env bash", f"# {step.title}", "set -euo pipefail", 'cd "$(dirname "$0")"']
    for name, value in sorted(step.launch.environment.items()):
        # As in a run, a value of the user takes precedence.
        lines.append(f"export {name}=" + (f"${{{name}-{value}}}" if name in OFFLINE else shlex.quote(value)))
    lines += [f"export PATH={shlex.quote(str(Path(step.launch.argv[0]).parent))}:$PATH"]
    lines += ["exec " + shlex.join(step.launch.argv)]
    return "\n".join(lines) + "\n"
