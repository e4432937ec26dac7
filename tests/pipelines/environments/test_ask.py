"""Answers of another Python, and every way to fail."""

import sys

import pytest

from pipelines.environments.ask import AskError, ask


def test_the_answer_is_the_last_line() -> None:
    code = "import json, os, sys; print('noise'); print(json.dumps([sys.argv[1], os.environ['WORD'], sys.stdin.read()]))"
    assert ask(sys.executable, ["-c", code, "a"], variables={"WORD": "b"}, stdin="c") == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import sys; print(1); sys.exit('first\\nlast')", "last"),
        ("raise SystemExit(3)", "exit status 3"),
        ("print('hello')", "it printed no JSON"),
        ("", "it printed no JSON"),
        ("import no_such", "ModuleNotFoundError: No module named 'no_such'"),
    ],
)
def test_a_failure_is_one_line(code: str, reason: str) -> None:
    with pytest.raises(AskError) as raised:
        ask(sys.executable, ["-c", code])
    assert str(raised.value) == reason


def test_a_python_that_does_not_answer_is_not_waited_for() -> None:
    with pytest.raises(AskError, match=r"^no answer after 1 s$"):
        ask(sys.executable, ["-c", "import time; time.sleep(600)"], timeout=1.0)


def test_a_missing_python_is_one_line() -> None:
    with pytest.raises(AskError, match=r"^/nowhere/python cannot be started: No such file or directory$"):
        ask("/nowhere/python", ["-c", ""])
