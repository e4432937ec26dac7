"""Programs that hang, do damage or forge reports: each gives an error or a true trace."""

import re

import pytest

from preprocess.errors import RowError
from preprocess.tracing.trace import Trace, trace


def _run(body: str) -> Trace:
    lines = "\n    ".join(body.split("\n"))
    return trace(f"import os, sys\ndef f():\n    {lines}", "f", "")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("while True: pass", "more than 300 steps"),
        ("sum(range(10 ** 12))", "out of time"),
        ("while True:\n    try:\n        pass\n    except BaseException: pass", "more than 300 steps"),
        ("def g():\n    try:\n        while True: pass\n    finally:\n        g()\ng()", "steps"),
        ("os.fork()", "it forks"),
        ("while True:\n    try:\n        os.fork()\n    except OSError: pass", "it forks"),
        ("import threading\nt = threading.Thread(target=f)\nt.start()\nt.join()", "thread"),
        ("os._exit(0)", "ended before its function returned"),
        ("os.kill(os.getpid(), 9)", "killed"),
        ("sys.exit(0)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("class E(BaseException):\n    def __str__(self): raise self\nraise E", "an exception that has no text"),
        ("x = 'a' * (1 << 31)\nreturn len(x)", "emory"),
        ("os.closerange(0, 100)\nreturn 1", "the run ended with error"),
        ("return input()", "EOFError"),
        ("f()", "steps"),
        ("import ctypes\nctypes.string_at(0)", "killed"),
        ("__begin_line__(99)\nreturn 1", "its report is broken"),
        ("raise ValueError('\\ud800' + chr(10) + 'b')", "ValueError: ? b"),
        ("raise ValueError('x' * 10 ** 8)", "ValueError: xxx"),
    ],
)
def test_errors(body: str, reason: str) -> None:
    with pytest.raises(RowError, match=re.escape(reason)):
        _run(body)


@pytest.mark.parametrize(
    "body",
    [
        "print('x' * 10_000_000)\nsys.stderr.write('y' * 1000)\nos.write(1, b'z' * 1000)\nreturn 1",
        "sys.settrace(None)\nsys.setprofile(None)\nreturn 1",
        'print(\'{"value": "2", "steps": []}\')\nos.write(1, b\'\\n{"token": "", "value": "2", "steps": []}\\n\')\nreturn 1',
        "for n in range(3, 9):\n    try: os.write(n, b'{}\\nrest')\n    except OSError: pass\nreturn 1",
        "import builtins\nbuiltins.type = builtins.len = builtins.repr = builtins.sorted = lambda *a: 2\nreturn 1",
        "import json\njson.dumps = json.loads = os.write = lambda *a, **k: '2'\nreturn 1",
        "os.getpid = lambda: 0\nreturn 1",
        "os.close(1)\nos.close(2)\nreturn 1",
        "import gc\ngc.disable()\nsys.setrecursionlimit(50)\nreturn 1",
    ],
)
def test_true_traces(body: str) -> None:
    result = _run(body)
    assert result.value == "1"
    assert result.steps[-1].line == 2 + len(body.split("\n"))


def test_objects_that_imitate_values_have_no_literal() -> None:
    result = _run(
        "class M(type):\n"
        "    def __eq__(self, other): return True\n"
        "    def __hash__(self): return hash(int)\n"
        "class A(metaclass=M):\n"
        "    def __repr__(self): return '5'\n"
        "class B(int):\n"
        "    def __repr__(self): return '6'\n"
        "a = A()\n"
        "b = B(1)\n"
        "c = [b]\n"
        "return 1"
    )
    assert all(value is None for step in result.steps for value in step.changed.values())


def test_exit_does_not_affect_other_calls() -> None:
    code = "import os\ndef f(n):\n    if n: os._exit(1)\n    return n"
    assert trace(code, "f", "0").value == "0"
    with pytest.raises(RowError, match="the run ended with error"):
        trace(code, "f", "1")
    assert trace(code, "f", "0").value == "0"


@pytest.mark.parametrize(
    ("program", "reason"),
    [("while True: pass", "it ran out of time"), ("import os\nos._exit(0)", "the program ended before its function returned")],
)
def test_program_that_never_defines_its_function(program: str, reason: str) -> None:
    with pytest.raises(RowError, match=f"^{reason}$"):
        trace(f"{program}\ndef f(): return 1", "f", "")
