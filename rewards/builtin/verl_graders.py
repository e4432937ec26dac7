"""verl: verl's own graders.

The sources of the graders are read from the installed verl and run in the sandbox: some evaluate text of the response, and
importing verl would load torch and Ray in every worker. verl's grader for competitive programming hangs and leaves orphaned
processes, so code_tests scores those data sources.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rewards.builtin import code_tests, grading
from rewards.builtin.grading import Isolation
from rewards.builtin.option_ranges import check_ranges
from rewards.errors import GroundTruthError, MissingModuleError, RewardError
from rewards.reasons import explain
from rewards.registry import Free, register
from rewards.sandbox import Limits, get
from rewards.suggestions import any_of, did_you_mean

CODE_SOURCES = ("codecontests", "apps", "codeforces", "taco")
"""Data sources scored by code_tests."""
_PACKAGE = "verl.utils.reward_score"


def make_reference(ground_truth: Any, extra_info: Mapping[str, Any]) -> str | None:
    """Return the answer in every form that the graders read, or for tests the reference of code_tests."""
    truth = read_truth(ground_truth)
    if isinstance(truth, dict):
        if "target" not in truth:
            return code_tests.make_reference(ground_truth, extra_info)
        targets = truth["target"]
        truth = targets if isinstance(targets, str) else targets[0]
    return f"<think>\n…\n</think>\nAnswer: {truth}\n<answer>{truth}</answer>\n#### {truth}\n\\boxed{{{truth}}}"


def make_cheats(ground_truth: Any, extra_info: Mapping[str, Any]) -> dict[str, str]:
    """Return responses without an answer and with code for the grader, or for tests the cheats of code_tests."""
    truth = read_truth(ground_truth)
    if isinstance(truth, dict) and "target" not in truth:
        return code_tests.make_cheats(ground_truth, extra_info)
    return {
        "nothing in a box": "<think>\n…\n</think>\nAnswer: \n<answer></answer>\n#### \n\\boxed{}",
        "equal to all": "\\boxed{type('E', (), {'__eq__': lambda *_: True})()}",
        "exit": "\\boxed{exit()} \\boxed{__import__('os')._exit(0)}",
        **{name: grading.present(code) for name, code in grading.FORGERIES.items()},
    }


def make_free(ground_truth: Any, extra_info: Mapping[str, Any], prompt: str) -> Free | None:
    """Return what the tests of a row give away."""
    truth = read_truth(ground_truth)
    return code_tests.make_free(ground_truth, extra_info, prompt) if isinstance(truth, dict) and "target" not in truth else None


@register("verl", reference=make_reference, cheats=make_cheats, free=make_free, check=check_ranges)
async def verl(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any],
    *,
    seconds: float = 10.0,
    memory_mb: int = 1024,
    isolation: Isolation = "strong",
) -> dict[str, float]:
    """Score with verl's own grader for the row's data source: gsm8k, MATH, DAPO, Numina, searchR1 …

    Args:
        seconds: CPU time per response. Beyond it, the score is 0.
        memory_mb: Memory per response in MiB.
        isolation: `strong` evaluates only expressions of the response, without running code; `weak` lets the grader run any.

    Raises:
        GroundTruthError: verl has no grader for the data source, or it needs the isolation `weak`.
        RewardError: verl, or a package that the grader needs, is not installed.
    """
    if data_source in CODE_SOURCES:
        return dict(await code_tests.code_tests(data_source, solution_str, ground_truth, extra_info))
    graders, folder = read_graders()
    module = find_grader(data_source, graders)
    modules = find_modules(module, folder)
    from rewards.sandbox.local.sandbox import LocalSandbox

    sandbox = get(imports=modules)
    missing = [top for name in modules if importlib.util.find_spec(top := name.partition(".")[0]) is None]
    if missing and isinstance(sandbox, LocalSandbox):
        raise MissingModuleError(
            f"reward verl: verl's grader for {data_source} needs {missing[0]}, which is not installed: "
            f"uv pip install --python {sys.executable} {missing[0]}"
        )
    task = {
        "grader": "verl",
        "isolation": isolation,
        "sources": read_sources(module, folder),
        "data_source": data_source,
        "response": solution_str,
        "truth": read_truth(ground_truth),
    }
    limits = Limits(cpu_seconds=seconds, wall_seconds=max(20.0, 3 * seconds), memory_mb=memory_mb)
    values = _read_result(await grading.grade(sandbox, task, limits, f"verl's grader of {data_source}"))
    score = values.get("score", 0.0)
    return {"score": score, "accuracy": min(1.0, max(0.0, values.get("acc", score))), "format": 0.0}


@functools.cache
def read_graders() -> tuple[Mapping[str, str], Path]:
    """Parse the source of verl's `default_compute_score`.

    Returns:
        Data source, or prefix with `*` -> module of its grader; and the folder of the modules.
    """
    spec = importlib.util.find_spec("verl")
    if spec is None or not spec.submodule_search_locations:
        raise MissingModuleError(
            "reward verl: verl is not installed in this Python; score with that of verl's environment (`pipeline env`)"
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / "utils" / "reward_score"
    try:
        tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    except (OSError, SyntaxError) as error:
        raise RewardError(f"reward verl: verl's graders are not at {folder}: {error}") from error
    graders: dict[str, str] = {}
    for branch in ast.walk(tree):
        imports = [each for each in branch.body if isinstance(each, ast.ImportFrom)] if isinstance(branch, ast.If) else []
        if not imports or not isinstance(branch, ast.If):
            continue
        module = imports[0].names[0].name
        for node in ast.walk(branch.test):
            if isinstance(node, ast.Call):
                graders |= dict.fromkeys([f"{text}*" for each in node.args for text in _texts(each)], module)
            elif isinstance(node, ast.Compare):
                graders |= dict.fromkeys([text for each in node.comparators for text in _texts(each)], module)
    if not graders:
        raise RewardError(f"reward verl: no data source found in {folder / '__init__.py'}; this project supports verl 0.9")
    return graders, folder


def find_grader(data_source: str, graders: Mapping[str, str]) -> str:
    """Return the module that grades a data source."""
    for name, module in graders.items():
        if data_source == name or (name.endswith("*") and data_source.startswith(name[:-1])):
            return module
    known = sorted({*(name for name in graders if not name.endswith("*")), *CODE_SOURCES})
    hint = did_you_mean(data_source, known) or f"; expected {any_of(known)}"
    raise GroundTruthError(f"verl has no grader for the data source {data_source!r}{hint}")


def _texts(node: ast.AST) -> list[str]:
    return [each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]


@functools.cache
def read_sources(module: str, folder: Path) -> Mapping[str, str]:
    """Return the sources of the package of graders and of one of its modules, by dotted name."""
    files = {_PACKAGE: folder / "__init__.py"}
    if (folder / module).is_dir():
        files |= {f"{_PACKAGE}.{module}.{path.stem}": path for path in sorted((folder / module).glob("*.py"))}
        files[f"{_PACKAGE}.{module}"] = files.pop(f"{_PACKAGE}.{module}.__init__")
    else:
        files[f"{_PACKAGE}.{module}"] = folder / f"{module}.py"
    return {name: path.read_text(encoding="utf-8") for name, path in files.items()}


@functools.cache
def find_modules(module: str, folder: Path) -> tuple[str, ...]:
    """Return the third-party modules that a module of graders imports, for the sandbox to preload."""
    found: set[str] = set()
    for source in read_sources(module, folder).values():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                found |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                inner = [f"{node.module}.{each.name}" for each in node.names]
                found |= {node.module, *filter(_is_module, inner)}
    known = sys.stdlib_module_names | {"verl"}
    found = {name for name in found if name.partition(".")[0] not in known}
    return tuple(sorted(found | {late for name, late in _IMPORTED_LATE.items() if name in found and _is_module(late)}))


# Imported inside a function, so not preloaded with its module. In every fresh process this would take a quarter of a second.
_IMPORTED_LATE = {"sympy.parsing.latex": "sympy.parsing.latex._parse_latex_antlr"}


def _is_module(name: str) -> bool:
    """Check that a module exists, without importing its package."""
    top, *inner = name.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        return False
    path = Path(next(iter(spec.submodule_search_locations)), *inner)
    return path.with_name(f"{path.name}.py").is_file() or (path / "__init__.py").is_file()


def read_truth(ground_truth: Any) -> Any:
    """Return the ground truth for the graders: a text, or for searchR1 an object with `target`.

    For JSON text `{"answer": …}`, written by this project's converters, return the answer.
    """
    if not isinstance(ground_truth, str):
        if not isinstance(ground_truth, dict):
            return str(ground_truth)
        # Lists from parquet are numpy arrays in verl's process.
        return json.loads(json.dumps(ground_truth, default=lambda array: array.tolist()))
    try:
        read = json.loads(ground_truth)
    except ValueError:
        return ground_truth
    if not isinstance(read, dict):
        return ground_truth
    return str(read["answer"]) if set(read) == {"answer"} else read


def _read_result(report: Mapping[str, Any]) -> dict[str, float]:
    """Return the grader's numbers, or nothing if they are missing or not finite."""
    if "error" in report:
        if str(report["error"]).startswith("ModuleNotFoundError"):
            raise RewardError(f"reward verl: a package is missing in the sandbox: {report['error']}")
        explain("the grader raised {}", report["error"])
    values = {str(name): float(value) for name, value in report.get("result", {}).items()}
    return values if "score" in values and all(map(math.isfinite, values.values())) else {}
