"""The protocol of questions and answers."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from textwrap import dedent

from pipelines.trainers.answering import Answer, Question, describe


def test_long_error_is_shortened_to_one_line() -> None:
    text = describe(ValueError("begins\n" + "x" * 1000 + "\n  ends"))
    assert text.startswith("begins x")
    assert text.endswith("x ends")
    assert len(text) < 320
    assert describe(KeyError()) == "KeyError"


def test_error_in_one_question_does_not_affect_others(tmp_path: Path) -> None:
    module = """
        from pipelines.trainers.answering import main

        def answer(question, found):
            print("output of a trainer")
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
    assert done.stderr.count("output of a trainer") == 3
