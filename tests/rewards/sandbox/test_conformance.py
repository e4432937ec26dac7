"""Behaviour that both sandboxes share: the local one, and SandboxFusion behind a test server.

Isolation (other processes, the network, the host's files) depends on the service and is not tested here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from rewards.sandbox import Execution, Limits, Program, Sandbox, SandboxError
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

LIMITS = Limits(cpu_seconds=10, wall_seconds=300, memory_mb=512, output_bytes=10_000)
"""Limits that a program of a test exceeds only if that is its purpose, on a busy machine too."""
SPIN = replace(LIMITS, cpu_seconds=1)
SLEEP = replace(LIMITS, wall_seconds=0.7)
RUNNER = "tests.rewards.sandbox.echo_runner"


@dataclass(frozen=True)
class Case:
    """A program and its expected outcome."""

    code: str
    verdict: str = "ok"
    output: str = ""
    error: str = ""
    """A part of standard error."""
    status: int | None = 0
    stdin: str = ""
    limits: Limits = LIMITS


ENDLESS = "while True:\n    pass"
FLOOD = "while True:\n    print('x' * 1000, end='')"

CASES = {
    "output": Case("print('a')\nprint('b', end='')", output="a\nb"),
    "nothing": Case(""),
    "standard error": Case("import sys\nprint('out')\nprint('err', file=sys.stderr)", output="out\n", error="err\n"),
    "input": Case("print(input()[::-1])\nprint(input())", output="cba\nd\n", stdin="abc\nd\n"),
    "input of a megabyte": Case("import sys\nprint(len(sys.stdin.read()))", output="1000000\n", stdin="x" * 1_000_000),
    "input that is not read": Case("print(1)", output="1\n", stdin="x" * 1_000_000),
    "no input": Case("input()", "error", error="EOFError", status=1),
    "unicode": Case("print('é→🙂', input())", output="é→🙂 ß漢\n", stdin="ß漢"),
    "main": Case("if __name__ == '__main__':\n    print(1)", output="1\n"),
    "future import": Case("from __future__ import annotations\ndef f(x: Unknown): print(x)\nf(1)", output="1\n"),
    "a class of the program, pickled": Case(
        "import pickle\nclass A:\n    x = 3\nprint(pickle.loads(pickle.dumps(A())).x)", output="3\n"
    ),
    "standard library modules": Case("import sys, heapq, bisect, decimal, fractions, statistics, threading, asyncio"),
    "at exit": Case("import atexit\natexit.register(print, 'bye')", output="bye\n"),
    "output of a thread": Case(
        "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.05), print('late'))).start()", output="late\n"
    ),
    "twenty threads": Case(
        "import threading\nb = threading.Barrier(21)\nfor _ in range(20): threading.Thread(target=b.wait).start()\nb.wait()"
    ),
    "descriptors closed": Case("import os\nfor each in (0, 1, 2):\n    os.close(each)"),
    "exit": Case("raise SystemExit"),
    "exit with a status": Case("import sys\nprint('a')\nsys.exit(3)", "error", output="a\n", status=3),
    "exit with a message": Case("import sys\nsys.exit('no')", "error", error="no\n", status=1),
    "exit at once": Case("import os\nos._exit(7)", "error", status=7),
    "exit with status 0 at once": Case("import os\nprint('unflushed')\nos._exit(0)"),
    "exception": Case("x = 0\n\n1 / x", "error", error="line 3", status=1),
    "name of an exception": Case("x = 0\n\n1 / x", "error", error="ZeroDivisionError: division by zero", status=1),
    "source line of an exception": Case("def f(x):\n    return 1 / x\nf(0)", "error", error="    return 1 / x\n", status=1),
    "syntax error": Case("def f(:", "error", error="SyntaxError", status=1),
    "a null character": Case("print('\0')", "error", error="null byte", status=1),
    "recursion": Case("def f(): f()\nf()", "error", error="RecursionError", status=1),
    "endless loop": Case("print('a', flush=True)\n" + ENDLESS, "timeout", output="a\n", status=None, limits=SPIN),
    "endless loop that catches exceptions": Case(
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass", "timeout", status=None, limits=SPIN
    ),
    "endless sleep": Case("import time\ntime.sleep(1000)", "timeout", status=None, limits=SLEEP),
    "deadlock": Case(
        "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()", "timeout", status=None, limits=SLEEP
    ),
    "endless output": Case(FLOOD, "output", output="x" * 10_000, status=None, limits=SPIN),
    "much on standard error": Case(
        "import sys\nprint('x' * 20_000 + 'end', file=sys.stderr)\nprint('out')", output="out\n", error="x" * 9_996 + "end\n"
    ),
    "very much on standard error": Case(
        "import sys\nfor _ in range(300): print('x' * 10_000, file=sys.stderr)\nprint('end', file=sys.stderr)\nprint('out')",
        output="out\n",
        error="x" * 9_995 + "\nend\n",
    ),
    "exception after much on standard error": Case(
        "import sys\nsys.stderr.write('é' * 200_000 + chr(10))\nraise MemoryError", "memory", status=1, error="é\nTraceback"
    ),
    "endless standard error": Case(
        "import sys\nwhile True: sys.stderr.write('x' * 10_000)", "timeout", error="x" * 10_000, status=None, limits=SPIN
    ),
    "segmentation fault": Case("import ctypes\nctypes.string_at(0)", "killed", status=-11),
}


def _check(case: Case, execution: Execution) -> None:
    assert execution.verdict == case.verdict, execution
    assert execution.output == case.output
    assert case.error in execution.error
    assert (execution.error == "") == (case.error == "")
    assert execution.status == case.status
    assert execution.value is None


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_one_program(sandbox: Sandbox, case: Case) -> None:
    execution = sandbox.run_blocking(Program(case.code, case.stdin), case.limits)
    _check(case, execution)
    assert 0 < execution.seconds < LIMITS.wall_seconds


MEMORY = {
    "at once": "x = bytearray(4 << 30)",
    "bit by bit": "x = []\nwhile True:\n    x.append(bytearray(1 << 20))",
    "by a list": "x = [0]\nwhile True:\n    x += x",
}


@pytest.mark.parametrize("code", MEMORY.values(), ids=MEMORY)
def test_memory(sandbox: Sandbox, code: str) -> None:
    """A process at its limit gets a MemoryError, unless the sandbox ends it first."""
    execution = sandbox.run_blocking(Program(code), LIMITS)
    assert execution.verdict == "memory", execution
    assert execution.status is None or "MemoryError" in execution.error


def test_caught_memory_error(sandbox: Sandbox) -> None:
    code = "try:\n    x = bytearray(4 << 30)\nexcept MemoryError:\n    print('caught')"
    assert sandbox.run_blocking(Program(code), LIMITS).output == "caught\n"


@pytest.mark.parametrize("limit", [1, 10, 1000])
def test_output_is_cut_between_characters(sandbox: Sandbox, limit: int) -> None:
    execution = sandbox.run_blocking(Program("print('é' * 2000)"), replace(LIMITS, output_bytes=limit))
    assert execution.verdict == "output"
    assert set(execution.output) <= {"é", "\ufffd"}
    assert len(execution.output.rstrip("\ufffd")) == limit // 2


def test_output_up_to_the_limit(sandbox: Sandbox) -> None:
    execution = sandbox.run_blocking(Program("print('x' * 9_999)"), LIMITS)
    assert (execution.verdict, len(execution.output)) == ("ok", 10_000)


LARGE = {
    "text": ("print('7' * 300_000)", "7" * 300_000 + "\n"),
    "lines": ("for n in range(50_000): print(n)", "".join(f"{n}\n" for n in range(50_000))),
    "characters of four bytes": ("print('a' + '\U0001f600' * 200_000)", "a" + "\U0001f600" * 200_000 + "\n"),
    "invalid bytes": ("import os\nos.write(1, b'\\xff' * 60_000)", "\ufffd" * 60_000),
    "an incomplete character": ("import os\nos.write(1, b'a\\xf0\\x9f')", "a\ufffd"),
    "binary": ("import sys\nsys.stdout.buffer.write(bytes(range(128)) * 3000)", "".join(map(chr, range(128))) * 3000),
}


@pytest.mark.parametrize(("code", "output"), LARGE.values(), ids=LARGE)
def test_large_output_is_whole(sandbox: Sandbox, code: str, output: str) -> None:
    execution = sandbox.run_blocking(Program(code), replace(LIMITS, output_bytes=2_000_000))
    assert (execution.verdict, execution.error) == ("ok", "")
    assert execution.output == output


def test_large_standard_error_is_whole(sandbox: Sandbox) -> None:
    code = "import sys\nprint('o' * 500_000)\nprint('e' * 500_000, file=sys.stderr)\nraise SystemExit(3)"
    execution = sandbox.run_blocking(Program(code), replace(LIMITS, output_bytes=2_000_000))
    assert (execution.verdict, execution.status) == ("error", 3)
    assert (execution.output, execution.error) == ("o" * 500_000 + "\n", "e" * 500_000 + "\n")


def test_large_output_before_a_timeout(sandbox: Sandbox) -> None:
    code = "import time\nprint('x' * 500_000, flush=True)\ntime.sleep(1000)"
    execution = sandbox.run_blocking(Program(code), replace(LIMITS, wall_seconds=2, output_bytes=2_000_000))
    assert (execution.verdict, execution.output) == ("timeout", "x" * 500_000 + "\n")


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM", "SIGABRT"])
def test_signal_to_itself(sandbox: Sandbox, signal: str) -> None:
    """The signal ends the program, unless the sandbox refuses signals."""
    code = f"import os, signal\nos.kill(os.getpid(), signal.{signal})"
    execution = sandbox.run_blocking(Program(code), LIMITS)
    assert execution.verdict == "killed" or "PermissionError" in execution.error
    assert execution.status != 0


def test_stopped_process(sandbox: Sandbox) -> None:
    code = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)"
    execution = sandbox.run_blocking(Program(code), SLEEP)
    assert execution.verdict == "timeout" or "PermissionError" in execution.error


def test_recursion_without_a_limit(sandbox: Sandbox) -> None:
    """Whether time, memory or the stack runs out first depends on the Python."""
    code = "import sys\nsys.setrecursionlimit(1 << 30)\ndef f(): f()\nf()"
    assert sandbox.run_blocking(Program(code), SPIN).verdict in ("timeout", "memory", "killed", "error")
    code = "x = []\nfor _ in range(1_000_000): x = [x]\nimport sys\nsys.setrecursionlimit(1 << 30)\nrepr(x)"
    assert sandbox.run_blocking(Program(code), SPIN).verdict in ("timeout", "memory", "killed", "error")
    assert sandbox.run_blocking(Program("print(1)"), LIMITS).output == "1\n"


@pytest.mark.parametrize("code", ["x = '\ud800'", "print(1)\n# \udcff", "\ufeffprint(1)", "print(1)\r\nprint(2)\r\n"])
def test_odd_source(sandbox: Sandbox, code: str) -> None:
    assert sandbox.run_blocking(Program(code), LIMITS).verdict in ("ok", "error")


def test_odd_input(sandbox: Sandbox) -> None:
    program = Program("import sys\nprint(len(sys.stdin.buffer.read()) > 2)", stdin="a\ud800\0b")
    assert sandbox.run_blocking(program, LIMITS).output == "True\n"


def test_output_that_is_not_text(sandbox: Sandbox) -> None:
    execution = sandbox.run_blocking(Program("import sys\nsys.stdout.buffer.write(b'\\xff\\xfe')"), LIMITS)
    assert execution.verdict == "ok"
    assert execution.output.encode()


def test_same_hashes_in_every_run(sandbox: Sandbox) -> None:
    runs = [sandbox.run_blocking(Program("print(hash('a'), list({'a', 'b', 'c', 'd'}))"), LIMITS) for _ in range(3)]
    assert len({run.output for run in runs}) == 1


LOOK = """\
import os, tempfile
here = os.getcwd()
print(os.listdir(here), os.path.expanduser("~") == here)
for folder in {here, tempfile.gettempdir(), os.path.expanduser("~")}:
    with open(os.path.join(folder, "left"), "x") as file:
        file.write("secret")
