"""`pytest.mark` and `pytest.param`."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

from rewards.programs.inside.isolated_tests.errors import Unsupported

_NO_EFFECT = {"timeout", "slow", "order", "unit", "integration", "filterwarnings", "usefixtures", "dependency", "run"}


class Mark:
    """A mark with its arguments."""

    def __init__(self, name: str, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> None:
        self.name, self.args, self.kwargs = name, args, kwargs or {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and (inspect.isfunction(args[0]) or isinstance(args[0], type)):
            marked: Any = args[0]
            marked._marks = [*marked.__dict__.get("_marks", ()), self]
            return marked
        return Mark(self.name, args, kwargs)


class Marks:
    """Creates marks by name."""

    def __getattr__(self, name: str) -> Mark:
        if name not in {"parametrize", "skip", "skipif", "xfail", *_NO_EFFECT}:
            raise Unsupported(f"pytest.mark.{name}")
        return Mark(name)


mark = Marks()


class Parameters(NamedTuple):
    """A parameter set with marks."""

    values: tuple[Any, ...]
    marks: list[Mark]


def param(*values: Any, id: Any = None, marks: Any = ()) -> Parameters:  # noqa: A002
    """Return a parameter set."""
    return Parameters(values, [marks] if isinstance(marks, Mark) else list(marks))
