"""Where an output is judged: here only within bounds, else in the sandbox, with the same result."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

import pytest

from rewards.parsing.assertion import Arguments
from rewards.programs import judging
from rewards.programs.candidate import Outcome, call_function, pack_arguments
from rewards.programs.inside.judge.check import Check, Kind
from rewards.programs.inside.judge.comparison import Rules
from rewards.sandbox import Limits

LIMITS = Limits(cpu_seconds=5, wall_seconds=60, output_bytes=4_000_000)


def _call(code: str, *checks: Check) -> list[Outcome]:
    calls = [pack_arguments(Arguments((number,))) for number in range(len(checks))]
    return asyncio.run(call_function(code, "f", calls, LIMITS, checks=checks))


def _report(text: str) -> str:
    return f'{{"i": 0, "v": {text}}}\n'


@pytest.mark.parametrize(
    ("output", "kind", "small"),
    [
        (_report("2"), "==", True),
        (_report("[" + "1, " * 10_000 + "1]"), "==", True),
        (_report("[" + "1, " * 10_700 + "1]"), "==", False),
        (_report('"' + "x" * 31_000 + '"'), "==", True),
        (_report('"' + "x" * 32_000 + '"'), "==", False),
        (_report('{"i": "0x1"}') * 900, "==", True),
        (_report('{"s": [' + "1, " * 900 + "1]}"), "==", True),
        (_report('{"s": [' + "1, " * 1100 + "1]}"), "==", False),
        (_report('{"\\u0073": [' + "1, " * 1100 + "1]}"), "==", False),
        (_report('{"s": [' + '{"i": "0x1"}, ' * 1100 + "1]}"), "==", False),
        (_report("[" + "1, " * 50 + "1]"), "any order", True),
        (_report("[" + "1, " * 150 + "1]"), "any order", False),
        (_report("[" + "[1], " * 80 + "1]"), "any order", False),
        ("[],\n" * 10_000, "==", False),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bounds(output: str, kind: Kind | Literal["any order"], small: bool) -> None:
    check = Check("accepted", rules=Rules(any_order=True)) if kind == "any order" else Check(kind)
    assert judging.is_small(output, [check]) is small


VALUES: list[tuple[str, Check]] = [
    ("'x' * 300_000", Check("accepted", "x" * 300_000)),
    ("list(range(50_000))", Check("==", list(range(50_000)))),
    ("list(range(50_000))", Check("accepted", 7, alternatives=(list(range(50_000)),))),
    ("list(range(1500))[::-1]", Check("accepted", list(range(1500)), rules=Rules(any_order=True))),
    ("tuple(range(50_000))", Check("==", tuple(range(50_000)))),
    ("{n: {n} for n in range(10_000)}", Check("==", {n: {n} for n in range(10_000)})),
    ("10 ** 100_000", Check("==", 10**100_000)),
    ("b'x' * 100_000", Check("!=", b"x")),
    ("['a'] * 50_000", Check("true")),
]


@pytest.mark.parametrize(("source", "check"), VALUES, ids=[source for source, _ in VALUES])
def test_large_value(source: str, check: Check) -> None:
    right, wrong = _call(f"def f(n):\n    return {source}", check, Check("is", None))
    assert (right.returned, right.accepted, wrong.returned, wrong.accepted) == (True, True, True, False)
    assert len(repr(right.value)) < 400


def test_values_here_and_in_the_sandbox_are_judged_alike() -> None:
    code = "def f(n):\n    if n == 1: raise ValueError('no')\n    return [n] * (40_000 if n == 3 else 1)"
    outcomes = _call(code, Check("==", [0]), Check("==", 1), Check("==", [0]), Check("==", [3] * 40_000))
    assert [(each.returned, each.accepted) for each in outcomes] == [(True, True), (False, None), (True, False), (True, True)]
    assert outcomes[1].error == "ValueError: no"
    assert repr(outcomes[2].value) == "[2]"


FORGED = {
    "empty lists": "b'{\"i\": 0, \"v\": [' + b'[],' * 1_000_000 + b'[]]}\\n'",
    "lines": 'b\'{"i": 9, "v": 1}\\n\' * 150_000',
    "colliding": "b'{\"i\": 0, \"v\": {\"s\": [' + b','.join(b'%d' % (k * (2**61 - 1)) for k in range(40_000)) + b']}}\\n'",
    "deep": "b'{\"i\": 0, \"v\": ' + b'[' * 1_000_000 + b']' * 1_000_000 + b'}\\n'",
    "long number": "b'{\"i\": 0, \"v\": ' + b'9' * 1_000_000 + b'}\\n'",
    "not UTF-8": "b'{\"i\": 0, \"v\": \"' + b'\\xff' * 1_000_000 + b'\"}\\n'",
}


@pytest.mark.parametrize("line", FORGED.values(), ids=FORGED)
def test_large_forged_output_is_a_wrong_answer(line: str) -> None:
    code = f"import os\ndata = {line}\nfor number in range(3, 12):\n    try:\n        os.fstat(number)\n        rest = data\n"
    code += "        while rest: rest = rest[os.write(number, rest):]\n        break\n    except OSError: pass\nos._exit(0)"
    (outcome,) = _call(code, Check("==", 2))
    assert not outcome.accepted


def test_judge_over_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "_LIMITS", Limits(cpu_seconds=5, wall_seconds=60, memory_mb=160))
    small, large = _call("def f(n):\n    return [[]] * (1_000_000 * n)", Check("==", []), Check("==", [[]]))
    assert (small.accepted, large.returned) == (True, False)


@pytest.mark.parametrize(
    ("output", "expected", "options", "accepted"),
    [
        ("7" * 300_000 + "\n", "7" * 300_000, {}, True),
        ("\n".join(f"{n}.0" for n in range(9000)), "\n".join(map(str, range(9000))), {}, True),
        ("\n".join(f"{n}.5" for n in range(9000)), "\n".join(map(str, range(9000))), {}, False),
        ("x " * 100_000, "y", {}, False),
        ("a \ufffd\r\nb", "a \ufffd\nb", {}, True),
        ("\n".join(map(str, range(500, 0, -1))), "\n".join(map(str, range(1, 501))), {"any_order": True}, True),
        ("\n".join(map(str, range(500))), "\n".join(map(str, range(1, 501))), {"any_order": True}, False),
    ],
    ids=lambda value: str(value)[:20],
)
def test_texts(output: str, expected: str, options: dict[str, Any], accepted: bool) -> None:
    assert asyncio.run(judging.accepts_text(output, expected, **options)) is accepted


@pytest.mark.parametrize("output", ["1 " * 5000, "1" * 40_000], ids=["words", "characters"])
def test_long_text_that_differs_is_not_compared_here(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    async def run(task: str, given: str) -> str:
        asked.append(json.loads(task))
        return ""  # the judge exceeded its limits

    monkeypatch.setattr(judging, "_run", run)
    assert asyncio.run(judging.accepts_text(output, output)) is True
    assert asyncio.run(judging.accepts_text(output, "2")) is False
    assert asked == [{"expected": "2", "options": {}}]