os.mkdir("folder")
print(sorted(os.listdir(here)))
"""


def test_each_program_has_an_empty_folder(sandbox: Sandbox) -> None:
    for _ in range(3):
        execution = sandbox.run_blocking(Program(LOOK), LIMITS)
        assert execution.output == "[] True\n['folder', 'left']\n", execution.error


def test_concurrent_programs_do_not_share_files(sandbox: Sandbox) -> None:
    code = "import os, time\nopen(input(), 'w').close()\ntime.sleep(0.2)\nprint(os.listdir())"
    programs = [Program(code, stdin=str(number)) for number in range(4)]
    executions = asyncio.run(sandbox.run_many(programs, LIMITS))
    assert [each.output for each in executions] == [f"['{number}']\n" for number in range(4)]


def test_file_over_the_limit(sandbox: Sandbox) -> None:
    code = "with open('f', 'wb') as file:\n    for _ in range(5):\n        file.write(bytes(1 << 20))"
    execution = sandbox.run_blocking(Program(code), replace(LIMITS, file_mb=2))
    assert execution.verdict == "error", execution
    assert "OSError" in execution.error
    assert sandbox.run_blocking(Program(code), replace(LIMITS, file_mb=16)).verdict == "ok"


GRANDCHILD = """\
import ctypes, os
reading, writing = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for each in range(3):
            os.dup2(nowhere, each)
        ctypes.CDLL(None).prctl(15, b"{name}")
        os.write(writing, b"x")
        import time
        time.sleep(600)
    os._exit(0)
