"""How questions are answered, whoever answers them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from textwrap import dedent

from pipelines.trainers.answering import Answer, Question, describe


def test_a_long_error_keeps_its_two_ends_on_one_line() -> None:
    said = describe(ValueError("begins\n" + "x" * 1000 + "\n  ends"))
    assert said.startswith("begins x")
    assert said.endswith("x ends")
    assert len(said) < 320
    assert describe(KeyError()) == "KeyError"


def test_each_question_is_answered_whatever_becomes_of_the_others(tmp_path: Path) -> None:
    module = """
        from pipelines.trainers.answering import main

        def answer(question, found):
            print("what a trainer prints")
            if question.stage == "bad":
                raise ValueError("no such\\n   key")
            found.facts.append(question.module)

        main(answer)
    """
    (tmp_path / "asked.py").write_text(dedent(module))
    questions = [Question(name, f"module of {name}", str(tmp_path), str(tmp_path)) for name in ("good", "bad", "last")]
    (tmp_path / "request.json").write_text(json.dumps([asdict(each) for each in questions]))
    argv = [sys.executable, str(tmp_path / "asked.py"), str(tmp_path / "request.json")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    answers = [Answer(**json.loads(line)) for line in done.stdout.splitlines()]
    assert [(each.stage, each.problem, each.facts) for each in answers] == [
        ("good", None, ["module of good"]),
        ("bad", "no such key", []),
        ("last", None, ["module of last"]),
    ]
    assert done.stderr.count("what a trainer prints") == 3
