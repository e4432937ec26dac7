"""What a grader may evaluate of a response, and what is refused."""

from __future__ import annotations

import builtins
import collections
import concurrent.futures
import dataclasses
import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from rewards.builtin import grading
from rewards.builtin.inside.graders.evaluation import Record, RefusedError, vetted

GRADER = """
import concurrent.futures, math, os, subprocess
from fractions import Fraction
from math import sqrt

def bare(text, identity):
    target = identity["target"]
    return eval(text)

def passed_on(text, identity):
    return eval(text, globals(), locals())

def copied(text, identity):
    return eval(text, {**globals(), **locals()})

def empty(text, identity):
    return eval(text, {"__builtins__": None}, {})

def chosen(text, identity):
    given = {"x": 3, "half": Fraction(1, 2), "twice": lambda n: 2 * n, "grid": [[1, {"a": 7}]]}
    return eval(text, {**given, "hidden": os, "run": os.system, "table": [os.getpid]})

def given(text, names):
    return eval(text, names)

def imported(text, identity):
    scope = {}
    exec("from math import *", scope)
    return eval(text, scope)

def in_thread(text, identity):
    with concurrent.futures.ThreadPoolExecutor() as executor:
        return executor.submit(eval, text).result()

def mapped(text, identity):
    return list(map(eval, [text]))[0]

def compiled(text, identity):
    return eval(compile(text, "<answer>", "eval"))

def run(text, identity):
    scope = {}
    exec(text, scope)
    return scope["answer"]

def compiled_program(text, identity):
    exec(compile(text, "<answer>", "exec"))

def started(text, identity):
    return subprocess.run(["true"])

def system(text, identity):
    return os.system("true")
"""
EVALUATORS = ("bare", "passed_on", "copied", "empty", "chosen", "in_thread", "mapped", "compiled")
IDENTITY = {"target": 24}


@pytest.fixture(scope="module")
def grader() -> Any:
    module = ModuleType("some_package.grader")
    exec(GRADER, vars(module))
    return module


@pytest.fixture
def record() -> Iterator[Record]:
    before = eval, exec, compile
    with vetted("some_package") as found:
        yield found
    assert (builtins.eval, builtins.exec, builtins.compile) == before


EXPRESSIONS = {
    "1*2*3*4": 24,
    " (8 / (3 - 8/3))": 8 / (3 - 8 / 3),
    "[[1, 2], [3, 4]]": [[1, 2], [3, 4]],
    "{'a': (1, None), 'b': {2}}['a']": (1, None),
    "True and not False or 1 < 2 <= 2": True,
    "[n * n for n in range(4) if n % 2]": [1, 9],
    "sum(abs(n) for n in (-1, 2))": 3,
    "max(1, 2, key=int) if 1 else 0": 2,
    "'ab' + 'c'[0:1]": "abc",
}


# All texts in one test: a hook for audit events stays in the process, and slows it down.
@pytest.mark.parametrize("how", EVALUATORS)
def test_expressions_are_evaluated(grader: Any, record: Record, how: str) -> None:
    assert {text: getattr(grader, how)(text, IDENTITY) for text in EXPRESSIONS} == EXPRESSIONS
    assert not record.refused


def test_names_that_the_grader_gives(grader: Any, record: Record) -> None:
    assert grader.chosen("twice(x) + half + grid[0][1]['a']", IDENTITY) == 13.5
    assert grader.imported("sqrt(16) + floor(e)", IDENTITY) == 6.0
    assert grader.bare("sqrt(16) + math.floor(2.5) + math.pi", IDENTITY) == 6 + math.pi
    assert not record.refused


HOSTILE = [
    *(text for name, text in grading.FORGERIES.items() if "pi" not in name),
    "__import__('os').getpid()",
    "().__class__.__base__.__subclasses__()",
    "'{0.__class__}'.format(1)",
    "f'{identity}'",
    "identity['target']",
    "target",
    "text",
    "globals()",
    "open('x')",
    "eval('1')",
    "exec('x = 1')",
    "getattr(1, 'real')",
    "type(1)",
    "print(1)",
    "exit()",
    "(lambda: 1)()",
    "[x := 5]",
    "math.__loader__",
    "math.sqrt.__self__",
    "Fraction.__init__",
    "hidden.system('true')",
    "run('true')",
    "table[0]()",
    "[each() for each in table]",
    "max([1], key=table[0])",
    "concurrent.futures",
    "[*[1]]",
]


@pytest.mark.parametrize("how", EVALUATORS)
def test_code_is_refused_as_a_syntax_error(grader: Any, record: Record, how: str) -> None:
    for text in HOSTILE:
        record.refused = ""
        with pytest.raises(SyntaxError):
            print(text, getattr(grader, how)(text, IDENTITY))
        assert record.refused, text
    assert not record.runs


def test_only_loaded_modules_are_imported(grader: Any, record: Record) -> None:
    for text in ("import antigravity", "from this import s", "from os import *\nanswer = 1"):
        with pytest.raises(RefusedError):
            grader.run(text, IDENTITY)


@pytest.mark.parametrize("how", ["run", "compiled_program", "started", "system"])
def test_graders_that_run_programs_are_recognized(grader: Any, record: Record, how: str) -> None:
    with pytest.raises(RefusedError):
        getattr(grader, how)("answer = 24", IDENTITY)
    assert record.runs


@pytest.fixture(scope="module")
def algebra() -> dict[str, Any]:
    """A package that runs generated code, like sympy."""
    module = ModuleType("algebra")
    exec("def lambdify(text):\n    exec(text)\n    return 1", vars(module))
    return vars(module)


def test_programs_that_an_expression_starts_do_not_blame_the_grader(
    grader: Any, algebra: dict[str, Any], record: Record
) -> None:
    with pytest.raises(RefusedError):
        grader.given("lambdify('x = 1')", algebra)
    assert record.refused == "exec"
    assert not record.runs


def test_the_standard_library_works_meanwhile(record: Record) -> None:
    @dataclasses.dataclass
    class Point:
        x: int = 1

    assert Point(2).x == 2
    Pair = collections.namedtuple("Pair", "a b")
    assert Pair(1, 2).b == 2
    import ast
    import wave

    assert ast.literal_eval("[1, {2: 'x'}]") == [1, {2: "x"}]
    assert wave.__name__ == "wave"
    with concurrent.futures.ThreadPoolExecutor() as executor:
        assert executor.submit(len, "ab").result() == 2
    assert not record.refused
