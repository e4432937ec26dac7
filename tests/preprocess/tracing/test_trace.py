"""Traces of every construct of the language: `line name=value …`, in the order in which lines begin."""

import re
import shutil
import subprocess
import sys
import textwrap
from types import FrameType
from typing import Any

import pytest

from preprocess.errors import RowError
from preprocess.tracing.trace import Trace, trace

CONSTRUCTS = {
    "a loop": (
        """
        def f(n):
            s = 0
            for i in range(n):
                s += i
            return s
        """,
        "2",
        "2 s=0 | 3 i=0 | 4 | 3 i=1 | 4 s=1 | 3 | 5",
    ),
    "loops with break and else": (
        """
        def f(n):
            for i in range(n):
                if i == 1:
                    break
            else:
                i = 9
            while n > 1:
                n -= 1
                continue
            else:
                n = 7
            return n
        """,
        "2",
        "2 i=0 | 3 | 2 i=1 | 3 | 4 | 7 | 8 n=1 | 9 | 7 | 11 n=7 | 12",
    ),
    "an endless loop": (
        """
        def f(n):
            while True:
                n += 1
                if n > 1:
                    return n
        """,
        "0",
        "2 | 3 n=1 | 4 | 2 | 3 n=2 | 4 | 5",
    ),
    "branches": (
        """
        def f(n):
            if n == 1:
                a = 1
            elif n == 2:
                a = 2
            else:
                a = 3
            return a
        """,
        "2",
        "2 | 4 | 5 a=2 | 8",
    ),
    "statements over several lines": (
        """
        def f(a):
            b = [
                a,
                a + 1,
            ]
            c = max(
                b[0],
                b[1],
            )
            return (
                c
            )
        """,
        "1",
        "2 b=[1, 2] | 6 c=2 | 10",
    ),
    "statements on one line": (
        """
        def f(a):
            b = 1; c = 2
            if a: b = 3
            for i in a: c += i
            return b + c
        """,
        "[4, 5]",
        "2 b=1 c=2 | 3 b=3 | 4 c=6 i=4 | 4 c=11 i=5 | 4 | 5",
    ),
    "comprehensions and lambdas": (
        """
        def f(a):
            b = [
                x * 2
                for x in a
                if x
            ]
            g = lambda x: x + 1
            c = {g(x) for x in b}
            return sorted(c, key=lambda x: -x)
        """,
        "[0, 1, 2]",
        "2 b=[2, 4] | 7 | 8 c={3, 5} | 9",
    ),
    "a call of a helper": (
        """
        def g(x):
            y = x + 1
            return y

        def f(a):
            b = g(a)
            return b
        """,
        "1",
        "6 b=2 | 2 y=2 | 3 | 7",
    ),
    "a comprehension that calls a helper": (
        """
        def g(x):
            return x + 1

        def f(a):
            b = [g(x) for x in a]
            return b
        """,
        "[1, 2]",
        "5 b=[2, 3] | 2 | 2 | 6",
    ),
    "recursion": (
        """
        def f(n):
            if n == 0:
                return 0
            below = f(n - 1)
            return n + below
        """,
        "2",
        "2 | 4 below=1 | 2 | 4 below=0 | 2 | 3 | 5 | 5",
    ),
    "a nested function with side effects": (
        """
        def f(n):
            count = 0
            seen = []
            def add(x):
                nonlocal count
                count += x
                seen.append(x)
            add(n)
            return count
        """,
        "3",
        "2 count=0 | 3 seen=[] | 4 | 8 count=3 seen=[3] | 6 count=3 | 7 seen=[3] | 9",
    ),
    "a change through another name": (
        """
        def f(a):
            b = a
            b.append(1)
            a += [2]
            return b
        """,
        "[]",
        "2 b=[] | 3 a=[1] b=[1] | 4 a=[1, 2] b=[1, 2] | 5",
    ),
    "a generator": (
        """
        def g(n):
            for i in range(n):
                yield i
            last = n

        def f(n):
            out = []
            for x in g(n):
                out.append(x)
            return out
        """,
        "2",
        "7 out=[] | 8 x=0 | 2 i=0 | 3 | 9 out=[0] | 8 x=1 | 2 i=1 | 3 | 9 out=[0, 1] | 8 | 2 | 4 last=2 | 10",
    ),
    "send, throw and close of a generator": (
        """
        def g():
            try:
                while True:
                    x = yield 1
            except ValueError:
                yield 2
            finally:
                end = 0

        def f():
            it = g()
            a = next(it)
            b = it.send(5)
            c = it.throw(ValueError)
            it.close()
            return a + b + c
        """,
        "",
        "11 | 12 a=1 | 2 | 3 | 4 x=5 | 13 b=1 | 3 | 4 | 14 c=2 | 5 | 6 | 15 | 8 end=0 | 16",
    ),
    "an abandoned generator": (
        """
        def g():
            yield 1
            yield 2

        def f():
            it = g()
            a = next(it)
            return a
        """,
        "",
        "6 | 7 a=1 | 2 | 8",
    ),
    "delegation": (
        """
        def g():
            yield 1
            return 5

        def h():
            x = yield from g()
            yield x

        def f():
            return list(h())
        """,
        "",
        "10 | 6 x=5 | 2 | 3 | 7",
    ),
    "a caught exception": (
        """
        def f(a):
            try:
                b = a[5]
            except KeyError:
                b = 1
            except (IndexError, TypeError) as error:
                b = 2
            else:
                b = 3
            finally:
                c = 4
            return b + c
        """,
        "[]",
        "2 | 3 | 4 | 6 | 7 b=2 | 11 c=4 | 12",
    ),
    "no exception": (
        """
        def f(a):
            try:
                b = 1
            except:
                b = 2
            else:
                a = 3
            finally:
                c = 4
            return a + b + c
        """,
        "1",
        "2 | 3 b=1 | 7 a=3 | 9 c=4 | 10",
    ),
    "an exception through two frames": (
        """
        def g(x):
            try:
                if x:
                    raise ValueError(x)
            finally:
                done = 1

        def f(x):
            try:
                g(x)
            except ValueError:
                x = 0
            return x
        """,
        "1",
        "9 | 10 | 2 | 3 | 4 | 6 done=1 | 11 | 12 x=0 | 13",
    ),
    "a bare except": (
        """
        def f(x):
            try:
                assert x, "no"
            except:
                x = 1
            return x
        """,
        "0",
        "2 | 3 | 4 | 5 x=1 | 6",
    ),
    "with": (
        """
        from contextlib import contextmanager

        @contextmanager
        def g(log):
            log.append(1)
            yield 2
            log.append(3)

        def f():
            log = []
            with g(log) as x:
                y = x
            return log
        """,
        "",
        "10 log=[] | 11 log=[1] x=2 | 5 log=[1] | 6 | 12 log=[1, 3] y=2 | 7 log=[1, 3] | 13",
    ),
    "match": (
        """
        def f(a):
            match a:
                case []:
                    b = 0
                case [x] if x > 5:
                    b = 1
                case [x, *rest]:
                    b = 2
                case _:
                    b = 3
            return b
        """,
        "[1, 2]",
        "2 | 3 | 5 | 7 rest=[2] x=1 | 8 b=2 | 11",
    ),
    "a class": (
        """
        class Counter:
            step = 2
            def __init__(self, start):
                self.value = start
            def up(self):
                self.value += self.step
                return self.value
            @property
            def twice(self):
                return self.value * 2

        def f(n):
            counter = Counter(n)
            a = counter.up()
            b = counter.twice
            return a, b
        """,
        "1",
        "13 | 4 | 14 a=3 | 6 | 7 | 15 b=6 | 10 | 16",
    ),
    "a class in a function": (
        """
        def f(n):
            class A:
                \"\"\"Text.\"\"\"
                x = n
                y = x + 1
            return A.y
        """,
        "1",
        "2 | 4 x=1 | 5 y=2 | 6",
    ),
    "a decorator of the program": (
        """
        def twice(g):
            def call(x):
                y = g(g(x))
                return y
            return call

        @twice
        def f(x):
            return x + 1
        """,
        "1",
        "3 y=3 | 9 | 9 | 4",
    ),
    "a decorated function inside": (
        """
        def same(g):
            return g

        def f(x):
            @same
            def g(y):
                return y
            return g(x)
        """,
        "1",
        "6 | 2 | 8 | 7",
    ),
    "statements that do nothing at run time": (
        """
        def f(n):
            "Text."
            global total
            x: int
            total = 0
            "More text."
            del n
            return total
        """,
        "1",
        "5 | 7 | 8",
    ),
    "a walrus, an unpacking, an annotated variable": (
        """
        def f(n):
            if (m := n + 1) > 1:
                a, *b = m, 1, 2
            c: int = a
            return b
        """,
        "1",
        "2 m=2 | 3 a=2 b=[1, 2] | 4 c=2 | 5",
    ),
    "values without a literal": (
        """
        def f():
            a = object()
            b = [a]
            c = iter(b)
            d = float("inf")
            e = float("nan")
            g = {*()}
            h = "x" * 101
            return None
        """,
        "",
        "2 | 3 | 4 | 5 d=float('inf') | 6 | 7 g=set() | 8 | 9",
    ),
}


