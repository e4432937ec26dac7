"""bootcamp: a response judged by a class of the InternBootcamp package.

The row's data source is `bootcamp/<name>`; the class is the name with its first letter in upper case and `bootcamp` at
its end (`bootcamp/game24`: `Game24bootcamp`). The ground truth is the JSON text of what the class generated the
puzzle from.
"""

from __future__ import annotations

import importlib.util
import json
import math
import secrets
import sys
from collections.abc import Mapping
from typing import Any

from rewards.errors import GroundTruthError, MissingModuleError, RewardError
from rewards.reasons import explain
from rewards.registry import register
from rewards.sandbox import Limits, Program, get
from rewards.sandbox.local.sandbox import LocalSandbox
from rewards.sandbox.reports import read_reports
from rewards.suggestions import nearest

PACKAGE = "internbootcamp"
# The commit whose rows the tests have; later ones are laid out in another way. Editable, because its setup.py leaves its own
# subpackages out of an installation; by uv, because a pinned environment has no pip.
_INSTALL = (
    "git clone https://github.com/InternLM/InternBootcamp && git -C InternBootcamp checkout 18a55259 && "
    "uv pip install --python {} -e ./InternBootcamp"
)
_PREFIX, _SUFFIX = "bootcamp/", "bootcamp"


def check_package() -> None:
    """Raises:
    MissingModuleError: this Python does not have the package; says how to install it.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise MissingModuleError(
            f"reward bootcamp: the package {PACKAGE} is not installed; install it for the Python that scores, "
            f"in training that of verl's environment: {_INSTALL.format(sys.executable)}"
        )


def make_cheats(ground_truth: str, extra_info: Mapping[str, Any]) -> dict[str, str]:
    """Answers that solve nothing, long enough to escape the penalty for short ones."""
    thinking = "<think>\n" + "Let me think about this step by step. " * 10 + "\n</think>\n"
    return {
        "thinking alone": thinking,
        "the puzzle itself": f"{thinking}\\boxed{{}} [answer]{ground_truth}[/answer] [[]]",
        "long": thinking * 20,
    }


@register("bootcamp", cheats=make_cheats, ready=check_package)
async def bootcamp(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any],
    *,
    format_score: float = 0.0,
    short_penalty: bool = True,
    short_threshold: int = 100,
    format_penalty: bool = True,
    seconds: float = 5.0,
    memory_mb: int = 4096,
) -> dict[str, float]:
    """InternBootcamp's own verdict on a puzzle's answer, for data sources `bootcamp/<name>`.

    Args:
        format_score: what an answer earns that can be read but is wrong.
        short_penalty: an answer shorter than `short_threshold` is worth nothing.
        short_threshold: characters.
        format_penalty: an answer without `</think>` is worth nothing.
        seconds: CPU time of one verdict; one that takes longer is worth nothing.
        memory_mb: memory of one verdict in MiB, the package's own included.

    Raises:
        GroundTruthError: the row is broken, or names a bootcamp that the package does not have.
        RewardError: the package is not installed.
    """
    token = secrets.token_hex(16)
    task = {
        "token": token,
        "package": PACKAGE,
        "name": find_class(data_source),
        "response": solution_str,
        "identity": _read_identity(ground_truth),
        "options": {
            "format_score": format_score,
            "short_penalty": short_penalty,
            "short_threshold": short_threshold,
            "format_penalty": format_penalty,
        },
    }
    limits = Limits(cpu_seconds=seconds, wall_seconds=max(10.0, 5 * seconds), memory_mb=memory_mb)
    sandbox = get(imports=(PACKAGE,))
    if isinstance(sandbox, LocalSandbox):
        check_package()
    run = await sandbox.run(Program(json.dumps(task), runner="rewards.builtin.inside.bootcamp"), limits)
    score = _read_score(run.output, token, task["name"])
    if score is None:
        explain("the verdict ended with {}", run.verdict)
    score = score or 0.0
    # What the form alone earns is no part of being right.
    accuracy = min(1.0, score) if score > max(0.0, format_score) else 0.0
    return {"score": score, "accuracy": accuracy, "format": float("</think>" in solution_str)}


def find_class(data_source: str) -> str:
    """The class that judges a data source's rows.

    Raises:
        GroundTruthError: it is no `bootcamp/<name>`.
    """
    name = data_source.removeprefix(_PREFIX)
    if name == data_source or not name.isidentifier():
        raise GroundTruthError(f"the data source is {data_source!r}, expected bootcamp/<name> such as bootcamp/Game24")
    return f"{name[0].upper()}{name[1:]}{_SUFFIX}"


def _read_identity(ground_truth: str) -> Any:
    try:
        return json.loads(ground_truth)
    except (TypeError, ValueError) as error:
        raise GroundTruthError(f"the ground truth is not JSON: {error}") from error


def _read_score(output: str, token: str, name: str) -> float | None:
    """The verdict; None where there is none.

    Raises:
        GroundTruthError: there is no such bootcamp.
        RewardError: the package does not import where the program ran.
    """
    for report in read_reports(output, token):
        if "no_package" in report:
            how = _INSTALL.format("PYTHON")
            raise RewardError(f"reward bootcamp: {PACKAGE} does not import: {report['no_package']}; install it: {how}")
        if "no_class" in report:
            raise GroundTruthError(_describe_missing(name, [str(each) for each in report["no_class"]]))
        if "error" in report:
            explain("verify_score raised {}", report["error"])
        score = report.get("score")
        return float(score) if isinstance(score, int | float) and math.isfinite(score) else None
    return None


def _describe_missing(name: str, there: list[str]) -> str:
    stems = [each[: -len(_SUFFIX)] for each in there]
    near = nearest(name[: -len(_SUFFIX)], stems)
    hint = f"did you mean {_PREFIX + near!r}?" if near else f"it has {len(there)} others"
    return f"{PACKAGE} has no class {name}; {hint}"
