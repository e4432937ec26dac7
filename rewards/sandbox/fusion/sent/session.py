"""One call of a session: re-run the earlier calls with their output discarded, then run the new one."""

from __future__ import annotations

import ast
import contextlib
import json
import linecache
import math
import os
import random
import resource
import sys
import traceback
import types
from pathlib import Path


def main(task: str) -> None:
    """Run one call and end the process.

    Write the file `done` next to the program's folder: {"value": repr of the last expression, or null}. Without it the call
    has ended its process, and cannot be re-run before the next one.

    Args:
        task: JSON of `before` (the earlier calls), `code`, `seed`, `cpu_seconds` and `value_characters`.
    """
    given = json.loads(task)
    done = Path.cwd().parent / "done"
    random.seed(given["seed"])
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    before = given["before"]
    _replay(before, module.__dict__)
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = math.ceil(used.ru_utime + used.ru_stime + given["cpu_seconds"])
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    value, status = None, 0
    try:
        value = _run(given["code"], len(before) + 1, module.__dict__)
    except SystemExit as stop:
        status = _status(stop.code)
    except BaseException as error:
        status = 1
        _print_traceback(error)
    _flush()
    done.write_text(json.dumps({"value": None if value is None else value[: given["value_characters"]]}), encoding="utf-8")
    # Do not wait for threads that the call started.
    os._exit(status)


def _run(code: str, number: int, namespace: dict[str, object]) -> str | None:
    name = f"<call {number}>"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    tree = ast.parse(code, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec", dont_inherit=True), namespace)
    if not isinstance(last, ast.Expr):
        return None
    value = eval(compile(ast.Expression(last.value), name, "eval", dont_inherit=True), namespace)
    return None if value is None else repr(value)


def _replay(before: list[str], namespace: dict[str, object]) -> None:
    kept = [(descriptor, os.dup(descriptor)) for descriptor in (1, 2)]
    devnull = os.open(os.devnull, os.O_WRONLY)
    for descriptor, _ in kept:
        os.dup2(devnull, descriptor)
    os.close(devnull)
    for number, code in enumerate(before, 1):
        with contextlib.suppress(BaseException):
            _run(code, number, namespace)
    _flush()
    for descriptor, copy in kept:
        os.dup2(copy, descriptor)
        os.close(copy)


def _print_traceback(error: BaseException) -> None:
    skipped, frames = (main.__code__.co_filename, ast.__file__), error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename in skipped:
        frames = frames.tb_next
    with contextlib.suppress(BaseException):
        traceback.print_exception(type(error), error, frames)


def _status(code: object) -> int:
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    with contextlib.suppress(BaseException):
        print(code, file=sys.stderr)
    return 1


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()
