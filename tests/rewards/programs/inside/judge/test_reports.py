"""Reports that a program forged: none may raise, fill memory, or take quadratic time."""

from __future__ import annotations

import time
from typing import Any

import pytest

from rewards.programs.inside.calls.values import pack
from rewards.programs.inside.judge.check import Check, read_checks, write_checks
from rewards.programs.inside.judge.comparison import Rules
from rewards.programs.inside.judge.reports import read_calls, unpack


def _read(*lines: str, calls: int = 2) -> dict[int, Any]:
    return {number: report.value for number, report in read_calls(lines, calls) if report.error is None}


@pytest.mark.parametrize(
    "value",
    [
        '{"b": 10000000000000}',
        '{"b": "abc"}',
        '{"b": [256]}',
        '{"b": {"1": 2}}',
        '{"c": ["a", 2]}',
        '{"c": [1, 2, 3]}',
        '{"c": 1, "d": 2}',
        '{"d": [[1]]}',
        '{"d": [[[], 1]]}',
        '{"d": 3}',
        '{"s": [[1]]}',
        '{"t": null}',
        '{"i": 5}',
        '{"i": "x"}',
        "{}",
        "[" * 5000 + "]" * 5000,
        "[" * 310 + "]" * 310,
        '{"t": [' * 200 + "]}" * 200,
        "9" * 4400,
        '{"s": [' + ",".join(str(k * (2**61 - 1)) for k in range(20_000)) + "]}",
        '{"d": [' + ",".join(f"[{k * (2**61 - 1)}, 0]" for k in range(20_000)) + "]}",
        '{"f": [' + ",".join(f'{{"i": "{k * (2**61 - 1):x}"}}' for k in range(20_000)) + "]}",
    ],
    ids=lambda value: value[:20],
)
def test_invalid_value_is_skipped(value: str) -> None:
    began = time.process_time()
    assert _read(f'{{"i": 0, "v": {value}}}', '{"i": 0, "v": 1}\n', '{"i": 1, "v": 2}') == {0: 1, 1: 2}
    assert time.process_time() - began < 5


@pytest.mark.parametrize("number", ["NaN", "Infinity", "[]", '"0"', "1e0", "-1", "-2", "2", "9" * 5000, "true", "null", " 0"])
def test_number_that_is_no_calls(number: str) -> None:
    assert _read(f'{{"i": {number}, "v": 1}}') == {}


def test_first_report_counts() -> None:
    assert _read('{"i": 0, "v": 1}', '{"i": 0, "v": 2}', '{"i": 1, "e": "no"}', '{"i": 1, "v": 3}') == {0: 1}


def test_beginning_of_a_report() -> None:
    lines = ['{"i": 0, "v": {"d": [[1, 2]]}}\n', f'{{"i": 1, "v": "{"x" * 1000}"}}\n']
    short, long = [report.beginning for _, report in read_calls(lines, 2)]
    assert short == '{"d": [[1, 2]]}'
    assert long.startswith('"xxx') and 100 < len(long) < 400


def test_nothing_is_read_after_the_last_report() -> None:
    lines = iter(['{"i": 0, "v": 1}', '{"i": 1, "v": 1}', "unread"])
    assert len(list(read_calls(lines, 2))) == 2
    assert list(lines) == ["unread"]


def test_error_of_the_program_itself() -> None:
    ((number, report),) = read_calls(['{"i": -1, "e": "' + "x" * 5000 + '"}'], 1)
    assert (number, report.error) == (-1, "x" * 300)


@pytest.mark.parametrize("value", [[-1, -2] * 5000, {(-1, n) for n in range(5000)}, {n: [n] for n in range(5000)}, b"\x00\xff"])
def test_large_values_are_read(value: Any) -> None:
    assert unpack(pack(value)) == value


def test_checks_are_sent_unchanged() -> None:
    checks = [
        Check("accepted", [1, (2,), 10**30], alternatives=({1: {2}}, b"x"), rules=Rules(any_order=True)),
        Check("near", 0.5, absolute=float("inf"), strict=True),
        Check("true"),
    ]
    assert read_checks(write_checks(checks, pack)) == checks
