"""A test server with SandboxFusion's protocol: runs real programs, isolates little, and fails on request."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

MOST_OUTPUT = 219_264
"""Bytes of each stream that the real service reads before the program has ended; it drops what comes later."""


class FusionServer:
    """Serves POST /run_code from construction to `close`.

    `faults` are the outcomes of the next requests, one each: "reset" or "end" (of the connection), "hang" (until `close`),
    "html", "text", "list" (of JSON), an HTTP status, or an answer as a dictionary. If `answer` is set, every request without
    a fault gets it, and its program does not run. While `gate` is not set, these requests wait. `choose_fault` returns the
    outcome of a request by its content.
    """

    def __init__(self, port: int = 0) -> None:
        self.faults: deque[str | int | dict[str, Any]] = deque()
        self.choose_fault: Callable[[dict[str, Any]], str | int | dict[str, Any] | None] = lambda request: None
        self.answer: dict[str, Any] | None = None
        self.requests: list[dict[str, Any]] = []
        self.connections = 0
        self.at_once = 0
        self.most_at_once = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.fusion = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def open_connections(self) -> int:
        """The number of open connections."""
        return len(self._server.open)

    def drop_connections(self) -> None:
        """Close all connections, as a server does with idle ones."""
        for connection in list(self._server.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the server with its programs, threads and connections."""
        self.closing.set()
        self.gate.set()
        self._server.shutdown()
        self.drop_connections()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128
    fusion: FusionServer

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        self.fusion.connections += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        fusion = self.server.fusion
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with fusion.lock:
            fusion.requests.append(request)
            fusion.at_once += 1
            fusion.most_at_once = max(fusion.most_at_once, fusion.at_once)
            fault = fusion.faults.popleft() if fusion.faults else fusion.choose_fault(request)
        try:
            self._reply(fault, request)
        finally:
            with fusion.lock:
                fusion.at_once -= 1

    def do_GET(self) -> None:
        self._send(200, "text/html", b"<!DOCTYPE html>\n<title>Redirecting...</title>")

    def log_message(self, *args: Any) -> None:
        pass

    def _reply(self, fault: str | int | dict[str, Any] | None, request: dict[str, Any]) -> None:
        if fault == "reset":
            # Without lingering, close sends RST.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            for each in (self.rfile, self.wfile, self.connection):
                each.close()
            self.close_connection = True
        elif fault == "end":
            self.close_connection = True
        elif fault == "hang":
            self.server.fusion.closing.wait()
            self.close_connection = True
        elif fault == "html":
            self._send(200, "text/html", b"<!DOCTYPE html>\n<title>Somewhere else</title>")
        elif fault == "text":
            self._send(200, "application/json", b'{"status": "Succ')
        elif fault == "list":
            self._send(200, "application/json", b"[]")
        elif isinstance(fault, int):
            self._send(fault, "text/plain", b"message of the server")
        elif isinstance(fault, dict):
            self._send_json(fault)
        elif self.path != "/run_code":
            self._send(404, "application/json", b'{"detail":"Not Found"}')
        else:
            fusion = self.server.fusion
            fusion.gate.wait()
            self._send_json(fusion.answer or run_code(request, fusion.closing))

    def _send_json(self, answer: dict[str, Any]) -> None:
        self._send(200, "application/json", json.dumps(answer).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def run_code(request: dict[str, Any], closing: threading.Event) -> dict[str, Any]:
    """Run one program like the service: a Python on a file of a random name in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="fusion-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for path, content in request.get("files", {}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(base64.b64decode(content))
        program = folder / f"tmp{uuid.uuid4().hex}.py"
        program.write_text(request["code"], encoding="utf-8")
        result = _run(program, request, closing)
        files = {
            path: base64.b64encode((folder / path).read_bytes()).decode()
            for path in request.get("fetch_files", [])
            if (folder / path).is_file()
        }
    good = result["status"] == "Finished" and result["return_code"] == 0
    answer = {"status": "Success" if good else "Failed", "message": "", "compile_result": None, "run_result": result}
    return {**answer, "executor_pod_name": None, "files": files}


def _run(program: Path, request: dict[str, Any], closing: threading.Event) -> dict[str, Any]:
    mark = f"FUSION_TEST_RUN={uuid.uuid4().hex}"
    variable, _, value = mark.partition("=")
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, program.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=program.parent,
        env={"PATH": os.environ["PATH"], variable: value},
        start_new_session=True,
    )
    if request["memory_limit_MB"] > 0:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_AS, (request["memory_limit_MB"] << 20,) * 2)
    assert process.stdin and process.stdout and process.stderr
    captured = bytearray(), bytearray()
    threads = [
        threading.Thread(target=_write, args=(process.stdin, (request["stdin"] or "").encode())),
        threading.Thread(target=_drain, args=(process, process.stdout, captured[0])),
        threading.Thread(target=_drain, args=(process, process.stderr, captured[1])),
    ]
    for thread in threads:
        thread.start()
    while process.poll() is None and time.monotonic() - begun < request["run_timeout"] and not closing.is_set():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
    ended = process.poll() is not None
    seconds = time.monotonic() - begun
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _kill_marked(mark.encode())
    for thread in threads:
        thread.join()
    output, error = (_decode(bytes(each)) for each in captured)
    return {
        "status": "Finished" if ended else "TimeLimitExceeded",
        "execution_time": seconds,
        "return_code": process.returncode if ended else None,
        "stdout": output,
        "stderr": error,
    }


def _write(stream: IO[bytes], data: bytes) -> None:
    with contextlib.suppress(OSError), stream:
        stream.write(data)


def _drain(process: subprocess.Popen[bytes], stream: IO[bytes], captured: bytearray) -> None:
    with stream:
        while len(captured) < MOST_OUTPUT and (chunk := stream.read1(MOST_OUTPUT - len(captured))):  # type: ignore[attr-defined]
            captured += chunk
        process.wait()


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        return f"[DecodeError] {error}"


def _kill_marked(mark: bytes) -> None:
    """Kill the processes that the program left. With `lite` isolation, the service uses a namespace for that."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes():
                os.kill(int(folder.name), signal.SIGKILL)