os.read(reading, 1)
print("left it")
"""


def test_detached_grandchild_is_ended(sandbox: Sandbox) -> None:
    """The grandchild has a unique name. A sandbox may refuse new processes."""
    name = f"gone{secrets.token_hex(4)}"
    execution = sandbox.run_blocking(Program(GRANDCHILD.format(name=name)), LIMITS)
    assert execution.output == "left it\n" or "PermissionError" in execution.error, execution
    wait_until(lambda: not _is_running(name))


def _is_running(name: str) -> bool:
    """Return whether a process has this name; zombies do not count."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            _, found, rest = file.read_text().partition(f"({name}) ")
            if found and not rest.startswith("Z"):
                return True
    return False


NASTY = "'''\"\"\"\\\n'); raise SystemExit(1)  # {é} \0 \r\n%s"


@pytest.mark.parametrize("code", ["", "print(1)", NASTY, "x" * 300_000], ids=["empty", "code", "nasty", "long"])
def test_runner(sandbox: Sandbox, code: str) -> None:
    """The code is data for the runner, whatever it contains."""
    execution = sandbox.run_blocking(Program(code, stdin="in", runner=RUNNER), replace(LIMITS, output_bytes=1_000_000))
    assert execution.verdict == "ok", execution.error
    assert json.loads(execution.output) == {"code": code, "stdin": "in", "main": False}


