"""bootcamp: the score of a class of the InternBootcamp package.

For data source `bootcamp/<name>`, the class is the capitalized name with the suffix `bootcamp` (`bootcamp/game24`:
`Game24bootcamp`). The ground truth is the puzzle's parameters in JSON, as the class generated them.
"""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from collections.abc import Mapping
from typing import Any

from rewards.builtin import grading
from rewards.builtin.grading import Isolation
from rewards.builtin.option_ranges import check_ranges
from rewards.errors import GroundTruthError, MissingModuleError, RewardError
from rewards.reasons import explain
from rewards.registry import register
from rewards.sandbox import Limits, get
from rewards.suggestions import nearest

PACKAGE = "internbootcamp"
# The commit of the rows in the tests; later commits have another layout. Editable, because setup.py does not install its
# subpackages. With uv, because a pinned environment has no pip.
_INSTALL = (
    "git clone https://github.com/InternLM/InternBootcamp && git -C InternBootcamp checkout 18a55259 && "
    "uv pip install --python {} -e ./InternBootcamp"
)
_PREFIX, _SUFFIX = "bootcamp/", "bootcamp"


def check_package() -> None:
    """Raise MissingModuleError, with the command that installs the package, if it is missing."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise MissingModuleError(
            f"reward bootcamp: the package {PACKAGE} is not installed; install it for the Python that scores, "
            f"in training that of verl's environment: {_INSTALL.format(sys.executable)}"
        )


def make_cheats(ground_truth: str, extra_info: Mapping[str, Any]) -> dict[str, str]:
    """Return answers without a solution, long enough to avoid the penalty for short ones, and with code for the grader."""
    thinking = "<think>\n" + "Let me think about this step by step. " * 10 + "\n</think>\n"
    return {
        "thinking alone": thinking,
        "the puzzle itself": f"{thinking}\\boxed{{}} [answer]{ground_truth}[/answer] [[]]",
        "long": thinking * 20,
        **{name: thinking + grading.present(code) for name, code in grading.FORGERIES.items()},
    }


@register("bootcamp", cheats=make_cheats, ready=check_package, check=check_ranges)
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
    isolation: Isolation = "strong",
) -> dict[str, float]:
    """Score a puzzle's answer with InternBootcamp, for data sources `bootcamp/<name>`.

    Args:
        format_score: Score of a readable but wrong answer.
        short_penalty: Score 0 for an answer shorter than `short_threshold`.
        short_threshold: Length in characters.
        format_penalty: Score 0 for an answer without `</think>`.
        seconds: CPU time per response. Beyond it, the score is 0.
        memory_mb: Memory per response in MiB, including the package.
        isolation: `strong` evaluates only expressions of the response, without running code; `weak` lets the bootcamp run any.

    Raises:
        GroundTruthError: The row is invalid, or its bootcamp is missing from the package or needs the isolation `weak`.
        RewardError: The package is not installed.
    """
    try:
        identity = json.loads(ground_truth)
    except (TypeError, ValueError) as error:
        raise GroundTruthError(f"the ground truth is not JSON: {error}") from error
    name = find_class(data_source)
    task = {
        "grader": "bootcamp",
        "isolation": isolation,
        "package": PACKAGE,
        "name": name,
        "response": solution_str,
        "identity": identity,
        "options": {
            "format_score": format_score,
            "short_penalty": short_penalty,
            "short_threshold": short_threshold,
            "format_penalty": format_penalty,
        },
    }
    limits = Limits(cpu_seconds=seconds, wall_seconds=max(10.0, 5 * seconds), memory_mb=memory_mb)
    from rewards.sandbox.local.sandbox import LocalSandbox

    sandbox = get(imports=(PACKAGE,))
    if isinstance(sandbox, LocalSandbox):
        check_package()
    score = _read_score(await grading.grade(sandbox, task, limits, f"the grader of {data_source}"), name) or 0.0
    # The score for the format alone does not count as accuracy.
    accuracy = min(1.0, score) if score > max(0.0, format_score) else 0.0
    return {"score": score, "accuracy": accuracy, "format": float("</think>" in solution_str)}


def find_class(data_source: str) -> str:
    """Return the name of the class for a data source `bootcamp/<name>`."""
    name = data_source.removeprefix(_PREFIX)
    if name == data_source or not name.isidentifier():
        raise GroundTruthError(f"the data source is {data_source!r}, expected bootcamp/<name> such as bootcamp/Game24")
    return f"{name[0].upper()}{name[1:]}{_SUFFIX}"


def _read_score(report: Mapping[str, Any], name: str) -> float | None:
    """Return the reported score, or None if it is missing or not a number."""
    if "no_package" in report:
        how = _INSTALL.format("PYTHON")
        raise RewardError(f"reward bootcamp: {PACKAGE} does not import: {report['no_package']}; install it: {how}")
    if "no_class" in report:
        known = [str(each)[: -len(_SUFFIX)] for each in report["no_class"]]
        near = nearest(name[: -len(_SUFFIX)], known)
        hint = f"did you mean {_PREFIX + near!r}?" if near else f"it has {len(known)} others"
        raise GroundTruthError(f"{PACKAGE} has no class {name}; {hint}")
    if "error" in report:
        explain("verify_score raised {}", report["error"])
    score = report.get("score")
    return float(score) if isinstance(score, int | float) and math.isfinite(score) else None
