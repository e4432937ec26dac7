"""The holder: the process that holds a session's variables. It has no rights, because untrusted code has run in it."""

from __future__ import annotations

import ast
import contextlib
import linecache
import os
import socket
import sys
import time
import traceback
from types import ModuleType
from typing import Any, NoReturn

from rewards.sandbox.local.inside import child, messages
from rewards.sandbox.local.inside.limits import apply_soft_limits


def hold(*, forks: bool) -> NoReturn:
    """Run the calls that arrive on descriptor 3, and never return.

    If `forks`, each call runs in a child, which replaces this process as the holder if the worker accepts it. Otherwise calls
    run in this process.
    """
    module = child.make_main()
    channel, number = socket.socket(fileno=3), 0
    with contextlib.suppress(BaseException):
        while len(descriptors := socket.recv_fds(channel, 1, 4)[1]) == 4:
            task = messages.receive_json(channel)
            if task is None:
                break
            number += 1
            if forks and os.fork() != 0:
                for descriptor in descriptors:
                    os.close(descriptor)
                continue
            for stream in range(3):
                os.dup2(descriptors[stream], stream)
            if forks:
                os.dup2(descriptors[3], channel.fileno())
                os.closerange(4, 1 << 16)
            apply_soft_limits(task["limits"])
            report = messages.pack_json(_run(module, task, f"call {number}"))
            if forks:
                channel.sendall(report)
                continue
            for stream in range(3):
                os.dup2(os.open(os.devnull, os.O_RDWR), stream)
            socket.socket(fileno=descriptors[3]).sendall(report)
            os.closerange(4, 1 << 16)
    os._exit(0)


def _run(module: ModuleType, task: dict[str, Any], name: str) -> dict[str, Any]:
    """Run the code of a call, and return its report."""
    code, value, status, verdict = task["code"], None, 0, "ok"
    begun = time.process_time()
    # A function of an earlier call may raise in a later one, so each call keeps its source under a unique name.
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    try:
        body = ast.parse(code, name)
        last = body.body.pop() if body.body and isinstance(body.body[-1], ast.Expr) else None
        exec(compile(body, name, "exec", dont_inherit=True), module.__dict__)
        if isinstance(last, ast.Expr):
            result = eval(compile(ast.Expression(last.value), name, "eval", dont_inherit=True), module.__dict__)
            if result is not None:
                module.__dict__["_"] = result
                value = repr(result)[: task["value_characters"]]
    except SystemExit as stop:
        status = child.read_status(stop.code)
        verdict = "ok" if status == 0 else "error"
    except BaseException as error:
        status, verdict = 1, "memory" if isinstance(error, MemoryError) else "error"
        _report_exception(error)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()
    return {"verdict": verdict, "status": status, "value": value, "cpu_seconds": time.process_time() - begun}


def _report_exception(error: BaseException) -> None:
    lines = traceback.format_exception(type(error), error, child.skip_our_frames(error.__traceback__))
    with contextlib.suppress(BaseException):
        sys.stderr.flush()
    data = memoryview("".join(lines).encode("utf-8", errors="backslashreplace"))
    while data:
        data = data[os.write(2, data) :]
