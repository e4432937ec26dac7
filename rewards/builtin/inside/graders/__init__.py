"""Grade a response in the sandbox with code of another project, some of which evaluates text of the response.

Reads a JSON object: `token`, `grader` (`bootcamp` or `verl`), `isolation` and the grader's task (see the functions below).
Writes a JSON line with the token and the result or `error`; `refused` is the first expression that was not evaluated, and
`runs` is how the grader itself runs programs (see `evaluation`). With the isolation `weak` everything is evaluated, and code in
the response could search for the token and forge this line.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from rewards.builtin.inside.graders.evaluation import vetted


def main(code: str) -> None:
    task = json.loads(code)
    channel = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    try:
        report = {"bootcamp": _grade_puzzle, "verl": _grade_with_verl}[task["grader"]](task)
    except BaseException as error:
        report = {"error": _describe(error)}
    os.write(channel, (json.dumps({"token": task["token"], **report}) + "\n").encode())


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _grade_puzzle(task: Mapping[str, Any]) -> dict[str, Any]:
    """Score with a class of the installed InternBootcamp.

    The task has `package`, `name` (of the class), `response`, `identity`, `options` (of `verify_score`). The result is `score`,
    `no_package` (the reason) or `no_class` (the existing classes).
    """
    try:
        package = importlib.import_module(task["package"])
    except BaseException as error:
        return {"no_package": _describe(error)}
    bootcamp = getattr(package, task["name"], None)
    if bootcamp is None:
        return {"no_class": [name for name in dir(package) if name.lower().endswith("bootcamp")]}

    def grade() -> dict[str, Any]:
        return {"score": float(bootcamp.verify_score(task["response"], task["identity"], **task["options"]))}

    return _call(grade, task["package"], task["isolation"])


def _grade_with_verl(task: Mapping[str, Any]) -> dict[str, Any]:
    """Score with verl's own graders.

    The task has `sources` (module -> source of the graders; verl itself would import torch and Ray), `data_source`, `response`,
    `truth`. The result is `result`, numbers by name.
    """
    stubs: dict[str, dict[str, object]] = {
        "verl": {"__path__": []},
        "verl.utils": {"__path__": []},
        "verl.utils.import_utils": {"deprecated": lambda *_: lambda function: function},
        "verl.utils.py_functional": {"timeout_limit": _no_limit},
    }
    for name, contents in stubs.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(contents)
    sys.meta_path.insert(0, _Sources(task["sources"]))
    graders = importlib.import_module("verl.utils.reward_score")

    def grade() -> dict[str, Any]:
        found = graders.default_compute_score(task["data_source"], task["response"], task["truth"])
        named = found if isinstance(found, dict) else {"score": found}
        return {"result": {name: float(value) for name, value in named.items() if isinstance(value, int | float)}}

    return _call(grade, "verl", task["isolation"])


def _call(grade: Callable[[], dict[str, Any]], package: str, isolation: str) -> dict[str, Any]:
    """Return what `grade` reports, and what it was refused."""
    if isolation == "weak":
        return grade()
    with vetted(package) as record:
        try:
            report = grade()
        except BaseException as error:
            report = {"error": _describe(error)}
    return {**report, "refused": record.refused, "runs": record.runs}


@contextlib.contextmanager
def _no_limit(seconds: float = 0, error_message: str = "") -> Iterator[None]:
    """Replace verl's time limit, which needs signals or processes. The sandbox has its own limit."""
    yield


class _Sources(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    def __init__(self, sources: Mapping[str, str]) -> None:
        self.sources = sources

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self.sources:
            return None
        inside = any(name.startswith(f"{fullname}.") for name in self.sources)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=inside)

    def get_source(self, fullname: str) -> str:
        return self.sources[fullname]
