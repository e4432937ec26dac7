"""One call of a session: runs the earlier calls again, unseen, and then the new one."""

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
    """Runs one call and ends the process.

    Leaves the file `done` beside the program's folder: {"value": repr of the last expression, or null}. Without it the
    call ended its process, and cannot be run again before the next one.

    Args:
        task: JSON of `before` (the earlier calls), `code`, `seed`, `cpu_seconds` and `value_characters`.
    """
    given = json.loads(task)
    done = Path.cwd().parent / "done"
    random.seed(given["seed"])
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    before = given["before"]
    _replay(before, module.__dict__)
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = math.ceil(used.ru_utime + used.ru_stime + given["cpu_seconds"])
    most = resource.getrlimit(resource.RLIMIT_CPU)[1]
    if most == resource.RLIM_INFINITY or limit < most:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    value, status = None, 0
    try:
        value = _run(given["code"], len(before) + 1, module.__dict__)
    except SystemExit as leaving:
        status = _status(leaving.code)
    except BaseException as error:
        status = 1
        _tell(error)
    _flush()
    done.write_text(json.dumps({"value": None if value is None else value[: given["value_characters"]]}), encoding="utf-8")
    # Threads that the call started do not hold up its end.
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
    kept = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    for number, code in enumerate(before, 1):
        with contextlib.suppress(BaseException):
            _run(code, number, namespace)
    _flush()
    for descriptor, copy in zip((1, 2), kept):  # noqa: B905 (unknown to older Pythons)
        os.dup2(copy, descriptor)
    for descriptor in (*kept, nowhere):
        os.close(descriptor)


def _tell(error: BaseException) -> None:
    own, frames = main.__code__.co_filename, error.__traceback__
    while frames is not None and (frames.tb_frame.f_code.co_filename in (own, ast.__file__)):
        frames = frames.tb_next
    with contextlib.suppress(Exception):
        traceback.print_exception(type(error), error, frames)


def _status(code: object) -> int:
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    print(code, file=sys.stderr)
    return 1


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
