"""programs_execution, programs_code: the rows of a small program."""

from pathlib import Path

import pytest

from preprocess.engine.convert import Converted, convert
from preprocess.engine.job import Source
from preprocess.errors import SourceError
from preprocess.rows import RlRow, SftRow, Shape

PROGRAM = '''
def last(items):
    """Return the last item.

    >>> last([1, 2])
    2
    """
    place = len(items) - 1
    return items[place]
'''
CODE = "def last(items):\n    place = len(items) - 1\n    return items[place]"


def _convert(tmp_path: Path, converter: str, shape: Shape, text: str = PROGRAM, **options: object) -> Converted:
    path = tmp_path / "programs.py"
    path.write_text(text)
    return convert([Source(converter, path, options=options)], shape)


def test_execution_questions(tmp_path: Path) -> None:
    (row,) = _convert(tmp_path, "programs_execution", "rl").rows
    assert isinstance(row, RlRow)
    assert isinstance(row.ground_truth, dict)
    answers = row.ground_truth["question_answers"]
    assert row.ground_truth == {
        "type": "io_mixed",
        "func_str": CODE,
        "func_name": "last",
        "func_args": "[1, 2]",
        "result": "2",
        "question_answers": {"path_answers": answers["path_answers"], "state_as": [[["int", "1"]]]},
    }
    assert answers["path_answers"] in ([["return items[place]"]], [["-1"]])
    assert row.id == "programs/last/0"
    assert "assert last([1, 2]) == ??" in row.prompt[-1].content
    assert "Return the last item" not in row.prompt[-1].content


def test_execution_answer(tmp_path: Path) -> None:
    (row,) = _convert(tmp_path, "programs_execution", "sft", questions=0).rows
    assert isinstance(row, SftRow)
    assert row.conversations[1].value == (
        "<reasoning>\nplace = 1\nreturns 2\n</reasoning>\n<answer>\nassert last([1, 2]) == 2\n</answer>"
    )


def test_code_task(tmp_path: Path) -> None:
    (row,) = _convert(tmp_path, "programs_code", "rl").rows
    assert isinstance(row, RlRow)
    assert row.ground_truth == {"fn_name": "last", "inputs": [[[1, 2]]], "outputs": [2]}
    assert row.prompt[-1].content.startswith("Return the last item.\n```python\ndef last(items):\n```")


def test_values_that_are_not_json_become_assertions(tmp_path: Path) -> None:
    text = PROGRAM.replace("last([1, 2])\n    2", "last([{1: 2}])\n    {1: 2}")
    (row,) = _convert(tmp_path, "programs_code", "rl", text).rows
    assert isinstance(row, RlRow)
    assert row.ground_truth == {"functional": "def check(candidate):\n    assert candidate([{1: 2}]) == {1: 2}\n\ncheck(last)"}


def test_both_tasks(tmp_path: Path) -> None:
    rows = _convert(tmp_path, "programs_execution", "rl", task="both").rows
    assert [row.id for row in rows if isinstance(row, RlRow)] == ["programs/last/0", "programs/last/0/input"]
    assert len({row.problem for row in rows}) == 1


def test_calls_outside_the_docstring(tmp_path: Path) -> None:
    text = f"{PROGRAM}\nprint(last([3]))\nassert last([4]) == 4\n"
    assert len(_convert(tmp_path, "programs_execution", "rl", text).rows) == 3
    (row,) = _convert(tmp_path, "programs_code", "rl", text).rows
    assert isinstance(row, RlRow)
    assert row.ground_truth == {"fn_name": "last", "inputs": [[[1, 2]], [[4]]], "outputs": [2, 4]}


def test_code_task_requires_docstring_and_values(tmp_path: Path) -> None:
    for text, reason in (
        ("def f(x):\n    return x\nassert f(1) == 1", "f has no docstring"),
        ('def f(x):\n    """Text."""\n    return x\nf(1)', "f has no examples with a value"),
    ):
        result = _convert(tmp_path, "programs_code", "rl", text)
        assert [(each.line, each.reason) for each in result.rejects] == [(1, reason)]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (PROGRAM.replace("    2\n", "    3\n"), 5, "last([1, 2]): it returns 2, expected 3"),
        (PROGRAM.replace("items[place]", "items[9]"), 5, "IndexError"),
        (PROGRAM.replace("items[place]", "iter(items)"), 5, "is not plain data"),
        (PROGRAM.replace("place = len(items) - 1", "place = sum(range(10**12))"), 5, "out of time"),
        (PROGRAM.replace("place = len(items) - 1", "for place in range(999):\n        pass"), 5, "more than 300 steps"),
        (PROGRAM.replace("    >>> last([1, 2])\n    2\n", ""), 2, "has no examples"),
        (PROGRAM.replace(">>> last", ">>> first"), 5, "does not call last"),
        ("def (", 1, "not Python: invalid syntax"),
    ],
)
def test_rejected(tmp_path: Path, text: str, line: int, reason: str) -> None:
    result = _convert(tmp_path, "programs_execution", "rl", text)
    assert not result.rows
    assert [each.line for each in result.rejects] == [line]
    assert reason in result.rejects[0].reason


def test_unknown_option(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="did you mean 'questions'"):
        _convert(tmp_path, "programs_execution", "rl", question=2)