def test_failing_runner(sandbox: Sandbox) -> None:
    execution = sandbox.run_blocking(Program("raise it", runner=RUNNER), LIMITS)
    assert (execution.verdict, execution.status) == ("error", 1)
    assert "RuntimeError: it" in execution.error


def test_missing_runner(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match=r"tests\.no_such\.runner"):
        sandbox.run_blocking(Program("", runner="tests.no_such.runner"), LIMITS)
    assert sandbox.run_blocking(Program("print(1)"), LIMITS).output == "1\n"


def test_results_are_in_the_order_of_the_programs(sandbox: Sandbox) -> None:
    code = "import time\nn = int(input())\ntime.sleep(0.1 * (n % 3))\nprint(n)"
    executions = asyncio.run(sandbox.run_many([Program(code, stdin=str(number)) for number in range(6)], LIMITS))
    assert [each.output for each in executions] == [f"{number}\n" for number in range(6)]
    assert asyncio.run(sandbox.run_many([], LIMITS)) == []


def test_failing_programs_do_not_affect_others(sandbox: Sandbox) -> None:
    programs = [Program(code) for code in (ENDLESS, "print(1)", "import ctypes\nctypes.string_at(0)", "print(2)", "1 / 0")]
    executions = asyncio.run(sandbox.run_many(programs, replace(LIMITS, cpu_seconds=2)))
    assert [each.verdict for each in executions] == ["timeout", "ok", "killed", "ok", "error"]


