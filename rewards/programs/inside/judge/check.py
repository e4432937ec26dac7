"""The condition that a test sets for the value of one call."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from rewards.programs.inside.judge.comparison import NO_RULES, Rules, is_accepted
from rewards.programs.inside.judge.reports import unpack

Kind = Literal["accepted", "==", "!=", "is", "is not", "true", "false", "near", "isclose"]

_COMPARE = {"==": operator.eq, "!=": operator.ne, "is": operator.is_, "is not": operator.is_not}


@dataclass(frozen=True)
class Check:
    """The condition on the value of one call."""

    kind: Kind
    expected: Any = None
    relative: float = 0.0
    absolute: float = 0.0
    strict: bool = False
    """For `near`: below the bound, not equal to it."""
    alternatives: tuple[Any, ...] = ()
    """For `accepted`: further accepted values."""
    rules: Rules = NO_RULES
    """For `accepted`: what else is accepted."""

    def accepts(self, value: Any) -> bool:
        """Check a value of built-in types, for assertions exactly as Python does."""
        try:
            if self.kind == "accepted":
                return any(is_accepted(value, each, *self.rules) for each in (self.expected, *self.alternatives))
            if self.kind == "near":
                distance = abs(value - self.expected)
                return bool(distance < self.absolute if self.strict else distance <= self.absolute)
            if self.kind == "isclose":
                return math.isclose(value, self.expected, rel_tol=self.relative, abs_tol=self.absolute)
            if self.kind in ("true", "false"):
                return bool(value) is (self.kind == "true")
            return bool(_COMPARE[self.kind](value, self.expected))
        except (TypeError, ValueError, OverflowError, RecursionError, MemoryError):
            return False


def write_checks(checks: Sequence[Check], pack: Callable[[Any], Any]) -> list[Any]:
    """Return the checks as JSON data; `pack` is that of `inside/calls.py`."""
    return [{each.name: pack(getattr(check, each.name)) for each in fields(check)} for check in checks]


def read_checks(data: list[Any]) -> list[Check]:
    """Return the checks from the data of `write_checks`."""
    read = [{name: unpack(value) for name, value in each.items()} for each in data]
    return [Check(**{**each, "rules": Rules(*each["rules"])}) for each in read]
