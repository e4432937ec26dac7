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

from rewards.sandbox import Execution, Limits, Program, SandboxError
from rewards.sandbox.fusion.messages import read_execution, write_request
from rewards.sandbox.fusion.sandbox import FusionSandbox
from tests.rewards.sandbox.fusion_server import FusionServer
from tests.rewards.sandbox.waiting import wait_until

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
        ({"stderr": "x" * 1001, "return_code": 1}, Execution("output", "1\n", "x" * 1000, None, 0.5)),
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
    for forged in (b"", b"{", b"[]", b"\xff", b"1", b'{"value": 1}', b'{"value": {"a": 1}}', b"[" * 100_000):
        assert asyncio.run(call(forged)).value is None
