"""The process of a session does not run between two calls, whatever a call has arranged."""

from __future__ import annotations

import asyncio
import platform
import signal
import textwrap
import time
from dataclasses import replace

import psutil
import pytest

from rewards.sandbox import Limits
from rewards.sandbox.local import LocalSandbox
from rewards.sandbox.local.sandbox import _LocalSession
from tests.rewards.sandbox.local.conftest import open_sandbox
from tests.waiting import wait_until

LIMITS = Limits(cpu_seconds=10, wall_seconds=300, memory_mb=256)
BUSY = """
    import ctypes, os, signal, struct, threading, time
    libc = ctypes.CDLL(None, use_errno=True)
    def work():
        while True: pass
    def start(): threading.Thread(target=work, daemon=True).start()
"""
ARRANGED = {
    "a busy thread": "start()",
    "a timer": """
        event, number = ctypes.create_string_buffer(64), ctypes.c_int()
        struct.pack_into("QII", event, 0, 0, signal.SIGCONT, 0)
        libc.timer_create(1, event, ctypes.byref(number))
        libc.timer_settime(number, 0, struct.pack("4q", 0, 20_000_000, 0, 20_000_000), None)
        start()""",
    "a signal at the end of its parent": "libc.prctl(1, signal.SIGCONT)\nstart()",
    "a signal at the end of its child": """
        if libc.syscall(56, signal.SIGCONT, 0, 0, 0, 0) == 0:
            while True: time.sleep(1)
        start()""",
    "a group of its own": "signal.signal(signal.SIGHUP, signal.SIG_IGN)\nos.setpgid(0, 0)\nstart()",
}
ALONE = ("a busy thread", "a timer", "a signal at the end of its parent")
"""These need no other process."""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="one attempt has a system call's number on x86-64")
@pytest.mark.parametrize(
    ("kind", "arranged"), [*(("namespaces", name) for name in ARRANGED), *(("landlock", name) for name in ALONE)]
)
@pytest.mark.parametrize("ends", ["x = 1", "while True: pass"])
def test_it_is_stopped(kind: str, arranged: str, ends: str) -> None:
    sandbox = open_sandbox("namespaces" if kind == "namespaces" else "landlock")

    async def talk() -> None:
        session = await sandbox.open_session()
        await session.run(textwrap.dedent(BUSY) + textwrap.dedent(ARRANGED[arranged]), LIMITS)
        await session.run(ends, replace(LIMITS, cpu_seconds=0.2))
        await asyncio.to_thread(_check_stopped, sandbox)
        await session.close()

    try:
        asyncio.run(talk())
    finally:
        sandbox.close()


def _check_stopped(sandbox: LocalSandbox) -> None:
    """Wait until all processes below workers are stopped, and check that they stay so."""

    def are_stopped() -> bool:
        found = [status for each in _find_programs(sandbox) if (status := _get_status(each)) != psutil.STATUS_ZOMBIE]
        return set(found) <= {psutil.STATUS_STOPPED, ""}

    wait_until(are_stopped)
    for _ in range(10):
        time.sleep(0.02)
        assert are_stopped()


def _find_programs(sandbox: LocalSandbox) -> list[psutil.Process]:
    assert sandbox._pool is not None
    assert sandbox._pool._template is not None
    workers = psutil.Process(sandbox._pool._template.pid).children()
    return [each for worker in workers for each in worker.children(recursive=True)]


def _get_status(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.Error:  # it has ended
        return ""


def test_what_it_uses_between_calls_counts_for_the_next(namespaces: LocalSandbox) -> None:
    if "by cgroup" not in dict(namespaces.describe())["CPU time counted"]:
        pytest.skip("no cgroup that counts CPU time can be made here")

    def run_for_a_while() -> None:
        (holder,) = _find_programs(namespaces)
        holder.send_signal(signal.SIGCONT)
        wait_until(lambda: sum(holder.cpu_times()[:2]) > 1)
        holder.send_signal(signal.SIGSTOP)

    async def talk() -> list[str]:
        session = await namespaces.open_session()
        assert isinstance(session, _LocalSession)
        begun = await session.run(textwrap.dedent(BUSY) + "start()", LIMITS)
        await asyncio.to_thread(run_for_a_while)
        late = await session.run("x = 1", replace(LIMITS, cpu_seconds=0.5))
        after = await session.run("x = 1", replace(LIMITS, cpu_seconds=0.5))
        await session.close()
        return [each.verdict for each in (begun, late, after)]

    assert asyncio.run(talk()) == ["ok", "timeout", "ok"]
