"""evalplus: the expected values are what the published solution returns, compared as EvalPlus compares them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from preprocess.converters.evalplus.inputs import quote_infinities, restore_types
from preprocess.converters.evalplus.literals import write
from preprocess.engine.convert import convert
from preprocess.engine.job import Source
from preprocess.errors import RowError
from preprocess.rows import RlRow, to_json
from rewards.entry import compute_score_blocking
from rewards.parsing.answers import make_response
from rewards.parsing.blocks import write_block
from tests import ROOT
from tests.preprocess.converters.code_rows import convert_record, judge, take_reject, take_rl

REAL = ROOT.parent / "shared" / "data"
RECORD: dict[str, Any] = {
    "task_id": "HumanEval/3",
    "prompt": 'from typing import List\n\n\ndef halves(values: List[int]) -> List[float]:\n    """ Halves them. """\n',
    "entry_point": "halves",
    "canonical_solution": "    return [value / 2 for value in values]\n",
    "base_input": [[[1]]],
    "plus_input": [[[]], [[3, 1e9]]],
    "atol": 0,
}
MBPP: dict[str, Any] = {
    "task_id": "Mbpp/9001",
    "prompt": '"""\nWrite a function that adds.\nassert add(1, 2) == 3\n"""\n',
    "entry_point": "add",
    "canonical_solution": "\ndef add(a, b):\n  return a + b\n",
    "base_input": [[1, 2]],
    "plus_input": [["x", "y"], [0.1, 0.2], [4, 5]],
    "atol": 0,
}


def test_tests_are_what_the_solution_returns(tmp_path: Path) -> None:
    row = take_rl(convert_record("evalplus", "rl", tmp_path, RECORD))
    assert (row.id, row.data_source) == ("HumanEval/3", "humaneval_plus")
    assert isinstance(row.ground_truth, dict)
    assert row.ground_truth["functional"].endswith(
        "\n\ndef check(candidate):\n    assert is_same(candidate([1]), [0.5], 1e-06)\n    assert candidate([]) == []\n"
        "    assert is_same(candidate([3, 1000000000.0]), [1.5, 500000000.0], 1e-06)\n\ncheck(halves)"
    )
    assert row.ground_truth["prelude"] == "from typing import List"


@pytest.mark.parametrize(
    ("program", "score"),
    [
        ("return [v * 0.5 for v in values]", 1.0),
        ("return [v / 2 + 9e-7 for v in values]", 1.0),
        ("return [v / 2 + 2e-6 for v in values]", 2 / 3),  # for 50.0, 1e-7 of it is more
        ("return tuple(v / 2 for v in values)", 0.0),
        ("return [v / 2 for v in values] + [0]", 0.0),
    ],
)
def test_floats_in_lists(tmp_path: Path, program: str, score: float) -> None:
    row = take_rl(convert_record("evalplus", "rl", tmp_path, {**RECORD, "plus_input": [[[]], [[100]]]}))
    assert judge(row, f"def halves(values):\n    {program}") == pytest.approx(score)


def test_statement_of_mbpp(tmp_path: Path) -> None:
    row = take_rl(convert_record("evalplus", "rl", tmp_path, MBPP))
    assert row.data_source == "mbpp_plus"
    assert row.prompt[0].content.startswith(
        "Write a function that adds.\nassert add(1, 2) == 3\n```python\ndef add(a, b):\n```\n"
    )
    assert judge(row, "def add(a, b):\n    return a + b") == 1.0
    assert judge(row, "def add(a, b):\n    return 3") == 0.25


def make_mbpp(function: str, body: str, *inputs: list[Any], **changes: Any) -> dict[str, Any]:
    program = f"\ndef {function}(*given):\n    {body}\n"
    return {**MBPP, "entry_point": function, "canonical_solution": program, "base_input": inputs, "plus_input": {}, **changes}


@pytest.mark.parametrize(
    ("function", "body", "given", "right", "wrong"),
    [
        ("Diff", "return [1, 2]", [1], "return (2, 1, 1)", "return [1]"),
        ("check_str", "import re; return re.match('a', given[0])", ["ab"], "return 'something'", "return None"),
        ("check_str", "import re; return re.match('a', given[0])", ["b"], "return None", "return 'something'"),
        ("check_str", "import re; return re.match('a', given[0])", ["ab"], "return True", "return False"),
        ("are_equivalent", "return 1", [1, 2], "return 'anything'", "raise ValueError"),
        ("sum_div", "return 7", [8], "return 0", "return 8"),
        ("surface_Area", "return 33", [3, 4], "return 35", "return 34"),
        ("digit_distance_nums", "return 1", [1, 2], "return 1", "return 2"),
        ("digit_distance_nums", "return 9", [19, 20], "return 10", "return 1"),
    ],
)
def test_oracles_of_mbpp(tmp_path: Path, function: str, body: str, given: list[Any], right: str, wrong: str) -> None:
    row = take_rl(convert_record("evalplus", "rl", tmp_path, make_mbpp(function, body, given)))
    assert judge(row, f"def {function}(*given):\n    {right}") == 1.0
    assert judge(row, f"def {function}(*given):\n    {wrong}") == 0.0


def test_any_root_of_a_polynomial(tmp_path: Path) -> None:
    record = {
        **RECORD,
        "prompt": "def find_zero(xs):\n    '''A root.'''\n",
        "entry_point": "find_zero",
        "canonical_solution": "    return 1.0\n",
        "base_input": [[[-1, 0, 1]]],
        "plus_input": [],
        "atol": 0.0001,
    }
    row = take_rl(convert_record("evalplus", "rl", tmp_path, record))
    assert [judge(row, f"def find_zero(xs):\n    return {x}") for x in (1, -1.00001, 1.1)] == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("body", "tolerance", "right", "wrong"),
    [
        ("return 1 / 3", 0, "return 0.3333338", "return 0.33334"),
        ("return 1 / 3", 1e-4, "return 0.33334", "return 0.334"),
        ("return float('inf')", 0, "return 1e999", "return 0"),
        ("return (1, 2)", 1e-4, "return (1, 2)", "return [1, 2]"),
        ("return 10 ** 5000", 0, "return 10 ** 5000", "return 10 ** 5000 + 1"),
        ("return {1: {2}}", 0, "return {1: {2}}", "return {1: [2]}"),
    ],
)
def test_tolerance(tmp_path: Path, body: str, tolerance: float, right: str, wrong: str) -> None:
    row = take_rl(convert_record("evalplus", "rl", tmp_path, make_mbpp("f", body, [1], atol=tolerance)))
    assert [judge(row, f"def f(*given):\n    {each}") for each in (right, wrong)] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"task_id": "Other/1"}, "task_id is 'Other/1', expected HumanEval/N or Mbpp/N"),
        ({"canonical_solution": "    return 1 / 0\n"}, "canonical_solution fails for input 1: ZeroDivisionError"),
        ({"canonical_solution": "    return object()\n"}, "canonical_solution fails for input 1: TypeError"),
        ({"canonical_solution": "    return float('nan')\n"}, "a value of the type float has no literal"),
        ({"entry_point": "other"}, "canonical_solution fails for input 1"),
        ({"plus_input": [3]}, "plus_input[0] is a number, expected a list"),
    ],
)
def test_rejected(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    kind, found = take_reject(convert_record("evalplus", "rl", tmp_path, {**RECORD, **change}))
    assert (kind, found[: len(reason)]) == ("rejected", reason)


def test_a_problem_without_tests_is_left_out(tmp_path: Path) -> None:
    record = {**RECORD, "base_input": [], "plus_input": []}
    assert take_reject(convert_record("evalplus", "rl", tmp_path, record)) == ("left_out", "it has no tests")


def test_inputs_with_huge_values_are_left_out(tmp_path: Path) -> None:
    record = make_mbpp("repeat", "return [0] * given[0]", [2], [10**6], [3])
    row = take_rl(convert_record("evalplus", "rl", tmp_path, record))
    assert isinstance(row.ground_truth, dict)
    assert row.ground_truth["functional"].splitlines()[1:3] == [
        "    assert candidate(2) == [0, 0]",
        "    assert candidate(3) == [0, 0, 0]",
    ]


def test_number_of_tests(tmp_path: Path) -> None:
    row = take_rl(convert_record("evalplus", "rl", tmp_path, RECORD, max_tests=2))
    assert isinstance(row.ground_truth, dict)
    assert row.ground_truth["functional"].count("    assert ") == 2


@pytest.mark.parametrize(
    ("number", "given", "restored"),
    [
        (2, [[1], [2]], [(1,), (2,)]),
        (63, [[[1], [2]]], [[(1,), (2,)]]),
        (75, [[[1]], 2], [[(1,)], 2]),
        (106, [1, [2]], [1, (2,)]),
        (115, [[[1], []]], [[{1}, {}]]),
        (124, ["1.5", "1j"], [1.5, 1j]),
        (250, [[1], 2], [(1,), 2]),
        (259, [[[1]], [[2]]], [((1,),), ((2,),)]),
        (278, [[1, [2]]], [(1, (2,))]),
        (307, [[1], 2, 3], [(1,), 2, 3]),
        (722, [{"a": [1]}, 2], [{"a": (1,)}, 2]),
        (252, ["1+2j"], [1 + 2j]),
        (580, [[1, [2]]], [(1, (2,))]),
        (404, ["-Infinity", 1], [float("-inf"), 1]),
        (3, [[1]], [[1]]),
    ],
)
def test_types_that_json_has_not(number: int, given: list[Any], restored: list[Any]) -> None:
    assert restore_types(f"Mbpp/{number}", [given]) == [restored]


def test_input_of_another_form() -> None:
    with pytest.raises(RowError, match="an input of Mbpp/2 has another form than in EvalPlus: "):
        restore_types("Mbpp/2", [[1]])


def test_infinities_in_a_record() -> None:
    assert quote_infinities(b'{"a": [[-Infinity, Infinity]], "b": "Infinity"}') == (
        b'{"a": [["-Infinity", "Infinity"]], "b": "Infinity"}'
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(10**5000, f"int('{10**5000:x}', 16)", id="long"),
        ({"b", "a"}, "{'a', 'b'}"),
        (set(), "set()"),
        ((1,), "(1,)"),
        (float("-inf"), "-1e999"),
        ({"k": [True, None, 1j]}, "{'k': [True, None, 1j]}"),
    ],
)
def test_literals(value: Any, text: str) -> None:
    assert write(value) == text


@pytest.mark.nightly
@pytest.mark.skipif(not REAL.exists(), reason="EvalPlus' files are missing")
@pytest.mark.parametrize(("name", "count"), [("HumanEvalPlus", 164), ("MbppPlus", 378)])
def test_published_solutions_pass(name: str, count: int) -> None:
    result = convert([Source("evalplus", REAL / f"{name}-NoExtreme.jsonl.gz")], "rl")
    assert (len(result.rows), result.rejects) == (count, [])
    options = {"max_tests": 10_000, "seconds": 60.0}
    failed = []
    for row in result.rows:
        assert isinstance(row, RlRow)
        answer = make_response(write_block(row.detail["solution"]))
        given = {"data_source": row.data_source, "ground_truth": to_json(row.ground_truth), "extra_info": {"id": row.id}}
        score = compute_score_blocking(solution_str=answer, **given, rewards=[{"name": "code_tests", "options": options}])
        failed += [] if score["accuracy"] == 1.0 else [row.id]
    assert failed == []
