"""What the published solutions return."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from preprocess.converters.evalplus.assertions import PRESENCE
from preprocess.errors import RowError
from rewards.parsing.assertion import Arguments
from rewards.programs.candidate import call_function, pack_arguments
from rewards.sandbox import Limits

_LIMITS = Limits(cpu_seconds=60.0, wall_seconds=300.0, memory_mb=4096, output_bytes=64_000_000)
"""Over all inputs of a problem."""
_LARGEST = 100_000
"""Items and characters of a value."""

# Runs after the solution, which is trusted.
_MEASURING = """

def evalplus_values(*given):
    value = {function}(*given)
    if {is_presence}:
        return [value is not None]
    size, waiting = 0, [value]
    while waiting and size <= {largest}:
        each = waiting.pop()
        size += len(each) if hasattr(each, "__len__") else 1
        if isinstance(each, dict):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, (list, tuple, set, frozenset)):
            waiting += each
    return [value] if size <= {largest} else []
"""


def run_solution(solution: str, family: str, function: str, inputs: Sequence[Sequence[Any]]) -> list[tuple[Sequence[Any], Any]]:
    """Return inputs with their values, without the few inputs with huge values: a row would not hold them.

    Raises:
        RowError: The solution fails for an input.
        SandboxError: Programs cannot be run.
    """
    is_presence = family == "Mbpp" and function in PRESENCE
    program = solution + _MEASURING.format(function=function, is_presence=is_presence, largest=_LARGEST)
    calls = [pack_arguments(Arguments(tuple(each))) for each in inputs]
    outcomes = asyncio.run(call_function(program, "evalplus_values", calls, _LIMITS))
    for number, outcome in enumerate(outcomes, 1):
        if not outcome.returned:
            raise RowError(f"canonical_solution fails for input {number}: {outcome.error}")
    return [(given, value) for given, outcome in zip(inputs, outcomes, strict=True) for value in outcome.value]