def test_from_many_threads(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(8) as threads:
        executions = threads.map(lambda number: sandbox.run_blocking(Program(f"print({number})"), LIMITS), range(24))
        assert [each.output for each in executions] == [f"{number}\n" for number in range(24)]


def test_from_two_event_loops_at_once(sandbox: Sandbox) -> None:
    outputs: dict[int, list[str]] = {}

    async def use(number: int) -> list[str]:
        runs = (sandbox.run(Program(f"print({number * 10 + each})"), LIMITS) for each in range(4))
        return [each.output for each in await asyncio.gather(*runs)]

    def serve(number: int) -> None:
        outputs[number] = asyncio.run(use(number))

    threads = [threading.Thread(target=serve, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outputs == {number: [f"{number * 10 + each}\n" for each in range(4)] for number in (1, 2)}


def test_cancelled_callers_do_not_affect_others(sandbox: Sandbox) -> None:
    async def cancel() -> list[str]:
        waiting = [asyncio.create_task(sandbox.run(Program("import time\ntime.sleep(60)"), SLEEP)) for _ in range(3)]
        await asyncio.sleep(0.2)
        for task in waiting:
            task.cancel()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended)
        return [(await sandbox.run(Program(f"print({number})"), LIMITS)).output for number in range(3)]

    assert asyncio.run(cancel()) == ["0\n", "1\n", "2\n"]


def test_default_limits(sandbox: Sandbox) -> None:
    assert sandbox.run_blocking(Program("print('x' * 100_000)")).output == "x" * 100_000 + "\n"


def test_description(sandbox: Sandbox) -> None:
    lines = sandbox.describe()
    assert lines
    assert all(facility and how and "\n" not in facility + how for facility, how in lines)


@pytest.mark.parametrize("kind", ["local", "fusion"])
def test_close_while_a_program_runs(make_sandbox: Callable[[str], Sandbox], kind: str) -> None:
    sandbox = make_sandbox(kind)
    assert sandbox.run_blocking(Program("print(1)"), LIMITS).output == "1\n"
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(sandbox.run_blocking, Program("import time\ntime.sleep(1000)"), LIMITS)
        time.sleep(0.2)
        sandbox.close()
        with pytest.raises(SandboxError):
            waiting.result(120)
    sandbox.close()
    with pytest.raises(SandboxError, match="the sandbox is closed"):
        sandbox.run_blocking(Program("print(1)"), LIMITS)
    with pytest.raises(SandboxError, match="the sandbox is closed"):
        asyncio.run(sandbox.run(Program("print(1)"), LIMITS))


@pytest.mark.parametrize("kind", ["local", "fusion"])
def test_close_before_first_use(make_sandbox: Callable[[str], Sandbox], kind: str) -> None:
    sandbox = make_sandbox(kind)
    sandbox.close()
    with pytest.raises(SandboxError, match="the sandbox is closed"):
        sandbox.run_blocking(Program("print(1)"), LIMITS)


def _talk(sandbox: Sandbox, *calls: str | tuple[str, Limits]) -> list[Execution]:
    async def talk() -> list[Execution]:
        session = await sandbox.open_session()
        try:
            return [await session.run(*((call, LIMITS) if isinstance(call, str) else call)) for call in calls]
        finally:
            await session.close()

    return asyncio.run(talk())


def _values(executions: list[Execution]) -> list[str | None]:
    return [each.value for each in executions]


def test_session_keeps_variables(sandbox: Sandbox) -> None:
    calls = _talk(sandbox, "x = 20", "x += 1", "print(x)", "x * 2")
    assert _values(calls) == [None, None, None, "42"]
    assert [each.output for each in calls] == ["", "", "21\n", ""]
    assert [each.verdict for each in calls] == ["ok"] * 4


def test_session_keeps_imports_functions_and_classes(sandbox: Sandbox) -> None:
    calls = _talk(
        sandbox,
        "import math as m\nfrom collections import Counter",
        "def f(x):\n    return m.floor(x) + g()",
        "def g():\n    return 10",
        "class A:\n    def __init__(self, x):\n        self.x = x",
        "a = A(f(2.5))",
        "a.x",
        "Counter('aab').most_common(1)",
        "g = lambda: 20",
        "f(0.5)",
    )
    assert _values(calls)[5:] == ["12", "[('a', 2)]", None, "20"]


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("1 + 1", "2"),
        ("'a'", "'a'"),
        ("None", None),
        ("x = 1", None),
        ("x = 1\nx", "1"),
        ("print('a')", None),
        ("[1,\n 2]", "[1, 2]"),
        ("for x in range(2):\n    x", None),
        ("", None),
        ("# nothing", None),
        ("'é'", "'é'"),
        ("1; 2", "2"),
    ],
)
def test_session_returns_the_value_of_the_last_expression(sandbox: Sandbox, code: str, value: str | None) -> None:
    (call,) = _talk(sandbox, code)
    assert (call.verdict, call.value, call.error) == ("ok", value, "")


