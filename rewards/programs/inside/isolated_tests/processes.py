"""Start the two processes. The candidate's is forked before the tests are read."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import pathlib
import signal
import sys
from typing import Any

from rewards.programs.inside.isolated_tests.candidate_process import CandidatePeer, make_module
from rewards.programs.inside.isolated_tests.peer import Unsupported
from rewards.programs.inside.isolated_tests.tests_process import TestsPeer
from rewards.programs.inside.isolated_tests.verdicts import RUN, write_report

_SET_DUMPABLE = 4


def main(text: str) -> None:
    task = json.loads(text)
    # The tests must not import files that the program writes to the working directory.
    here = pathlib.Path.cwd().resolve()
    sys.path[:] = [each for each in sys.path if each and not pathlib.Path(each).resolve().is_relative_to(here)]
    _make_undumpable()
    fault = ""
    scope = make_module("prelude")
    try:
        exec(compile(task["prelude"], "<prelude>", "exec", dont_inherit=True), scope)
    except BaseException as error:
        fault = f"the prelude fails: {type(error).__name__}: {error}"
    down, up = os.pipe(), os.pipe()
    try:
        candidate = os.fork()
    except OSError as error:
        write_report(1, json.loads(sys.stdin.read())["token"], no_process=str(error))
        return
    if not candidate:
        try:
            _run_candidate(down[0], up[1], scope, task)
        finally:
            os._exit(1)
    os.close(down[0])
    os.close(up[1])
    channel = os.dup(1)
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
    try:
        tests = json.loads(sys.stdin.read())
        report = functools.partial(write_report, channel, tests["token"])
        peer = TestsPeer(up[0], down[1], scope)
        try:
            if fault:
                raise Unsupported(fault)
            RUN[tests["kind"]](peer, report, tests, scope)
        except Unsupported as error:
            report(unsupported=str(error))
        except BaseException:
            # The program did not load, lacks a name or ended. Tests without a report count as failed.
            return
    finally:
        with contextlib.suppress(OSError):
            os.kill(candidate, signal.SIGKILL)
            os.waitpid(candidate, 0)


def _make_undumpable() -> None:
    """Prevent other processes of this user from reading the memory of this one."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)


def _run_candidate(reader: int, writer: int, scope: dict[str, Any], task: dict[str, Any]) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    low, high = sorted((reader, writer))
    os.closerange(3, low)
    os.closerange(low + 1, high)
    os.closerange(high + 1, 1 << 16)
    CandidatePeer(reader, writer, scope, task).serve()
