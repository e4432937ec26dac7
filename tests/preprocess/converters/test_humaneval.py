"""humaneval: whole programs, scored by the published assertions."""

from pathlib import Path
from typing import Any

import pytest

from preprocess.engine.convert import convert
from preprocess.engine.job import Source
from preprocess.rows import RlRow
from tests import ROOT
from tests.preprocess.converters.code_rows import convert_record, judge, take_reject, take_rl, take_sft

REAL = ROOT.parent / "shared" / "data" / "HumanEval.jsonl.gz"
RECORD: dict[str, Any] = {
    "task_id": "HumanEval/3",
    "prompt": 'from typing import List\n\n\ndef double(n):\n    """Twice."""\n    return 2 * n\n\n\n'
    'def double_all(values: List[int]) -> List[int]:\n    """ Doubles them. """\n',
    "canonical_solution": "    return [double(value) for value in values]\n",
    "test": "\n\nMETADATA = {}\n\n\ndef check(candidate):\n    assert candidate([]) == []\n    assert candidate([2]) == [4]\n",
    "entry_point": "double_all",
}


def test_row(tmp_path: Path) -> None:
    row = take_rl(convert_record("humaneval", "rl", tmp_path, RECORD))
    assert row.prompt[0].content.startswith("Complete the function double_all.\n```python\nfrom typing import List\n")
    assert row.ground_truth == {
        "functional": "METADATA = {}\n\ndef check(candidate):\n    assert candidate([]) == []\n"
        "    assert candidate([2]) == [4]\n\ncheck(double_all)",
        "prelude": 'from typing import List\n\n\ndef double(n):\n    """Twice."""\n    return 2 * n',
    }
    assert row.id == "HumanEval/3"
    assert row.detail["solution"] == f"{RECORD['prompt']}{RECORD['canonical_solution']}".strip()


def test_answer_may_omit_the_prelude(tmp_path: Path) -> None:
    row = take_rl(convert_record("humaneval", "rl", tmp_path, RECORD))
    alone = "def double_all(values: List[int]) -> List[int]:\n    return [double(value) for value in values]"
    assert judge(row, alone) == 1.0
    assert judge(row, "def double_all(values):\n    return values") == 0.5
    assert judge(row, "def another(values):\n    return []") == 0.0


def test_assertions_compare_like_python(tmp_path: Path) -> None:
    row = take_rl(convert_record("humaneval", "rl", tmp_path, RECORD))
    assert judge(row, "def double_all(values):\n    return tuple(2 * value for value in values)") == 0.0


def test_whole_program_is_taught(tmp_path: Path) -> None:
    answer = take_sft(convert_record("humaneval", "sft", tmp_path, RECORD)).conversations[1].value
    assert "```python\nfrom typing import List\n" in answer
    assert "    return [double(value) for value in values]\n```" in answer


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"test": "def check("}, "test does not parse: "),
        ({"test": "METADATA = {}"}, "test has no function `check(candidate)`"),
        ({"entry_point": "other"}, "prompt has no function other"),
    ],
)
def test_rejected(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    kind, found = take_reject(convert_record("humaneval", "rl", tmp_path, {**RECORD, **change}))
    assert (kind, found[: len(reason)]) == ("rejected", reason)


@pytest.mark.skipif(not REAL.exists(), reason="HumanEval is missing")
def test_published_solutions_pass() -> None:
    result = convert([Source("humaneval", REAL)], "rl")
    assert (len(result.rows), result.rejects) == (164, [])
    rows = [row for row in result.rows if isinstance(row, RlRow)]
    assert [row.id for row in rows if judge(row, row.detail["solution"]) != 1.0] == []


def test_tests_that_need_a_package_are_left_out(tmp_path: Path) -> None:
    test = "import math\nimport numpy as np\n\ndef check(candidate):\n    assert np.allclose(candidate([1]), [2])"
    record = {**RECORD, "test": test}
    assert take_reject(convert_record("humaneval", "rl", tmp_path, record)) == ("left_out", "its tests need numpy")
    assert take_rl(convert_record("humaneval", "rl", tmp_path, record, packages=["numpy"]))
    assert take_sft(convert_record("humaneval", "sft", tmp_path, record))
