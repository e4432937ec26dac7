"""The software and hardware that execute the steps of a plan, for its records, and how they differ from an earlier execution.

Everything is read from files, or asked of git: no package is imported and no GPU is used.
"""

from __future__ import annotations

import json
import platform
import re
import socket
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from pipelines.digests import Digests, digest_text
from pipelines.environments.ask import AskError, call
from pipelines.errors import InputError
from pipelines.models.folder import find_model_folder
from pipelines.recipe.schema import RlStage
from pipelines.records.steps import StepRecord, read_record
from pipelines.run.plan import Plan, Step
from pipelines.run.skipping import why_run
from pipelines.run.versions import find_pin, versions_of
from pipelines.shipped import CODE
from pipelines.trainers.verl.rl.entry import checkout_folder, digest_sources
from preprocess import atomic

HOST = "host"
"""The name of the machine: recorded, but not compared."""

_REVISION = "revision of "
_NVIDIA = Path("/proc/driver/nvidia")
_SECONDS = 10.0


def origin_of(step: Step, plan: Plan) -> dict[str, str]:
    """Return name -> value of what executes a step; what is unknown is left out."""
    found = {"commit": project_commit(), HOST: socket.gethostname()}
    if step.trainer is None:
        found["Python"] = platform.python_version()
    else:
        python = plan.machine.pythons[step.trainer]
        found["Python"] = _python_version(python)
        pinned = find_pin(plan, step.trainer)
        if pinned is None:
            found["environment"] = str(python)
        else:
            found["source archive"] = pinned.sha256[:16]
            found["lock"] = digest_text(pinned.lock(plan.machine.platform).read_text(encoding="utf-8"))
        if plan.machine.platform == "cuda":
            found |= {"GPUs": _gpu_names(), "driver": _driver_version()}
    found |= _entry_checkout(step, plan)
    return {name: value for name, value in (found | revisions_of(step, plan)).items() if value}


def _entry_checkout(step: Step, plan: Plan) -> dict[str, str]:
    """Return the commit of the checkout of an entry point, if it is one of git, and the digest of its files."""
    stage = next((each for each in plan.recipe.stages if each.name == step.stage), None)
    if not step.trains or not isinstance(stage, RlStage) or stage.entry is None:
        return {}
    checkout = checkout_folder(str(stage.checkout))
    if not checkout.is_dir():
        return {}
    try:
        commit = call("git", ["-C", str(checkout), "rev-parse", "HEAD"], timeout=_SECONDS).strip()
    except AskError:
        commit = ""  # not of git
    return {f"checkout of {stage.entry}": ", ".join(filter(None, [commit, f"files {digest_sources(checkout)}"]))}


def revisions_of(step: Step, plan: Plan) -> dict[str, str]:
    """Return the commits of the hub names that a step reads or has read, as far as this machine knows them."""
    found = {}
    for location in step.inputs.values():
        if not Path(location).is_absolute() and (folder := find_model_folder(location)) is not None:
            found[_REVISION + location] = folder.name
    if step.prepares:
        summary = atomic.read_json(plan.paths(str(step.stage)).data / "summary.json") or {}
        found |= {_REVISION + name: str(commit) for name, commit in summary.get("revisions", {}).items()}
    return found


def find_differences(plan: Plan, steps: Sequence[Step]) -> dict[str, list[str]]:
    """Return each difference between the last execution of complete steps and one here and now, and those steps' names."""
    found: dict[str, list[str]] = {}
    for step in steps:
        record = read_record(step.directory)
        if record is not None and record.outcome == "complete":
            for line in _compare(record, step, plan):
                found.setdefault(line, []).append(step.name)
    return found


def check_origin(plan: Plan, steps: Sequence[Step]) -> None:
    """Check that the complete steps among some were executed by what would execute them now.

    Raises:
        InputError: each difference, one line each.
    """
    digests = Digests(plan.directory / "digests.json")
    complete = [step for step in steps if why_run(step, plan, digests) is None]
    found = find_differences(plan, complete)
    digests.save()
    if found:
        lines = [f"--strict: {line} in {', '.join(names)}" for line, names in found.items()]
        raise InputError("\n".join([*lines, "run without --strict to keep these steps, or with --fresh to run them again"]))


def _compare(record: StepRecord, step: Step, plan: Plan) -> Iterator[str]:
    if not record.origin:
        return  # of an earlier version of this project
    before = record.versions | record.origin
    now = versions_of(step, plan) | origin_of(step, plan)
    for name in dict.fromkeys([*before, *now]):
        old, new = before.get(name), now.get(name)
        # A commit of the hub that this machine does not know is not a difference.
        if name != HOST and old != new and not (name.startswith(_REVISION) and None in (old, new)):
            yield f"{name}: {old or 'none'} -> {new or 'none'}"


@lru_cache
def project_commit() -> str:
    """Return the commit of this project, and a digest of uncommitted changes; empty if unknown."""
    if not (CODE / ".git").exists():
        return _installed_commit()
    try:
        commit = _git("rev-parse", "HEAD").strip()
        changes = _git("diff", "HEAD")
    except AskError:
        return ""  # no git here, or the folder belongs to another user
    return f"{commit} with changes {digest_text(changes)}" if changes else commit


def _git(*arguments: str) -> str:
    return call("git", ["-C", str(CODE), *arguments], variables={"GIT_OPTIONAL_LOCKS": "0"}, timeout=_SECONDS)


def _installed_commit() -> str:
    """Return the commit that pip installed this project from, by PEP 610."""
    from importlib.metadata import distribution

    try:
        found = json.loads(distribution("code-post-training").read_text("direct_url.json") or "{}")
    except ValueError:
        return ""
    return str(found.get("vcs_info", {}).get("commit_id", ""))


def _python_version(python: Path) -> str:
    """Return the version of the Python of a virtual environment; empty if unknown."""
    try:
        text = (python.parent.parent / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r"(?m)^version(?:_info)? *= *([\d.]+)", text)
    return found[1].rstrip(".") if found else ""


def _gpu_names() -> str:
    """Return the GPUs of this machine as its driver lists them, such as `8 x NVIDIA H100 80GB HBM3`."""
    names = []
    for file in sorted(_NVIDIA.glob("gpus/*/information")):
        if found := re.search(r"(?m)^Model:\s*(.+?)\s*$", file.read_text(encoding="utf-8", errors="replace")):
            names.append(found[1])
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))


def _driver_version() -> str:
    try:
        text = (_NVIDIA / "version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", text)
    return found[1] if found else ""