def test_session_returns_the_output_of_the_last_call(sandbox: Sandbox) -> None:
    calls = _talk(sandbox, "print('one')", "import sys\nprint('two', file=sys.stderr)", "print('three')")
    assert [(each.output, each.error) for each in calls] == [("one\n", ""), ("", "two\n"), ("three\n", "")]


def test_session_keeps_the_changes_of_a_failing_call(sandbox: Sandbox) -> None:
    calls = _talk(sandbox, "x = 1", "x = 2\ny = [3]\n1 / 0\nx = 4", "x, y", "def f(:", "x")
    assert _values(calls) == [None, None, "(2, [3])", None, "2"]
    assert calls[1].verdict == "error"
    assert "line 3" in calls[1].error
    assert "ZeroDivisionError" in calls[1].error
    assert "SyntaxError" in calls[3].error


def test_session_continues_after_exit(sandbox: Sandbox) -> None:
    calls = _talk(sandbox, "x = 1", "import sys\nsys.exit(3)", "x")
    assert (calls[1].verdict, calls[1].status, calls[2].value) == ("error", 3, "1")


def test_session_keeps_the_end_of_standard_error(sandbox: Sandbox) -> None:
    calls = _talk(sandbox, "x = 1", "import sys\nx = 2\nsys.stderr.write('x' * 3_000_000 + 'end') and None", "x")
    assert (calls[1].verdict, calls[1].error) == ("ok", "x" * (LIMITS.output_bytes - 3) + "end")
    assert calls[2].value == "2"


ENDED = {
    "timeout": "x = 2\nwhile True: pass",
    "output": "x = 2\nprint('x' * 20_000)",
    "killed": "x = 2\nimport ctypes\nctypes.string_at(0)",
    "memory": "x = 2\ny = bytearray(4 << 30)",
}


