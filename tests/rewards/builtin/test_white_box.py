"""white_box: the published formula, and cheats of the published reward."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from rewards.builtin.white_box import white_box
from rewards.builtin.white_box_rows import make_cheats, make_reference
from rewards.errors import GroundTruthError
from rewards.parsing.answers import make_response
from rewards.reasons import collect_reasons

MIXED: dict[str, Any] = {
    "type": "io_mixed",
    "func_str": "def f(a, b='y', *, c=(1, 2)):\n    c = a\n    return c",
    "func_name": "f",
    "func_args": "1, 'x;y'",
    "result": "1",
    "question_answers": {
        "path_answers": [["return c", "return  c"]],
        "state_as": [[["int", "1"]], [["str", "'x;y'"]], [["Nil", "Nil"]]],
    },
}
REVERSE = {**MIXED, "type": "oi", "question_answers": {}}
RIGHT = "assert f(1, 'x;y') == 1\nreturn c\n1; int\n'x;y'; str\nNil"


def _score(answer: str, truth: Any = MIXED, **options: Any) -> dict[str, float]:
    text = truth if isinstance(truth, str | None) else json.dumps(truth)
    return dict(asyncio.run(white_box("d", make_response(answer), text, {"id": "row"}, **options)))


def _with(changes: Mapping[str, Any] | None = None, **questions: Any) -> dict[str, Any]:
    return {**MIXED, "question_answers": {"path_answers": [], "state_as": [], **questions}, **(changes or {})}


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        (RIGHT, 1.0),
        (RIGHT.replace("'x;y'; str", "x;y; str"), 1.0),
        (RIGHT.replace("return c", "-1"), 0.875),
        (RIGHT.replace("1; int", "True; int"), 0.875),
        (RIGHT.replace("1; int", "1; float"), 0.875),
        (RIGHT.replace("1; int", "1.0; int"), 0.875),
        (RIGHT.replace("1; int", "int"), 0.875),
        (RIGHT.replace("Nil", "None; NoneType"), 0.875),
        (RIGHT.replace("return c", "return C").replace("Nil", "0; int"), 0.75),
        ("assert f(1, 'x;y') == 1", 0.5),
        (RIGHT + "\nmore", 0.5),
        (RIGHT.replace("== 1", "== 2"), 0.0),
        (RIGHT.replace("== 1", "== True"), 0.0),
        (RIGHT.replace("== 1", "== 1.0"), 0.0),
        (RIGHT.replace("f(1,", "f(2,"), 0.0),
        (RIGHT.replace("f(1,", "f(True,"), 0.0),
        (RIGHT.replace("f(1,", "g(1,"), 0.0),
    ],
)
def test_half_for_the_assertion_half_for_the_questions(answer: str, share: float) -> None:
    assert _score(answer) == {"score": 2 * share, "accuracy": share, "format": 1.0}


@pytest.mark.parametrize(
    "assertion",
    [
        "assert f(1,'x;y')==1",
        'assert f(1, "x;y") == 1',
        "assert (f(1, 'x;y') == 1)",
        "assert f(a=1, b='x;y') == 1",
        "assert f(1, b='x;y') == 1",
        "assert f(1, 'x;y', c=(1, 2)) == 1",
        "assert 1 == f(1, 'x;y')",
        "assert f(1, 'x;y') == 1  # counted",
        "assert f(0x1, 'x' ';y') == 1",
    ],
)
def test_spellings_of_the_assertion(assertion: str) -> None:
    assert _score(assertion)["accuracy"] == 0.5
    assert _score(assertion, _with())["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("result", "given", "right"),
    [
        ("-1", "-1", True),
        ("{1, 2}", "{2, 1}", True),
        ("{'a': [1, (2,)], 'b': None}", "{'b': None, 'a': [1, (2,)]}", True),
        ("{'a': [1, (2,)]}", "{'a': [1, [2]]}", False),
        ("{1: 'x'}", "{True: 'x'}", False),
        ("[1, 2]", "(1, 2)", False),
        ("set()", "set()", True),
        ("set()", "{}", False),
        ("frozenset({1})", "frozenset([1])", True),
        ("frozenset({1})", "{1}", False),
        ("float('inf')", "float('inf')", True),
        ("1e999", "float('Infinity')", True),
        ("(1+2j)", "1+2j", True),
        ("b'a'", "'a'", False),
        ("None", "None", True),
        ("3", "1 + 2", False),
        ("3", "int('3')", False),
        ("[1, 1]", "[1] * 2", False),
        ("(1, 'm')", "1, 'm'", False),
        ("...", "None", False),
    ],
)
def test_value_and_type_of_the_literal(result: str, given: str, right: bool) -> None:
    truth = _with({"result": result})
    if result == "...":
        with pytest.raises(GroundTruthError, match="`result` is"):
            _score(f"assert f(1, 'x;y') == {given}", truth)
    else:
        assert _score(f"assert f(1, 'x;y') == {given}", truth)["accuracy"] == float(right)


@pytest.mark.parametrize(
    ("kind", "value", "given", "right"),
    [
        ("str", "'a'", "'a'; str", True),
        ("str", "'a'", '"a"; str', True),
        ("str", "'a'", "a; str", True),
        ("str", "'a'", "b; str", False),
        ("str", "'1'", "'1'; str", True),
        ("str", "'1'", "1; str", False),
        ("str", "'None'", "None; str", False),
        ("str", "'a'", "'a'; int", False),
        ("str", "''", "''; str", True),
        ("str", "'a; b; int'", "a; b; int; str", True),
        ("str", "plain text", "plain text; str", True),
        ("str", "plain text", "'plain text'; str", True),
        ("str", "1", "1; str", True),
        ("NoneType", "None", "None; NoneType", True),
        ("bool", "True", "True; bool", True),
        ("bool", "True", "1; bool", False),
        ("float", "1.0", "1.; float", True),
        ("float", "1.0", "1; float", False),
        ("float", "nan", "nan; float", True),
        ("list", "[1, 'a;b']", "[1,'a;b'];list", True),
        ("set", "{1, 2}", "{2, 1}; set", True),
        ("tuple", "(1,)", "(1); tuple", False),
        ("deque", "deque([1, 2])", "deque([1,2]); deque", True),
        ("deque", "deque([1, 2])", "[1, 2]; deque", False),
        ("A", "<__main__.A object>", "<__main__.A object>; A", True),
        ("A", "<__main__.A object>", "<__main__.B object>; A", False),
        ("int", "1", "Nil", False),
        ("Nil", "Nil", "Nil", True),
        ("Nil", "Nil", "'Nil'; str", False),
        ("str", "'Nil'", "Nil", False),
        ("str", "Nil", "Nil; str", True),
        ("str", "Nil", "Nil", False),
        ("str", " a", "' a'; str", True),
        ("str", " a", '" a";str', True),
        ("str", " a", " a; str", True),
        ("str", " a", "'a'; str", False),
        ("str", " a", "a; str", False),
        ("str", "a ", "a ; str", True),
        ("str", "a ", "a; str", False),
        ("str", "   ", "   ; str", True),
        ("str", "   ", "''; str", False),
        ("str", "", "; str", True),
        ("str", "", "''; str", True),
        ("str", "  7  ", "  7  ; str", True),
        ("str", "  7  ", "7; str", False),
        ("str", "a", "  a; str", True),
        ("str", "a\nb", "'a\\nb'; str", True),
        ("str", "a\nb", "a\\nb; str", True),
        ("str", "a\nb", "ab; str", False),
        ("str", "'a'", "\"'a'\"; str", True),
        ("str", "'a\\nb'", "'a\\nb'; str", True),
        ("int", " 1 ", "1; int", True),
        ("NoneType", "Nil", "Nil", True),
    ],
)
def test_state_answer(kind: str, value: str, given: str, right: bool) -> None:
    truth = _with(state_as=[[[kind, value]]])
    assert _score(f"assert f(1, 'x;y') == 1\n{given}", truth)["accuracy"] == (1.0 if right else 0.5)


@pytest.mark.parametrize("truth", [MIXED, REVERSE, _with()], ids=["io_mixed", "oi", "no questions"])
def test_reference_and_cheats(truth: dict[str, Any]) -> None:
    text = json.dumps(truth)
    assert asyncio.run(white_box("d", make_reference(text, {}), text, {}))["accuracy"] == 1.0
    scored = {
        name: result["accuracy"]
        for name, cheat in make_cheats(text, {}).items()
        if (result := asyncio.run(white_box("d", cheat, text, {})))["accuracy"] > 0
    }
    assert scored == {}


@pytest.mark.parametrize(
    "end",
    ["(" * 5000, "[" * 150 + "]" * 150, "-" * 20_000 + "1", "1" * 10_000, "1+" * 20_000 + "1", "[" + "[]," * 400_000, "f'{1}'"],
)
@pytest.mark.parametrize("truth", [MIXED, REVERSE], ids=["io_mixed", "oi"])
def test_huge_values_score_nothing(end: str, truth: dict[str, Any]) -> None:
    assert _score("assert f(1, 'x;y') == " + end, truth)["score"] == 0.0
    assert _score(f"assert f({end}) == 1", truth)["score"] == 0.0


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("assert f(1, 2) == 1", 2.0),
        ("assert f(b=[], a=1) == 1", 2.0),
        ("assert f(a=1, b='x;y') == 1", 2.0),
        ("assert f(2, 2) == 1", 0.0),
        ("assert f(1, 2) == 2", 0.0),
        ("assert g(1, 2) == 1", 0.0),
        ("assert f(*[1, 2]) == 1", 0.0),
        ("assert f(1, **{}) == 1", 0.0),
        ("assert f(1, a=1) == 1", 0.0),
        ("assert f(1, b=1, b=2) == 1", 0.0),
        ("def f(*a): return 1\nassert f(5, 5) == 1", 0.0),
        ("assert f(int('1'), 2) == 1", 0.0),
        ("assert f(__import__('os'), 2) == 1", 0.0),
        ("assert f(True, 2) == 1", 0.0),
    ],
)
def test_input_is_run_on_the_rows_function(answer: str, score: float) -> None:
    assert _score(answer, REVERSE)["score"] == score


@pytest.mark.parametrize(
    "value", ["float('inf')", "-1e400", "set()", "{1, (2, 3)}", "b'x'", "1j", "{1: {2: [None]}}", "10 ** 2"]
)
def test_input_may_be_any_plain_value(value: str) -> None:
    truth = {**REVERSE, "func_str": "def f(a):\n    return a != 0", "func_args": "1", "result": "True"}
    assert _score(f"assert f({value}) == True", truth)["accuracy"] == float("**" not in value)


@pytest.mark.parametrize(
    ("value", "right"), [("2.0", True), ("True", False), ("[2]", False), ("object()", False), ("1 / 0", False)]
)
def test_output_of_the_input(value: str, right: bool) -> None:
    truth = {**REVERSE, "func_str": f"def f(a):\n    return {value} if a else 2", "func_args": "0", "result": "2"}
    assert _score("assert f(7) == 2", truth)["accuracy"] == float(right)


def test_input_that_never_ends() -> None:
    truth = {**REVERSE, "func_str": "def f(a, b):\n    while a: pass\n    return 1", "func_args": "0, 0"}
    assert _score("assert f(1, 0) == 1", truth, seconds=0.5)["score"] == 0.0
    assert _score("assert f(0, 1) == 1", truth, seconds=0.5)["score"] == 2.0


PROGRAM = "def f(a, b='y', *, c=(1, 2)):\n    c = a\n    return c"
LIE = "def f(*a, **k):\n    return 1"
ASKED = "assert f(1, 2) == 1"


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        (f"```python\n{PROGRAM}\n\n{ASKED}\n```", 2.0),
        (f"```python\n{PROGRAM}\n\nassert (f(\n    1,\n    2,\n) == 1)\n```", 2.0),
        (f"``` python title=test.py\n{PROGRAM}\n\n{ASKED}  # right\n````", 2.0),
        (f"   ```\n   {ASKED}\n   ```", 2.0),
        (f"The test case:\n```python\n{PROGRAM}\n\n{ASKED}\n```\nThat is all.", 2.0),
        (f"```python\n{PROGRAM}\n```\n\n{ASKED}", 2.0),
        (f"```python\n{PROGRAM}\n```\nand\n```python\n{ASKED}\n```", 2.0),
        (f"```python\n{PROGRAM}\n\n{ASKED}\n```\nOutput:\n```text\n1\n```", 2.0),
        (f"{PROGRAM}\n\n{ASKED}", 2.0),
        (f"```python\ndef f(a, b):\n    # as above\n\n{ASKED}\n```", 2.0),
        (f"```python\ndef g():\n    assert True\n\n{ASKED}\n```", 2.0),
        (f"{ASKED}\nbecause f returns a.", 2.0),
        # What the block defines does not count.
        (f"```python\n{LIE}\n\n{ASKED}\n```", 2.0),
        (f"```python\n{LIE}\n\nassert f(5, 5) == 1\n```", 0.0),
        ("```python\nf = lambda *a: 1; assert f(5) == 1\n```", 0.0),
        # Only one assertion, at the end.
        (f"```python\n{PROGRAM}\n\nassert f(5, 5) == 1\n{ASKED}\n```", 0.0),
        (f"```python\n{PROGRAM}\n\n{ASKED}\nf = None\n```", 0.0),
        (f"```python\n{PROGRAM}\n```", 0.0),
        (f"```python\n{PROGRAM}\n\n# {ASKED}\n```", 0.0),
        (f'```python\n{PROGRAM}\n\n"""\n{ASKED}\n"""\n```', 0.0),
        (f"```python\n{PROGRAM}\n\nif True:\n    {ASKED}\n```", 0.0),
        (f"```python\n{PROGRAM}\n\n{ASKED}, 'message'\n```", 0.0),
        (f"```python\n{ASKED}\n```\n```python\nassert f(5, 5) == 1\n```", 0.0),
        (f"```python\nassert f(5,\n{ASKED}\n```", 0.0),
    ],
)
def test_input_in_the_published_form(answer: str, score: float) -> None:
    assert _score(answer, REVERSE)["score"] == score


def test_output_is_in_the_first_line() -> None:
    assert _score(f"```python\n{LIE}\nassert f(1, 'x;y') == 1\n```", _with())["score"] == 0.0


@pytest.mark.parametrize("value", ["a\nb", "a\r\n", " a ", "'a\n'", "", "\n", '"""a\nb"""', "'" * 3])
def test_reference_of_a_text_state(value: str) -> None:
    text = json.dumps(_with(state_as=[[["str", value]]]))
    assert asyncio.run(white_box("d", make_reference(text, {}), text, {}))["accuracy"] == 1.0


def test_reference_of_an_input_has_the_published_form() -> None:
    assert make_reference(json.dumps(REVERSE), {}) == make_response(f"```python\n{PROGRAM}\n\nassert f(1, 'x;y') == 1\n```")


def test_thinking_is_not_the_answer() -> None:
    text, right = json.dumps(REVERSE), make_response(ASKED)
    for response, score in (
        (f"<think>\n{make_response('assert f(5) == 1')}\n</think>\n{right}", 2.0),
        (f"{right}\n<think>\n{make_response('assert f(5) == 1')}\n</think>", 2.0),
        (f"<think>\n{right}\n</think>\nI do not know.", 0.0),
        (f"<think>\n{right}", 0.0),
    ):
        assert asyncio.run(white_box("d", response, text, {}))["score"] == score


def test_format_bonus() -> None:
    assert _score("pass", format_bonus=0.1)["score"] == pytest.approx(0.1)
    bare = asyncio.run(white_box("d", RIGHT, json.dumps(MIXED), {}, format_bonus=0.1))
    assert (bare["score"], bare["format"]) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        ("{", "not JSON"),
        (None, "null, expected JSON text"),
        ([], "a list, expected an object"),
        ({}, "no `type`"),
        ({**MIXED, "type": "io"}, "`type` is 'io', expected io_mixed, oi or question"),
        ({**MIXED, "result": "<object>"}, "`result` is '<object>'"),
        ({**MIXED, "question_answers": None}, "not of the form"),
        (_with(state_as=[[["int"]]]), "not of the form"),
        (_with(path_answers=[[]]), "without an accepted answer"),
    ],
)
def test_invalid_row(truth: Any, message: str) -> None:
    with pytest.raises(GroundTruthError, match=message) as error:
        _score(RIGHT, truth)
    assert "\n" not in str(error.value)


def test_reasons() -> None:
    with collect_reasons() as reasons:
        _score(RIGHT.replace("1; int", "2; int"))
        _score("assert f(1) == f(1)")
        _score("assert f(2) == 1", {**REVERSE, "func_str": "def f(a):\n    return a"})
        _score("```python\nx = 1\n```", REVERSE)
        _score(f"```python\n{ASKED}\n{ASKED}\n```", REVERSE)
    assert reasons[0] == "question 2: 2; int; expected 1; int"
    assert reasons[1].startswith("assert f(1) == f(1): it does not compare a call with a value; expected assert f(1,")
    assert reasons[2].startswith("assert f(2) == 1: the call returns 2; a correct answer: assert f(1,")
    assert reasons[3].startswith("x = 1: it is not one assertion; a correct answer: assert f(1,")
    assert reasons[4].startswith(f"{ASKED}: it has 2 assertions, expected one;")


def test_hostile_answers_take_linear_time() -> None:
    truth = json.dumps(_with(state_as=[[["int", "1"]]] * 5, path_answers=[["a"]] * 5))
    line = "f'" + "{1}" * 16_000 + "'"
    answers = [
        "\n".join(["assert f(1, 'x;y') == 1", *[f"{line}; int"] * 10]),
        f"assert f(1, 'x;y') == {line}",
        "\n" * 1_000_000,
        ";" * 1_000_000,
    ]
    began = time.process_time()
    assert [_score(answer, truth)["accuracy"] for answer in answers] == [0.5, 0.0, 0.0, 0.0]
    assert time.process_time() - began < 5.0


POWER = {"type": "oi", "func_str": "def f(n):\n    return 2 ** n", "func_name": "f", "func_args": "3", "result": "8"}


@pytest.mark.parametrize(
    "argument",
    [
        "20000",
        "10_000_000",
        "-" * 2000 + "1",
        "1+" * 1200 + "1",
        f"0x{'f' * 5000}",
        f"frozenset([0x{'f' * 5000}])",
        "[" * 150 + "]" * 150,
        "lambda: " * 500 + "1",
    ],
    ids=lambda argument: str(argument)[:12],
)
@pytest.mark.parametrize("line", ["assert f({}) == 8", "assert g({}).f(3) == 8", "assert f(3) == {}", "assert {} == f(3)"])
def test_wrong_answer_never_fails_the_row(line: str, argument: str) -> None:
    with collect_reasons() as reasons:
        assert _score(line.format(argument), POWER)["score"] == 0.0
        assert _score(line.format(argument), {**POWER, "type": "io_mixed", "question_answers": {}})["score"] == 0.0
    assert len(reasons) == 2
    assert _score(f"assert f(3) == 8\n{argument}; list", _with(state_as=[[["list", "[1]"]]], path_answers=[]))["score"] <= 1.0


def test_large_value_of_an_input() -> None:
    right = {**POWER, "func_str": "def f(n):\n    return 'x' * n", "func_args": "3000", "result": repr("x" * 3000)}
    assert _score(f"assert f(n=3000) == {'x' * 3000!r}", right)["score"] == 2.0
    assert _score(f"assert f(10_000_000) == {'x' * 3000!r}", right)["score"] == 0.0


QUESTION = {**MIXED, "type": "question"}


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        (RIGHT.partition("\n")[2], 1.0),
        ("return c\n1; int\n'x;y'; str\n0; int", 0.75),
        ("?\n?\n?\n?", 0.0),
        (RIGHT, 0.0),
        ("return c", 0.0),
    ],
)
def test_questions_alone(answer: str, share: float) -> None:
    assert _score(answer, QUESTION) == {"score": 2 * share, "accuracy": share, "format": 1.0}


def test_reference_and_cheats_of_questions_alone() -> None:
    text = json.dumps(QUESTION)
    result = asyncio.run(white_box("d", make_reference(text, {}), text, {"id": "row"}))
    assert result["accuracy"] == 1.0
    for name, response in make_cheats(text, {}).items():
        assert (name, asyncio.run(white_box("d", response, text, {"id": "row"}))["accuracy"]) == (name, 0.0)


def test_questions_alone_need_a_question() -> None:
    with pytest.raises(GroundTruthError, match="`type` is question, and `question_answers` has none"):
        _score("1", {**QUESTION, "question_answers": {}})
