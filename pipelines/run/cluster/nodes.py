"""Ask verl's environment about the cluster: whether it has the nodes that a stage needs, and what runs there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.environments.ask import AskError, ask
from pipelines.shipped import import_path, python_path

_SECONDS = 90.0
_SWEEP_SECONDS = 180.0
_SURVEY_SECONDS = 300.0


def choose_cluster(python: Path, nodes: int, gpus: int) -> str | None:
    """Set RAY_ADDRESS to the cluster, for everything that this process starts.

    Args:
        python: The Python of verl's environment.
        nodes: The nodes that the stage needs.
        gpus: The GPUs that it needs of each.

    Returns:
        Why the cluster cannot run the stage, in one line; None if it can, and is set.
    """
    try:
        answer: Mapping[str, Any] = _ask(python, "members")
    except AskError as error:
        return f"the Ray cluster cannot be asked: {error}"
    if "error" in answer:
        return str(answer["error"])
    found = answer["nodes"]
    able = [each for each in found if each["gpus"] >= gpus]
    if len(able) >= nodes:
        # Ray's own search, in the trainers, could find the Ray that another run has started for itself.
        os.environ["RAY_ADDRESS"] = answer["address"]
        return None
    listed = ", ".join(f"{each['host']} {each['gpus']}" for each in sorted(found, key=lambda each: str(each["address"])))
    which = "" if len(able) == len(found) else f" with {gpus} GPU{'s' if gpus > 1 else ''} or more"
    result = (
        f"the Ray cluster at {answer['address']} has {len(able)} node{'' if len(able) == 1 else 's'}{which} (GPUs: {listed})"
    )
    return result if any(each["gpus"] for each in found) else f"{result}; on a CPU, declare workers by `ray start --num-gpus`"


def end_orphans_on_nodes(python: Path, run_directory: Path) -> dict[str, list[str]]:
    """End the processes of a run on all nodes, and remove its temporary files there; return their names by node.

    Raises:
        AskError: The cluster cannot be reached.
    """
    answer: dict[str, list[str]] = _ask(python, "sweep", str(run_directory), timeout=_SWEEP_SECONDS)
    return answer


def survey_nodes(python: Path, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the answer of `survey` to a request: what each node has, and this machine.

    Raises:
        AskError: It does not answer.
    """
    given = {"variables": {"PYTHONPATH": str(import_path())}, **request}
    answer: Mapping[str, Any] = _ask(python, "survey", stdin=json.dumps(given), timeout=_SURVEY_SECONDS)
    return answer


def _ask(python: Path, program: str, *arguments: str, timeout: float = _SECONDS, stdin: str = "") -> Any:
    # -P: packages in the working folder are not those of the environment.
    command = ["-P", "-m", f"pipelines.run.cluster.{program}", *arguments]
    variables = {"PYTHONPATH": python_path(), "RAY_USAGE_STATS_ENABLED": "0"}
    return ask(python, command, variables=variables, timeout=timeout, stdin=stdin)
