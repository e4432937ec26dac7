"""Run verl's own graders in the sandbox, because some of them evaluate code in the response.

Reads a JSON object: `sources` (module -> source of verl's graders; verl itself would import torch and Ray), `data_source`,
`response`, `truth` and `token`. Writes a JSON line with the token and `result` or `error`.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@contextlib.contextmanager
def _no_limit(seconds: float = 0, error_message: str = "") -> Iterator[None]:
    """Replace verl's time limit, which needs signals or processes. The sandbox has its own limit."""
    yield


class _Sources(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports modules from sources."""

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


def main(code: str) -> None:
    """Grade one response."""
    task = json.loads(code)
    channel = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
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
    try:
        graders = importlib.import_module("verl.utils.reward_score")
        found = graders.default_compute_score(task["data_source"], task["response"], task["truth"])
        named = found if isinstance(found, dict) else {"score": found}
        result = {name: float(value) for name, value in named.items() if isinstance(value, int | float)}
    except BaseException as error:
        report = {"error": f"{type(error).__name__}: {error}"[:300], "missing": getattr(error, "name", None)}
    else:
        report = {"result": result}
    os.write(channel, (json.dumps({"token": task["token"], **report}) + "\n").encode())
