"""Judge outputs in the sandbox if judging them here could hold up other rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rewards.programs.inside.calls.values import pack
from rewards.programs.inside.judge.check import Check, write_checks
from rewards.programs.inside.judge.comparison import is_accepted_text
from rewards.sandbox import Limits, Program, get

_LONGEST = 32_000
"""Characters of an output that is judged here."""
_MOST_WORDS = 4000
_MOST_HASHED = 1000
"""Nodes of an output with sets and dictionaries: hashes may collide, which takes quadratic time."""
_MOST_UNORDERED = 100
"""Items or words to compare in any order, which takes quadratic time."""
_LIMITS = Limits(cpu_seconds=10, wall_seconds=60)


def is_small(output: str, checks: Sequence[Check] = ()) -> bool:
    """Check that reading the reports in an output, and comparing their values, takes a few milliseconds at most."""
    if len(output) > _LONGEST:
        return False
    nodes = output.count(",") + output.count("[")
    if any(check.rules.any_order for check in checks):
        return nodes <= _MOST_UNORDERED
    # Reports and large integers begin like this. Any further object is a container.
    return output.count("{") == output.count('{"i": ') or nodes <= _MOST_HASHED


async def judge_calls(output: str, checks: Sequence[Check]) -> dict[int, dict[str, Any]]:
    """Judge the reports in an output, of any size, in the sandbox.

    Returns:
        By the number of the call, or -1 for the program: `ok` and `got`, or `e` (see `inside/judge`). Calls that the judge
        cannot judge within its limits are missing.

    Raises:
        SandboxError: The sandbox failed.
    """
    import asyncio  # only here: `pipeline plan` imports this module with the rewards

    # In a thread, because the expected values may be large, too.
    task = await asyncio.to_thread(lambda: json.dumps({"checks": write_checks(checks, pack)}))
    verdicts = map(json.loads, (await _run(task, output)).splitlines())
    return {verdict["i"]: verdict for verdict in verdicts}


async def accepts_text(output: str, expected: str, **options: Any) -> bool:
    """Compare an output with the expected text as `is_accepted_text` does; in the sandbox if it is large and differs.

    Raises:
        SandboxError: The sandbox failed.
    """
    if output.strip() == expected.strip():
        return True
    most = _MOST_UNORDERED if options.get("any_order") else _MOST_WORDS
    if len(output) <= _LONGEST and len(output.split()) <= most:
        return is_accepted_text(output, expected, **options)
    verdict = await _run(json.dumps({"expected": expected, "options": options}), output)
    return bool(verdict) and json.loads(verdict)["ok"] is True


async def _run(task: str, output: str) -> str:
    """Return what the judge wrote up to the end of its last whole line."""
    execution = await get().run(Program(task, output, "rewards.programs.inside.judge"), _LIMITS)
    return execution.output[: execution.output.rfind("\n") + 1]