@pytest.mark.parametrize(("verdict", "code"), ENDED.items(), ids=ENDED)
def test_session_discards_the_changes_of_an_ended_call(sandbox: Sandbox, verdict: str, code: str) -> None:
    limits = SPIN if verdict == "timeout" else LIMITS
    calls = _talk(sandbox, "x = 1", (code, limits), "x", "x += 1", "x")
    assert calls[1].verdict == verdict, calls[1]
    assert len(calls[1].output) == (LIMITS.output_bytes if verdict == "output" else 0)
    assert _values(calls) == [None, None, "1", None, "2"]


def test_session_discards_the_changes_of_a_sleeping_call(sandbox: Sandbox) -> None:
    calls = _talk(sandbox, "x = 1", ("x = 2\nimport time\ntime.sleep(60)", SLEEP), "x")
    assert [each.verdict for each in calls] == ["ok", "timeout", "ok"]
    assert calls[2].value == "1"


def test_session_gives_each_call_its_own_limits(sandbox: Sandbox) -> None:
    """Two calls use 2.2 CPU seconds of 2. The rest of each call's limit is for the start of an interpreter."""
    spend = "import time\nend = time.process_time() + 1.1\nwhile time.process_time() < end: pass"
    limits = replace(LIMITS, cpu_seconds=2)
    calls = _talk(sandbox, (spend, limits), (spend, limits))
    assert [each.verdict for each in calls] == ["ok", "ok"]


def test_sessions_do_not_share_variables(sandbox: Sandbox) -> None:
    async def talk() -> list[Execution]:
        one, two = await sandbox.open_session(), await sandbox.open_session()
        await asyncio.gather(one.run("x = 1", LIMITS), two.run("x = 2", LIMITS))
        values = [await one.run("x", LIMITS), await two.run("x", LIMITS), await sandbox.run(Program("print(x)"), LIMITS)]
        await one.close()
        return [*values, await two.run("x + 1", LIMITS)]

    one, two, program, after = asyncio.run(talk())
    assert (one.value, two.value, after.value) == ("1", "2", "3")
    assert "NameError" in program.error


def test_closed_session(sandbox: Sandbox) -> None:
    async def talk() -> None:
        session = await sandbox.open_session()
        await session.run("x = 1", LIMITS)
        await session.close()
        await session.close()
        with pytest.raises(SandboxError, match="the session"):
            await session.run("x", LIMITS)

    asyncio.run(talk())


def test_session_after_a_cancelled_call(sandbox: Sandbox) -> None:
    async def talk() -> Execution:
        session = await sandbox.open_session()
        await session.run("x = 1", LIMITS)
        cancelled = asyncio.create_task(session.run("import time\ntime.sleep(0.5)\n'cancelled'", LIMITS))
        await asyncio.sleep(0.2)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        try:
            return await session.run("x + 1", LIMITS)
        finally:
            await session.close()

    assert asyncio.run(talk()).value == "2"


def test_session_in_several_loops(sandbox: Sandbox) -> None:
    session = asyncio.run(sandbox.open_session())
    asyncio.run(session.run("x = 1", LIMITS))
    assert asyncio.run(session.run("x", LIMITS)).value == "1"
    asyncio.run(session.close())


def test_session_calls_at_once_are_run_in_turn(sandbox: Sandbox) -> None:
    async def talk() -> list[Execution]:
        session = await sandbox.open_session()
        await session.run("x = 0")
        calls = await asyncio.gather(*(session.run(f"x += 1\nprint({number})\nx", LIMITS) for number in range(5)))
        await session.close()
        return list(calls)

    calls = asyncio.run(talk())
    assert [call.output for call in calls] == [f"{number}\n" for number in range(5)]
    assert [call.value for call in calls] == ["1", "2", "3", "4", "5"]
