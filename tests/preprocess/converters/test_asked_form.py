"""Answers in the form that a row's own prompt asks for, written as models write them, get full marks; wrong ones nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from preprocess.converters import CONVERTERS
from preprocess.engine.convert import convert
from preprocess.engine.job import Source
from preprocess.rows import RlRow, SftRow, to_json
from rewards.entry import compute_score_blocking

CODE = ("apps", "evalplus", "humaneval", "kodcode", "leetcode", "mbpp", "programs_code")
EXECUTION = ("cruxeval", "execverify_rl", "livecodebench_exec", "programs_execution")
EURUS = {
    "staircase": "n = int(input())\na, b, c = 1, 1, 1\nfor _ in range(n):\n    a, b, c = b, c, a + c\nprint(a)",
    "list of words": "def common_start(words):\n    letters = [w[0] for w in words]\n"
    "    best = max(letters, key=letters.count)\n    return [w for w in words if w[0] == best]",
    "down to 1": "for i in range(int(input()), 0, -1):\n    print(i)",
}
FORMS = {
    "block": "```python\n{}\n```",
    "prose around": "The program is:\n\n```python\n{}\n```\n\nIt passes all tests.",
    "usage after": "```python\n{}\n```\nFor example:\n```python\n# prints the result\n```\n```text\n1\n```",
    "in a list": "1. The whole program:\n\n   ~~~ python\n   {}\n   ~~~",
    "not closed": "``` python\n{}",
}


def take_rows(name: str, **options: Any) -> list[RlRow]:
    rows = convert([Source(name, CONVERTERS[name].example, options=options)], "rl").rows
    return [row for row in rows if isinstance(row, RlRow)]


def score(row: RlRow, reward: str, response: str) -> float:
    """Return the accuracy of a response; the row must not fail."""
    info = {"id": row.id, "detail": to_json(row.detail)}
    result = compute_score_blocking(row.data_source, response, to_json(row.ground_truth), info, rewards=[{"name": reward}])
    assert not result["failed"], row.id
    return float(result["accuracy"])


def respond(answer: str) -> str:
    return f"<think>\nLet me see: <answer>?</answer>\n</think>\n\n<reasoning>\nSo.\n</reasoning>\n<answer>\n{answer}\n</answer>"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CODE)
def test_programs(name: str, form: str) -> None:
    rows = take_rows(name)
    solved = [row for row in rows if row.detail.get("solution")]
    assert solved
    for row in solved:
        assert row.prompt[-1].content.endswith("inside <answer></answer>: the whole program in a python block.")
        answer = respond(FORMS[form].format(row.detail["solution"].replace("\n", "\n   " if form == "in a list" else "\n")))
        assert (row.id, score(row, "code_tests", answer)) == (row.id, 1.0)
        assert score(row, "code_tests", respond(FORMS[form].format("pass"))) == 0.0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("asked", ["published", "answer"])
def test_eurus(asked: str, form: str) -> None:
    rows = take_rows("eurus", form=asked)
    assert len(rows) == len(EURUS)
    for row, program in zip(rows, EURUS.values(), strict=True):
        answer = FORMS[form].format(program.replace("\n", "\n   " if form == "in a list" else "\n"))
        tags = "<answer>" in row.prompt[-1].content
        assert tags is (asked == "answer")
        # The published prompts ask for a block at the end.
        assert score(row, "code_tests", respond(answer) if tags else f"[ASSESS]\n\nIt is easy.\n\n[OUTPUT]\n\n{answer}") == 1.0


def ask_both(name: str) -> Iterator[RlRow]:
    options: dict[str, Any] = {} if name == "execverify_rl" else {"task": "both", "questions": 4}
    yield from take_rows(name, **options)


@pytest.mark.parametrize("name", EXECUTION)
def test_execution(name: str) -> None:
    kinds = set()
    for row in ask_both(name):
        truth: dict[str, Any] = json.loads(to_json(row.ground_truth))
        prompt, kind = row.prompt[-1].content, truth["type"]
        kinds.add(kind)
        call = f"assert {truth['func_name']}({truth['func_args']}) == "
        if kind == "oi":
            assert "complete test case" in prompt
            wrong, right = (f"```python\n{truth['func_str']}\n\n{call}{value}\n```" for value in ("'?'", truth["result"]))
        else:
            questions = truth["question_answers"]
            lines = [accepted[0] for accepted in questions["path_answers"]]
            lines += ["Nil" if pair[0] == "Nil" else f"{pair[1]}; {pair[0]}" for pair, *_ in questions["state_as"]]
            wrong, right = ("\n".join([f"{call}{value}", *lines]) for value in ("'?'", truth["result"]))
        assert (row.id, score(row, "white_box", respond(right))) == (row.id, 1.0)
        assert score(row, "white_box", respond(wrong)) == 0.0
    assert kinds == {"oi", "io_mixed"}


def test_single_questions() -> None:
    forms = {
        "coverage": "YES or NO",
        "path": "or -1 for none",
        "state": "or Nil if the line does not run",
        "output": "assertion",
    }
    for row in take_rows("reval"):
        truth: dict[str, Any] = json.loads(to_json(row.ground_truth))
        prompt, questions = row.prompt[-1].content, truth["question_answers"]
        assert prompt.endswith(f"{forms.pop(row.detail['kind'], '')}.")
        lines = [answer for accepted in questions.get("path_answers", []) for answer in accepted]
        lines += [
            kind if kind == "Nil" else f"{value}; {kind}" for pairs in questions.get("state_as", []) for kind, value in pairs
        ]
        for line in lines or [f"assert {truth['func_name']}({truth['func_args']}) == {truth['result']}"]:
            assert (row.id, line, score(row, "white_box", respond(line))) == (row.id, line, 1.0)
            if lines:
                assert score(row, "white_box", respond(f"{line}\n{line}")) == 0.0
        assert score(row, "white_box", respond("?")) == 0.0
    assert forms == {}


@pytest.mark.parametrize(("name", "reward"), [*((name, "code_tests") for name in CODE), ("cruxeval", "white_box")])
def test_answers_that_are_taught(name: str, reward: str) -> None:
    options: dict[str, Any] = {"task": "both"} if name == "cruxeval" else {}
    source = Source(name, CONVERTERS[name].example, options=options)
    taught = {row.conversations[0].value: row for row in convert([source], "sft").rows if isinstance(row, SftRow)}
    asked = [row for row in take_rows(name, **options) if row.prompt[-1].content in taught]
    assert asked
    for row in asked:
        answer = taught[row.prompt[-1].content].conversations[-1].value
        assert (row.id, score(row, reward, answer)) == (row.id, 1.0)


def test_conversations_of_execverify_have_the_form_of_its_questions() -> None:
    rows = convert([Source("execverify_sft", CONVERTERS["execverify_sft"].example)], "sft").rows
    assert rows
    for row in rows:
        assert isinstance(row, SftRow)
        prompt, answer = (turn.value for turn in row.conversations)
        assert "complete test case" in prompt
        code, _, call = answer.partition("```python\n")[2].partition("\n```")[0].rpartition("\n\n")
        name, result = "f", call.partition(" == ")[2]
        truth = {"type": "oi", "func_str": code, "func_name": name, "func_args": "'ab'", "result": result}
        given = {"data_source": "d", "solution_str": answer, "ground_truth": json.dumps(truth), "extra_info": {"id": "x"}}
        assert compute_score_blocking(**given, rewards=[{"name": "white_box"}])["accuracy"] == 1.0


def test_final_numbers_of_gsm8k() -> None:
    rows = take_rows("gsm8k")
    assert rows
    for row in rows:
        # What verl's grader searches for.
        assert row.prompt[-1].content.endswith('output the final answer after "####".')
        assert row.detail["solution"].replace(",", "").endswith(f"#### {to_json(row.ground_truth)}")


def test_puzzles_ask_for_the_tags_that_their_reward_requires() -> None:
    for row in take_rows("bootcamp"):
        assert "</think>" in row.prompt[0].content
