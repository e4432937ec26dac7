"""The interpreter tool: its replies, and the agreement of names."""

import inspect

import pytest

from rewards.builtin.interpreter import interpreter
from rewards.builtin.interpreter_tool import ARGUMENT, NAME, SCHEMA, SYSTEM, make_reply, shorten
from rewards.sandbox import Execution, Limits, Program, get


def test_names_agree() -> None:
    defaults = {name: each.default for name, each in inspect.signature(interpreter).parameters.items()}
    assert (defaults["tool"], defaults["argument"]) == (NAME, ARGUMENT)
    function = SCHEMA["function"]
    assert function["name"] == NAME
    assert function["parameters"]["required"] == list(function["parameters"]["properties"]) == [ARGUMENT]
    assert NAME in SYSTEM


@pytest.mark.parametrize(
    ("execution", "reply"),
    [
        (Execution("ok", "1\n2\n"), "1\n2"),
        (Execution("ok"), "[nothing was printed]"),
        (Execution("ok", "1\n", "a warning\n", value="[3]"), "1\n[3]\na warning"),
        (Execution("timeout", "1\n"), "1\n[it ran out of time]"),
    ],
)
def test_reply(execution: Execution, reply: str) -> None:
    assert make_reply(execution) == reply


def test_reply_of_a_real_execution() -> None:
    assert make_reply(get().run_blocking(Program("print('a')\nprint('b')"))) == "a\nb"
    failed = make_reply(get().run_blocking(Program("print('a')\n1 / 0")))
    assert failed.startswith("a\nTraceback")
    assert failed.endswith("ZeroDivisionError: division by zero")
    endless = make_reply(get().run_blocking(Program("while True: pass"), Limits(cpu_seconds=0.2)))
    assert endless.endswith("[it ran out of time]")


def test_long_reply_is_truncated_in_the_middle() -> None:
    reply = "begin" + "x" * 1000 + "end"
    assert shorten(reply, len(reply)) == reply
    for longest in (200, 201):
        short = shorten(reply, longest)
        assert len(short) == longest
        assert short.startswith("beginx")
        assert short.endswith("xend")
        assert "[… 1,008 characters in all, the middle is left out …]" in short