def watch(code: str, args: str) -> tuple[list[tuple[int, dict[str, str]]], object]:
    """Run a function with the interpreter's tracer.

    Returns:
        Each line when it begins (0 for other events) with the variables as answers, and the return value.
    """
    seen: list[tuple[int, dict[str, str]]] = []

    def note(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename != "<watched>":
            return None
        state = {name: f"{value!r}; {type(value).__name__}" for name, value in frame.f_locals.items()}
        seen.append((frame.f_lineno if event == "line" else 0, state))
        return note

    names: dict[str, object] = {}
    exec(compile(code, "<watched>", "exec"), names)
    before = sys.gettrace()
    sys.settrace(note)
    try:
        return seen, eval(f"f({args})", names)
    finally:
        sys.settrace(before)


def _run(code: str, args: str, function: str = "f") -> Trace:
    return trace(textwrap.dedent(code).strip(), function, args)


def _write(run: Trace) -> str:
    lines = []
    for step in run.steps:
        changed = [f"{name}={value.text}" for name, value in sorted(step.changed.items()) if value]
        lines.append(" ".join([str(step.line), *changed]))
    return " | ".join(lines)


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_construct(name: str) -> None:
    code, args, expected = CONSTRUCTS[name]
    assert _write(_run(code, args)) == expected


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_other_python_versions_give_the_same_steps(version: str) -> None:
    python = shutil.which(f"python{version}")
    if python is None or subprocess.run([python, "-c", ""], capture_output=True).returncode:
        pytest.skip(f"Python {version} is not installed")
    script = textwrap.dedent("""
        import builtins, sys
        from preprocess.tracing.inside.instrument import BEGIN, END, LOOP, instrument
        from preprocess.tracing.inside.recorder import Recorder
        for line in sys.stdin:
            code, args = eval(line)
            recorder = Recorder(300, 100)
            hooks = {BEGIN: recorder.begin, LOOP: recorder.loop, END: recorder.end}
            names = {"__builtins__": {**vars(builtins), **hooks}}
            exec(instrument(code), names)
            recorder.is_on = True
            eval(f"f({args})", names)
            print(recorder.steps)
    """)
    programs = [(textwrap.dedent(code).strip(), args) for code, args, _ in CONSTRUCTS.values()]
    text = "".join(f"{each!r}\n" for each in programs)
    other, own = (
        subprocess.run([each, "-c", script], input=text, capture_output=True, text=True, check=True)
        for each in (python, sys.executable)
    )
    assert other.stdout == own.stdout
    assert len(own.stdout.splitlines()) == len(CONSTRUCTS)


@pytest.mark.parametrize(
    "name",
    [
        "a loop",
        "branches",
        "a call of a helper",
        "recursion",
        "a nested function with side effects",
        "a change through another name",
        "a generator",
        "an exception through two frames",
    ],
)
def test_plain_programs_agree_with_the_interpreter(name: str) -> None:
    code, args = textwrap.dedent(CONSTRUCTS[name][0]).strip(), CONSTRUCTS[name][1]
    seen, value = watch(code, args)
    run = _run(code, args)
    assert [step.line for step in run.steps] == [line for line, _ in seen if line]
    assert run.value == repr(value)


def test_line_is_done_when_its_frame_continues() -> None:
    run = _run(*CONSTRUCTS["recursion"][:2])
    # The second line 4 (place 3) is done before the first 5 begins, the first (place 1) before the second.
    assert [(step.line, step.turn, step.done) for step in run.steps if step.line == 4] == [(4, 1, 7), (4, 2, 6)]


def test_last_line_of_an_abandoned_generator_is_never_done() -> None:
    run = _run(*CONSTRUCTS["an abandoned generator"][:2])
    assert [step.done for step in run.steps] == [1, 3, None, 4]


def test_calls_are_isolated() -> None:
    code = "seen = []\ndef f(x, known=[]):\n    seen.append(x)\n    known.append(x)\n    return seen + known"
    assert [trace(code, "f", args).value for args in ("1", "2")] == ["[1, 1]", "[2, 2]"]


def test_arguments_are_not_part_of_the_call() -> None:
    code = "class P:\n    def __init__(self, x):\n        self.x = x\n\ndef f(p, *, k=0):\n    return p.x + k"
    assert _write(_run(code, "P(2), k=1")) == "6"


def test_function_without_statements() -> None:
    run = _run("f = lambda x: x + 1", "1")
    assert (run.value, run.steps) == ("2", ())


def test_program_is_a_module() -> None:
    code = """
        from __future__ import annotations
        from dataclasses import dataclass

        @dataclass
        class A:
            x: int

        def f():
            return A(1).x, __name__
    """
    assert _run(code, "").value == "(1, 'program')"


def test_line_endings() -> None:
    run = _run("def f():\r\n    a = 1\r    b = '\f'\n    return a", "")
    assert [run.lines[step.line].text for step in run.steps] == ["a = 1", "b = '\f'", "return a"]


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("{3, 1, 2}", "{1, 2, 3}"),
        ("frozenset([2, 1])", "frozenset({1, 2})"),
        ("{'a': (1,), 2: [None, True, -0.5]}", "{'a': (1,), 2: [None, True, -0.5]}"),
        ("b'x'", "b'x'"),
        ("1 + 2j", "(1+2j)"),
        ("10 ** 100", "1" + "0" * 100),
    ],
)
def test_return_values(value: str, literal: str) -> None:
    assert _run(f"def f():\n    return {value}", "").value == literal


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return 1 / 0", "ZeroDivisionError: division by zero"),
        ("return lambda: 1", "its return value has no literal: a function is not plain data"),
        ("yield 1", "a generator is not plain data"),
        ("return float('nan')", "nan has no literal"),
        ("return [0] * 5000", "longer than"),
        ("return 10 ** 10000", "longer than"),
        ("a = []; a.append(a); return a", "nested too deep"),
        ("for i in range(400): pass", "more than 300 steps"),
        ("async def g(): pass", "asynchronous functions cannot be traced"),
        ("return x", "NameError"),
        ("import nothing", "ModuleNotFoundError"),
        ("import random; return random.random()", "it does not run the same every time"),
        ("import time; a = time.time_ns(); return 1", "it does not run the same every time"),
    ],
)
def test_errors(body: str, reason: str) -> None:
    with pytest.raises(RowError, match=re.escape(reason)):
        trace(f"def f():\n    {body}", "f", "")


def test_max_steps() -> None:
    code = "def f(n):\n    for i in range(n):\n        pass\n    return n"
    assert len(trace(code, "f", "5", 12).steps) == 12
    with pytest.raises(RowError, match=r"^more than 11 steps$"):
        trace(code, "f", "5", 11)


@pytest.mark.parametrize(
    "code",
    ["def f(:", "def f():\n\treturn 1\n  return 2", "x = '\0'", "(" * 500 + ")" * 500, f"def f():\n    x = {'1 + ' * 2000}1"],
)
def test_program_that_does_not_parse(code: str) -> None:
    with pytest.raises(RowError, match="does not parse"):
        trace(code, "f", "")


@pytest.mark.parametrize(
    ("args", "reason"), [("1 +", "SyntaxError"), ("1, 2", "TypeError"), ("x", "NameError"), ("1" * 2001, "longer than 2000")]
)
def test_wrong_arguments(args: str, reason: str) -> None:
    with pytest.raises(RowError, match=reason):
        trace("def f(x):\n    return x", "f", args)


def test_missing_function() -> None:
    with pytest.raises(RowError, match="KeyError: 'f'"):
        trace("def g(x):\n    return x", "f", "1")
