"""Reports of what answers that cost nothing earn."""

from __future__ import annotations

import json
from typing import Any

from rewards.plugins.loading import load
from rewards.registry import Free, Reward
from rewards.trial.checking import check_rows
from rewards.trial.free import FreeReport
from rewards.trial.offline import Row


def _row(index: int, source: str, truth: dict[str, Any], prompt: str = "", solution: str = "") -> Row:
    info = {"id": f"{source}/{index}", "detail": json.dumps({"solution": solution})}
    return Row(index, f"{source}/{index}", source, json.dumps(truth), info, prompt)


PARITY = {"inputs": ["1", "3", "5", "6"], "outputs": ["ODD", "ODD", "ODD", "EVEN"]}
EVENS = {"inputs": ["1", "2"], "outputs": ["", "2"]}
ADD = {"fn_name": "add", "inputs": [[1, 2], [3, 4]], "outputs": [3, 7]}


def test_report_by_source() -> None:
    rows = [_row(0, "a", PARITY), _row(1, "a", EVENS), _row(2, "b", ADD, "add(1, 2) is 3, add(3, 4) is 7")]
    parity, calls = check_rows(load("code_tests"), {}, rows).free
    assert parity == FreeReport(
        source="a",
        rows=2,
        nothing=0.25,
        constant="print ODD",
        constant_earns=0.375,
        row_constant_earns=0.625,
        shown=0,
        blank=1,
    )
    assert (calls.source, calls.nothing, calls.row_constant_earns, calls.shown, calls.blank) == ("b", 0.0, 0.5, 1, 0)


def test_options_close_what_is_reported() -> None:
    rows = [_row(0, "a", PARITY), _row(1, "a", EVENS)]
    (required,) = check_rows(load("code_tests"), {"free_tests": "require_all"}, rows).free
    assert (required.nothing, required.constant, required.row_constant_earns) == (0.0, "", 0.0)
    (excluded,) = check_rows(load("code_tests"), {"free_tests": "exclude"}, rows).free
    assert excluded.nothing == 0.0


def test_a_reward_that_does_not_know_and_broken_rows_are_left_out() -> None:
    def score(data_source: str, solution_str: str, ground_truth: str, extra_info: Any) -> float:
        return 1.0

    assert check_rows(Reward("mine", score), {}, [_row(0, "a", PARITY)]).free == ()
    broken = Reward("mine", score, free=lambda truth, info, prompt: Free(prompt[1], {}, False, False))
    assert check_rows(broken, {}, [_row(0, "a", PARITY)]).free == ()
    assert check_rows(load("code_tests"), {}, [_row(0, "a", {"inputs": []})]).free == ()
