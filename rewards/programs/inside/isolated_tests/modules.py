"""The modules that programs and tests are run in, and the one that tests import."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rewards.programs.inside.isolated_tests.built_ins import keep_built_ins

if TYPE_CHECKING:
    from rewards.programs.inside.isolated_tests.tests_process import Judge

keep_built_ins(globals())


def make_module(name: str) -> dict[str, Any]:
    """The namespace of a module of its own: dataclasses and others look up the module of a class by its name."""
    module = type(sys)(name)
    sys.modules[name] = module
    return module.__dict__


class Solution(type(sys)):  # type: ignore[misc]
    """The module `solution`, as tests import it."""

    def __init__(self, judge: Judge) -> None:
        super().__init__("solution")
        self.__dict__["_judge"] = judge

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return self._judge.ask("names")
        if name.startswith("__"):
            raise AttributeError(name)
        return self._judge.name(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__"):  # the import system's
            self.__dict__[name] = value
        else:
            self._judge.ask("rename", name, value)
