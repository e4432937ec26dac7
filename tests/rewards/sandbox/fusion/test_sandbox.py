"""SandboxFusion over HTTP: transport faults, tries, the pool, and errors of one line."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from rewards.sandbox import Execution, Limits, Program, SandboxError
from rewards.sandbox.fusion.messages import read_execution, write_request
from rewards.sandbox.fusion.sandbox import FusionSandbox
from tests.rewards.sandbox.fusion_server import FusionServer

ONE = Program("print(1)")
LIMITS = Limits(cpu_seconds=1, wall_seconds=5, memory_mb=512, output_bytes=1000)


def _answer(**result: Any) -> dict[str, Any]:
    run = {"status": "Finished", "execution_time": 0.5, "return_code": 0, "stdout": "1\n", "stderr": "", **result}
    return {"status": "Success", "message": "", "compile_result": None, "run_result": run, "files": {}}


@pytest.fixture
def server() -> Iterator[FusionServer]:
    """A server of this test's own, which does not run what it is sent."""
    made = FusionServer()
    made.answer = _answer()
    yield made
    made.close()


@pytest.fixture
def sandbox(server: FusionServer) -> Iterator[FusionSandbox]:
    """A sandbox that does not wait long."""
    made = FusionSandbox(server.url, concurrency=4, backoff=0.01, patience=0.5)
    yield made
    made.close()


def _fail(sandbox: FusionSandbox, program: Program = ONE, limits: Limits = LIMITS) -> str:
    with pytest.raises(SandboxError) as caught:
        sandbox.run_blocking(program, limits)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("fault", ["reset", "end", 429, 502, 503, 504])
def test_tries_again_after_a_transport_fault(sandbox: FusionSandbox, server: FusionServer, fault: str | int) -> None:
    server.faults.extend([fault] * 3)
    assert sandbox.run_blocking(ONE, LIMITS).output == "1\n"
    assert len(server.requests) == 4


def test_tries_again_after_a_fault_of_the_service(sandbox: FusionSandbox, server: FusionServer) -> None:
    server.faults.append({"status": "SandboxError", "message": "exception on running command: [Errno 11] busy"})
    assert sandbox.run_blocking(ONE, LIMITS).output == "1\n"
    assert len(server.requests) == 2


def test_each_wait_is_twice_as_long(server: FusionServer, caplog: pytest.LogCaptureFixture) -> None:
    server.faults.extend([503] * 3)
    sandbox = FusionSandbox(server.url, backoff=0.1)
    with caplog.at_level(logging.WARNING):
        begun = time.monotonic()
        sandbox.run_blocking(ONE, LIMITS)
        took = time.monotonic() - begun
    sandbox.close()
    assert 0.7 <= took < 3
    assert [record.message.rpartition("; ")[0] for record in caplog.records] == [
        f"SandboxFusion at {server.url}: HTTP 503 said by the server"
    ] * 3


@pytest.mark.parametrize(
    "result",
    [
        {"return_code": 1, "stderr": "ConnectionError: HTTP 503"},
        {"return_code": -9},
        {"status": "TimeLimitExceeded", "return_code": None},
        {"return_code": 1, "stderr": "MemoryError"},
    ],
)
def test_never_tries_a_failed_program_again(sandbox: FusionSandbox, server: FusionServer, result: dict[str, Any]) -> None:
    server.answer = {**_answer(**result), "status": "Failed"}
    assert sandbox.run_blocking(ONE, LIMITS).verdict != "ok"
    assert len(server.requests) == 1


def test_nobody_there() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        sandbox = FusionSandbox(url, backoff=0.01)
        assert _fail(sandbox) == (
            f"SandboxFusion at {url}: cannot connect: Connection refused; "
            "is the service running, and is the address right? (4 tries)"
        )
        sandbox.close()


def test_no_such_host() -> None:
    sandbox = FusionSandbox("http://no-such-host.invalid:8080", attempts=1)
    line = _fail(sandbox)
    sandbox.close()
    assert line.startswith("SandboxFusion at http://no-such-host.invalid:8080: cannot connect: ")
    assert line.endswith("; is the service running, and is the address right? (1 try)")
    assert "All connection attempts failed" not in line


