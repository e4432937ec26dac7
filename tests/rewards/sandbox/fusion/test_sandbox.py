"""SandboxFusion over HTTP: transport faults, retries, the connection pool, and one-line errors."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rewards.sandbox import Execution, Limits, Program, SandboxError, SandboxUnavailableError
from rewards.sandbox.fusion.messages import read_execution, write_request
from rewards.sandbox.fusion.sandbox import FusionSandbox
from tests.rewards.sandbox.fusion_server import FusionServer
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

ONE = Program("print(1)")
LIMITS = Limits(cpu_seconds=1, wall_seconds=300, memory_mb=512, output_bytes=1000)


def _answer(**result: Any) -> dict[str, Any]:
    run = {"status": "Finished", "execution_time": 0.5, "return_code": 0, "stdout": "1\n", "stderr": "", **result}
    return {"status": "Success", "message": "", "compile_result": None, "run_result": run, "files": {}}


@pytest.fixture
def server() -> Iterator[FusionServer]:
    """A server for one test, which does not run the programs."""
    made = FusionServer()
    made.answer = _answer()
    yield made
    made.close()


@pytest.fixture
def sandbox(server: FusionServer) -> Iterator[FusionSandbox]:
    made = FusionSandbox(server.url, concurrency=4, backoff=0.01)
    yield made
    made.close()


def _fail(sandbox: FusionSandbox, program: Program = ONE, limits: Limits = LIMITS) -> str:
    with pytest.raises(SandboxError) as caught:
        sandbox.run_blocking(program, limits)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("fault", ["reset", "end", 429, 502, 503, 504])
def test_retry_after_a_transport_fault(sandbox: FusionSandbox, server: FusionServer, fault: str | int) -> None:
    server.faults.extend([fault] * 3)
    assert sandbox.run_blocking(ONE, LIMITS).output == "1\n"
    assert len(server.requests) == 4


def test_retry_after_a_fault_of_the_service(sandbox: FusionSandbox, server: FusionServer) -> None:
    server.faults.append({"status": "SandboxError", "message": "exception on running command: [Errno 11] busy"})
    assert sandbox.run_blocking(ONE, LIMITS).output == "1\n"
    assert len(server.requests) == 2


def test_each_wait_is_twice_as_long(server: FusionServer, caplog: pytest.LogCaptureFixture) -> None:
    server.faults.extend([503] * 3)
    sandbox = FusionSandbox(server.url, backoff=0.01)
    with caplog.at_level(logging.WARNING):
        sandbox.run_blocking(ONE, LIMITS)
    sandbox.close()
    assert len(caplog.records) == 3
    for record, least in zip(caplog.records, (0.01, 0.02, 0.04), strict=True):
        assert record.message.startswith(f"SandboxFusion at {server.url}: HTTP 503 message of the server; retrying in ")
        assert isinstance(record.args, tuple)
        assert least <= float(str(record.args[-1])) <= 1.5 * least


@pytest.mark.parametrize(
    "result",
    [
        {"return_code": 1, "stderr": "ConnectionError: HTTP 503"},
        {"return_code": -9},
        {"status": "TimeLimitExceeded", "return_code": None},
        {"return_code": 1, "stderr": "MemoryError"},
    ],
)
def test_failed_program_is_not_retried(sandbox: FusionSandbox, server: FusionServer, result: dict[str, Any]) -> None:
    server.answer = {**_answer(**result), "status": "Failed"}
    assert sandbox.run_blocking(ONE, LIMITS).verdict != "ok"
    assert len(server.requests) == 1


def test_connection_refused() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        sandbox = FusionSandbox(url, backoff=0.01)
        assert _fail(sandbox) == (
            f"SandboxFusion at {url}: cannot connect: Connection refused; "
            "is the service running, and is the URL right? (4 tries)"
        )
        sandbox.close()


def test_unknown_host() -> None:
    sandbox = FusionSandbox("http://no-such-host.invalid:8080", attempts=1)
    line = _fail(sandbox)
    sandbox.close()
    assert line.startswith("SandboxFusion at http://no-such-host.invalid:8080: cannot connect: ")
    assert line.endswith("; is the service running, and is the URL right? (1 try)")
    assert "All connection attempts failed" not in line


@pytest.mark.parametrize(
    ("fault", "tries", "line"),
    [
        ("reset", 4, "Connection reset by peer (4 tries)"),
        ("end", 4, "Server disconnected without sending a response (4 tries)"),
        (503, 4, "HTTP 503 message of the server (4 tries)"),
        (500, 1, "HTTP 500 message of the server"),
        (422, 1, "HTTP 422 message of the server"),
        (404, 1, "HTTP 404 for POST /run_code; this is not SandboxFusion, or the URL has an extra path"),
        (
            "html",
            1,
            "POST /run_code returned text/html, not a JSON object; is this SandboxFusion? "
            "<!DOCTYPE html> <title>Somewhere else</title>",
        ),
        (
            "text",
            1,
            'POST /run_code returned application/json, not a JSON object; is this SandboxFusion? {"status": "Succ',
        ),
        ("list", 1, "POST /run_code returned application/json, not a JSON object; is this SandboxFusion? []"),
        (
            {"status": "SandboxError", "message": "exception on running code\nprint(1): [Errno 28] No space left on device"},
            4,
            "service error: print(1): [Errno 28] No space left on device (4 tries)",
        ),
        ({"hello": 1}, 1, 'the answer has no `run_result` with status Finished or TimeLimitExceeded: {"hello": 1}'),
        ({"run_result": {"status": "Finished"}}, 1, "the answer has no `return_code`"),
    ],
    ids=str,
)
def test_errors_are_one_line(
    sandbox: FusionSandbox, server: FusionServer, fault: str | int | dict[str, Any], tries: int, line: str
) -> None:
    server.faults.extend([fault] * tries)
    assert _fail(sandbox) == f"SandboxFusion at {server.url}: {line}"
    assert len(server.requests) == tries
    assert sandbox.run_blocking(ONE, LIMITS).output == "1\n"


def test_timeout_of_a_program(sandbox: FusionSandbox, server: FusionServer) -> None:
    server.answer = None
    execution = sandbox.run_blocking(Program("import time\ntime.sleep(1000)"), Limits(wall_seconds=0.3))
    assert execution.verdict == "timeout"


def test_service_that_hangs_is_an_error(server: FusionServer) -> None:
    server.faults.append("hang")
    sandbox = FusionSandbox(server.url, patience=0.5)
    assert _fail(sandbox, limits=Limits(wall_seconds=0.3)) == (
        f"SandboxFusion at {server.url}: no answer within 0.8 s (0.5 s more than the program's wall time); "
        "the service hangs or is overloaded"
    )
    sandbox.close()


def _run_until_unavailable(sandbox: FusionSandbox, most: int = 20) -> list[str]:
    lines = []
    for _ in range(most):
        with pytest.raises(SandboxError) as caught:
            sandbox.run_blocking(ONE, Limits(wall_seconds=0.1))
        lines.append(str(caught.value))
        if isinstance(caught.value, SandboxUnavailableError):
            break
    return lines


def test_service_that_hangs_is_not_asked_for_every_program(server: FusionServer) -> None:
    server.faults.extend(["hang"] * 100)
    sandbox = FusionSandbox(server.url, concurrency=4, patience=0.4, backoff=1000.0)

    async def run() -> list[Execution | BaseException]:
        return await asyncio.gather(*(sandbox.run(ONE, Limits(wall_seconds=0.1)) for _ in range(100)), return_exceptions=True)

    outcomes = asyncio.run(run())
    # Those in flight, and what was sent after the first of them and before the second.
    assert len(server.requests) <= 8
    lines = {str(each) for each in outcomes if isinstance(each, SandboxUnavailableError)}
    for line in lines:
        assert line.startswith(f"SandboxFusion at {server.url}: not sent: the service did not answer the last ")
        assert line.endswith(
            " programs: no answer within 0.5 s (0.4 s more than the program's wall time); the service hangs or is overloaded"
        )
    assert sum(isinstance(each, SandboxUnavailableError) for each in outcomes) >= 92
    sandbox.close()


def test_program_that_the_service_hangs_on_does_not_stop_the_others(server: FusionServer) -> None:
    sandbox = FusionSandbox(server.url, patience=0.4)
    for _ in range(4):
        server.faults.append("hang")
        assert "no answer within" in _fail(sandbox, limits=Limits(wall_seconds=0.1))
        assert sandbox.run_blocking(ONE, LIMITS).output == "1\n"
    sandbox.close()


@pytest.mark.parametrize("fault", ["reset", "end", 503])
def test_service_that_is_dead_is_not_asked_for_every_program(server: FusionServer, fault: str | int) -> None:
    server.faults.extend([fault] * 8)
    sandbox = FusionSandbox(server.url, backoff=0.1)
    lines = _run_until_unavailable(sandbox)
    assert len(lines) == 3
    assert lines[-1].startswith(f"SandboxFusion at {server.url}: not sent: the service did not answer the last 2 programs: ")
    assert len(server.requests) == 8

    def is_back() -> bool:
        try:
            return sandbox.run_blocking(ONE, LIMITS).output == "1\n"
        except SandboxUnavailableError:
            return False

    wait_until(is_back)
    assert sandbox.run_blocking(ONE, LIMITS).output == "1\n"
    sandbox.close()


@pytest.mark.parametrize("fault", [429, {"status": "SandboxError", "message": "no space left"}], ids=str)
def test_fault_that_a_service_reports_stops_no_other_program(
    sandbox: FusionSandbox, server: FusionServer, fault: int | dict[str, Any]
) -> None:
    for _ in range(4):
        server.faults.extend([fault] * 4)
        assert "(4 tries)" in _fail(sandbox)
    assert sandbox.run_blocking(ONE, LIMITS).output == "1\n"


def test_fault_of_one_program_in_a_batch(sandbox: FusionSandbox, server: FusionServer) -> None:
    server.answer = None
    server.choose_fault = lambda request: {"status": "SandboxError", "message": "bad"} if request["stdin"] == "bad" else None
    programs = [Program("print(input())", stdin="bad" if number % 5 == 0 else "good") for number in range(20)]

    async def run() -> list[Execution | BaseException]:
        return await asyncio.gather(*(sandbox.run(each, LIMITS) for each in programs), return_exceptions=True)

    for program, outcome in zip(programs, asyncio.run(run()), strict=True):
        if program.stdin == "bad":
            assert str(outcome) == f"SandboxFusion at {server.url}: service error: bad (4 tries)"
        else:
            assert isinstance(outcome, Execution) and outcome.output == "good\n"


def test_service_that_is_restarted_in_a_batch(server: FusionServer) -> None:
    sandbox = FusionSandbox(server.url, concurrency=4, backoff=0.1)
    sandbox.run_blocking(ONE, LIMITS)
    server.gate.clear()
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(asyncio.run, sandbox.run_many([ONE] * 50, LIMITS))
        wait_until(lambda: server.at_once == 4)
        server.close()
        again = FusionServer(port=int(server.url.rpartition(":")[2]))
        again.answer = server.answer
        assert {each.output for each in running.result(120)} == {"1\n"}
        again.close()
    sandbox.close()


def test_restart_is_waited_for_longer_than_a_wrong_url(server: FusionServer) -> None:
    sandbox = FusionSandbox(server.url, backoff=0.01)
    server.faults.extend([503] * 4)
    assert _fail(sandbox).endswith("(4 tries)")
    assert sandbox.run_blocking(ONE, LIMITS).output == "1\n"
    server.faults.extend([503] * 6)
    assert sandbox.run_blocking(ONE, LIMITS).output == "1\n"
    server.faults.extend(["reset"] * 4)
    assert _fail(sandbox).endswith("(4 tries)")
    sandbox.close()


HOSTILE = {
    "a long file for its output": "open('../stdout', 'wb').truncate(20 << 20)",
    "a long file that stays": "import time\nopen('../stdout', 'wb').truncate(20 << 20)\ntime.sleep(1000)",
    "another file for its output": "import os\nos.symlink('/proc/self/mem', '../stdout')\nprint('x' * 100_000)",
    "a folder for its output": "import os\nos.mkdir('../stdout')\nprint('x' * 100_000)",
    "ending its parent": "import os, time\nos.kill(os.getppid(), 9)\ntime.sleep(0.2)",
    "writing to the service": "import os\nos.system(f'head -c 2000000 /dev/zero > /proc/{os.getppid()}/fd/1')",
}


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE)
def test_program_cannot_make_the_service_fail(sandbox: FusionSandbox, server: FusionServer, code: str) -> None:
    server.answer = None
    execution = sandbox.run_blocking(Program(code), Limits(wall_seconds=2, output_bytes=1_000_000))
    assert len(execution.output) <= 1_000_000


def test_answer_that_the_program_made_too_long(sandbox: FusionSandbox, server: FusionServer) -> None:
    server.answer = {**_answer(), "files": {"stdout": "A" * (5 << 20)}}
    assert sandbox.run_blocking(ONE, LIMITS).verdict == "output"
    server.answer = {**_answer(), "files": {"done": "A" * (5 << 20)}}

    async def call() -> Execution:
        return await (await sandbox.open_session()).run("1", LIMITS)

    assert asyncio.run(call()).verdict == "output"


@pytest.mark.parametrize("content", ["", "A", "####", "é", 5, None, ["A"], {"a": 1}])
def test_invalid_file_of_a_stream(content: object) -> None:
    answer = {**_answer(), "files": {"stdout": content}}
    assert read_execution(answer, LIMITS).output.startswith("1\n")


def test_rest_of_a_stream() -> None:
    answer = {**_answer(stderr="e"), "files": {name: base64.b64encode(b"rest").decode() for name in ("stdout", "stderr")}}
    assert read_execution(answer, LIMITS) == Execution("ok", "1\nrest", "erest", 0, 0.5)
    assert read_execution(answer, Limits(output_bytes=5)) == Execution("output", "1\nres", "erest", None, 0.5)
    assert read_execution(answer, Limits(output_bytes=3)) == Execution("output", "1\nr", "est", None, 0.5)


def test_endless_answer(sandbox: FusionSandbox, server: FusionServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rewards.sandbox.fusion.service._MAX_ANSWER", 1 << 20)
    server.answer = {"status": "x" * (2 << 20)}
    assert _fail(sandbox) == f"SandboxFusion at {server.url}: the answer is longer than 1 MiB"


def test_without_httpx(sandbox: FusionSandbox, server: FusionServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    line = f"SandboxFusion at {server.url}: httpx is not installed in this environment: pip install httpx"
    assert _fail(sandbox) == line


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://host", "http://", "/run_code"])
def test_invalid_url(url: str) -> None:
    with pytest.raises(SandboxError) as caught:
        FusionSandbox(url)
    assert str(caught.value) == f"the sandbox URL is {url!r}, expected for example http://host:8080"


@pytest.mark.parametrize("end", ["", "/", "/run_code", "/run_code/"])
def test_url_may_end_with_the_path(server: FusionServer, end: str) -> None:
    sandbox = FusionSandbox(server.url + end)
    assert sandbox.run_blocking(ONE, LIMITS).output == "1\n"
    assert ("sandbox", f"SandboxFusion at {server.url}, 32 programs at once") in sandbox.describe()
    sandbox.close()


def test_concurrency_is_limited(server: FusionServer) -> None:
    server.gate.clear()
    sandbox = FusionSandbox(server.url, concurrency=3)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(asyncio.run, sandbox.run_many([ONE] * 12, LIMITS))
        wait_until(lambda: server.at_once == 3)
        server.gate.set()
        assert {each.verdict for each in running.result(120)} == {"ok"}
    assert server.most_at_once == 3
    sandbox.close()


def test_many_programs_share_few_connections(sandbox: FusionSandbox, server: FusionServer) -> None:
    executions = asyncio.run(sandbox.run_many([ONE] * 500, LIMITS))
    assert len(executions) == len(server.requests) == 500
    # Four, and more only if a connection is idle for seconds on a busy machine.
    assert server.connections < 50


def test_closed_idle_connection(sandbox: FusionSandbox, server: FusionServer) -> None:
    sandbox.run_blocking(ONE, LIMITS)
    server.drop_connections()
    assert sandbox.run_blocking(ONE, LIMITS).output == "1\n"


def test_cancelled_caller_frees_its_slot(server: FusionServer) -> None:
    server.faults.extend(["hang"] * 2)
    sandbox = FusionSandbox(server.url, concurrency=2)

    async def use() -> Execution:
        waiting = [asyncio.create_task(sandbox.run(ONE, LIMITS)) for _ in range(2)]
        while len(server.requests) < 2:
            await asyncio.sleep(0.01)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        return await sandbox.run(ONE, LIMITS)

    assert asyncio.run(asyncio.wait_for(use(), 120)).output == "1\n"
    sandbox.close()


def test_error_of_one_program_cancels_the_others(sandbox: FusionSandbox, server: FusionServer) -> None:
    server.faults.append(404)
    with pytest.raises(SandboxError, match="HTTP 404"):
        asyncio.run(sandbox.run_many([ONE] * 500, LIMITS))
    # The queue is first in, first out, so this one would be the last.
    sandbox.run_blocking(ONE, LIMITS)
    assert len(server.requests) < 500


def test_close_leaves_no_thread_and_no_connection(server: FusionServer) -> None:
    before = set(threading.enumerate())
    sandbox = FusionSandbox(server.url, concurrency=4)
    asyncio.run(sandbox.run_many([ONE] * 50, LIMITS))
    sandbox.close()
    wait_until(lambda: server.open_connections == 0 and set(threading.enumerate()) <= before)


def test_no_proxy_for_this_machine(server: FusionServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    sandbox = FusionSandbox(server.url, attempts=1)
    assert sandbox.run_blocking(ONE, LIMITS).output == "1\n"
    sandbox.close()


def test_request() -> None:
    limits = Limits(cpu_seconds=1.5, wall_seconds=7, memory_mb=256, file_mb=8)
    request = write_request(Program("print('é')", stdin="ß"), limits, fetch=("a",))
    code = request.pop("code")
    assert request == {
        "language": "python",
        "files": {"main.py": base64.b64encode("print('é')".encode()).decode()},
        "fetch_files": ["a"],
        "stdin": "ß",
        "run_timeout": 7,
        "memory_limit_MB": 256,
    }
    assert 'RLIMIT_CPU": 2,' in code
    compile(code, "code", "exec")


def test_code_of_a_runner_is_data() -> None:
    code = '\'); import os; os._exit(0)\n""" \\ é \ud800'
    request = write_request(Program(code, runner="tests.rewards.sandbox.echo_runner"), LIMITS)
    files = {name: base64.b64decode(content).decode() for name, content in request["files"].items()}
    folders = ("tests", "tests/rewards", "tests/rewards/sandbox")
    assert set(files) == {"main.py", "tests/rewards/sandbox/echo_runner.py", *(f"{each}/__init__.py" for each in folders)}
    line, _, call = files["main.py"].partition("\n")
    assert line == "from tests.rewards.sandbox.echo_runner import main"
    given: list[str] = []
    exec(call, {"main": given.append})
    assert given == [code]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({}, Execution("ok", "1\n", "", 0, 0.5)),
        ({"return_code": 3, "stderr": "no"}, Execution("error", "1\n", "no", 3, 0.5)),
        ({"stdout": None, "stderr": None, "execution_time": None}, Execution("ok", "", "", 0, 0.0)),
        ({"status": "TimeLimitExceeded", "return_code": None}, Execution("timeout", "1\n", "", None, 0.5)),
        ({"return_code": -signal.SIGSEGV}, Execution("killed", "1\n", "", -11, 0.5)),
        ({"return_code": 128 + signal.SIGSEGV}, Execution("killed", "1\n", "", -11, 0.5)),
        ({"return_code": 128 + signal.SIGKILL}, Execution("killed", "1\n", "", -9, 0.5)),
        ({"return_code": 128}, Execution("error", "1\n", "", 128, 0.5)),
        ({"return_code": 255}, Execution("error", "1\n", "", 255, 0.5)),
        ({"return_code": -signal.SIGXCPU}, Execution("killed", "1\n", "", -24, 0.5)),
        ({"return_code": -signal.SIGXCPU, "execution_time": 1.1}, Execution("timeout", "1\n", "", None, 1.1)),
        ({"return_code": 128 + signal.SIGXCPU, "execution_time": 1.1}, Execution("timeout", "1\n", "", None, 1.1)),
        ({"return_code": -signal.SIGKILL, "execution_time": 2.1}, Execution("timeout", "1\n", "", None, 2.1)),
        ({"return_code": 1, "stderr": "x\nMemoryError"}, Execution("memory", "1\n", "x\nMemoryError", 1, 0.5)),
        ({"return_code": 1, "stderr": "MemoryError: no\n \n"}, Execution("memory", "1\n", "MemoryError: no\n \n", 1, 0.5)),
        ({"return_code": 1, "stderr": "MemoryError\nKeyError"}, Execution("error", "1\n", "MemoryError\nKeyError", 1, 0.5)),
        (
            {"return_code": 1, "stderr": "object repr     : MemoryError()\nlost sys.stderr\n"},
            Execution("memory", "1\n", "object repr     : MemoryError()\nlost sys.stderr\n", 1, 0.5),
        ),
        ({"return_code": 0, "stderr": "MemoryError"}, Execution("ok", "1\n", "MemoryError", 0, 0.5)),
        ({"stdout": "é" * 501}, Execution("output", "é" * 500, "", None, 0.5)),
        ({"stdout": "é" * 500}, Execution("ok", "é" * 500, "", 0, 0.5)),
        ({"stderr": "x" * 1000 + "e", "return_code": 1}, Execution("error", "1\n", "x" * 999 + "e", 1, 0.5)),
        ({"stderr": "é" * 500 + "e", "return_code": 0}, Execution("ok", "1\n", "é" * 499 + "e", 0, 0.5)),
        (
            {"status": "TimeLimitExceeded", "return_code": None, "stdout": "x" * 1001},
            Execution("output", "x" * 1000, "", None, 0.5),
        ),
    ],
)
def test_answer(result: dict[str, Any], expected: Execution) -> None:
    assert read_execution(_answer(**result), LIMITS) == expected


def test_output_that_the_service_may_have_cut() -> None:
    large = Limits(output_bytes=10 << 20)
    assert read_execution(_answer(stdout="x" * ((1 << 20) - 1)), large).verdict == "ok"
    assert read_execution(_answer(stdout="x" * (1 << 20)), large).verdict == "output"


def test_forged_result_of_a_session_call(sandbox: FusionSandbox, server: FusionServer) -> None:
    async def call(content: bytes) -> Execution:
        server.answer = {**_answer(), "files": {"done": base64.b64encode(content).decode()}}
        session = await sandbox.open_session()
        return await session.run("1", LIMITS)

    assert asyncio.run(call(b'{"value": "1"}')).value == "1"
    assert asyncio.run(call(json.dumps({"value": "\ud800"}).encode())).value == "\\ud800"
    assert asyncio.run(call(b'{"value": "[]", ' + b"[]," * 1_000_000)).value == "[]"
    for forged in (b"", b"{", b"[]", b"\xff", b"1", b'{"value": 1}', b'{"value": {"a": 1}}', b"[" * 100_000, b'{"value": "a'):
        assert asyncio.run(call(forged)).value is None