@pytest.mark.parametrize(
    ("fault", "tries", "line"),
    [
        ("reset", 4, "Connection reset by peer (4 tries)"),
        ("end", 4, "Server disconnected without sending a response (4 tries)"),
        (503, 4, "HTTP 503 said by the server (4 tries)"),
        (500, 1, "HTTP 500 said by the server"),
        (422, 1, "HTTP 422 said by the server"),
        (404, 1, "HTTP 404 to POST /run_code; it is another service, or its address has a path too many"),
        (
            "html",
            1,
            "POST /run_code is answered with text/html, not a JSON object; is it another service? "
            "<!DOCTYPE html> <title>Somewhere else</title>",
        ),
        (
            "text",
            1,
            'POST /run_code is answered with application/json, not a JSON object; is it another service? {"status": "Succ',
        ),
        ("list", 1, "POST /run_code is answered with application/json, not a JSON object; is it another service? []"),
        (
            {"status": "SandboxError", "message": "exception on running code\nprint(1): [Errno 28] No space left on device"},
            4,
            "failed itself: print(1): [Errno 28] No space left on device (4 tries)",
        ),
        ({"hello": 1}, 1, 'its answer has no `run_result` that is Finished or TimeLimitExceeded: {"hello": 1}'),
        ({"run_result": {"status": "Finished"}}, 1, "its answer has no `return_code`"),
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


def test_a_service_that_hangs_is_told_from_a_program_that_does(sandbox: FusionSandbox, server: FusionServer) -> None:
    server.answer = None
    short = Limits(cpu_seconds=5, wall_seconds=0.3)
    assert sandbox.run_blocking(Program("import time\ntime.sleep(60)"), short).verdict == "timeout"
    server.faults.append("hang")
    assert _fail(sandbox, limits=short) == (
        f"SandboxFusion at {server.url}: no answer within 0.8 s, 0.5 s more than the program may take; "
        "the service hangs or has too much to do"
    )
    assert len(server.requests) == 2


def test_an_answer_without_end(sandbox: FusionSandbox, server: FusionServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rewards.sandbox.fusion.service._LONGEST_ANSWER", 1 << 20)
    server.answer = {"status": "x" * (2 << 20)}
    assert _fail(sandbox) == f"SandboxFusion at {server.url}: its answer is longer than 1 MiB"


def test_without_httpx(sandbox: FusionSandbox, server: FusionServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    line = f"SandboxFusion at {server.url}: httpx is not installed in this environment: pip install httpx"
    assert _fail(sandbox) == line


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://host", "http://", "/run_code"])
def test_no_url(url: str) -> None:
    with pytest.raises(SandboxError) as caught:
        FusionSandbox(url)
    assert str(caught.value) == f"the sandbox's url is {url!r}, expected one such as http://host:8080"


@pytest.mark.parametrize("end", ["", "/", "/run_code", "/run_code/"])
def test_the_url_may_end_as_others_write_it(server: FusionServer, end: str) -> None:
    sandbox = FusionSandbox(server.url + end)
    assert sandbox.run_blocking(ONE, LIMITS).output == "1\n"
    assert ("sandbox", f"SandboxFusion at {server.url}, 32 programs at once") in sandbox.describe()
    sandbox.close()


def test_no_more_at_once_than_its_places(server: FusionServer) -> None:
    server.answer = None
    sandbox = FusionSandbox(server.url, concurrency=3)
    program = Program("import time\ntime.sleep(0.1)")
    executions = asyncio.run(sandbox.run_many([program] * 12, LIMITS))
    assert {each.verdict for each in executions} == {"ok"}
    assert server.most_at_once == 3
    assert server.connections <= 3
    sandbox.close()


def test_thousands_of_programs_share_few_connections(sandbox: FusionSandbox, server: FusionServer) -> None:
    executions = asyncio.run(sandbox.run_many([ONE] * 2000, LIMITS))
    assert len(executions) == len(server.requests) == 2000
    assert server.connections <= 4


def test_a_connection_that_was_closed_meanwhile(sandbox: FusionSandbox, server: FusionServer) -> None:
    sandbox.run_blocking(ONE, LIMITS)
    server.drop_connections()
    assert sandbox.run_blocking(ONE, LIMITS).output == "1\n"


def test_a_cancelled_caller_frees_its_place(server: FusionServer) -> None:
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

    assert asyncio.run(asyncio.wait_for(use(), 5)).output == "1\n"
    sandbox.close()


def test_one_failure_of_many_ends_the_others(sandbox: FusionSandbox, server: FusionServer) -> None:
    server.faults.append(404)
    with pytest.raises(SandboxError, match="HTTP 404"):
        asyncio.run(sandbox.run_many([ONE] * 500, LIMITS))
    time.sleep(0.1)
    sent = len(server.requests)
    time.sleep(0.1)
    assert len(server.requests) == sent < 500


def test_closing_leaves_no_thread_and_no_connection(server: FusionServer) -> None:
    before = threading.active_count() - server.connections
    sandbox = FusionSandbox(server.url, concurrency=4)
    asyncio.run(sandbox.run_many([ONE] * 50, LIMITS))
    sandbox.close()
    deadline = time.monotonic() + 5
    while (threading.active_count() > before or server.open_connections) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.open_connections == 0
    assert threading.active_count() == before


def test_a_proxy_of_the_environment_is_not_for_this_machine(server: FusionServer, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_runners_code_is_data() -> None:
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


def test_a_forged_end_of_a_sessions_call(sandbox: FusionSandbox, server: FusionServer) -> None:
    async def call(content: bytes) -> Execution:
        server.answer = {**_answer(), "files": {"done": base64.b64encode(content).decode()}}
        session = await sandbox.open_session()
        return await session.run("1", LIMITS)

    assert asyncio.run(call(b'{"value": "1"}')).value == "1"
    assert asyncio.run(call(json.dumps({"value": "\ud800"}).encode())).value == "\\ud800"
    for forged in (b"", b"{", b"[]", b"\xff", b"1", b'{"value": 1}', b'{"value": {"a": 1}}'):
        assert asyncio.run(call(forged)).value is None
