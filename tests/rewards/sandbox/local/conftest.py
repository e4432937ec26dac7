"""The local sandbox, opened once per file and kind of isolation."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Iterator

import psutil
import pytest

from rewards.sandbox import Execution, Limits, Program, SandboxError
from rewards.sandbox.local import LocalSandbox
from rewards.sandbox.local.isolation import Kind


def open_sandbox(kind: Kind, workers: int = 1) -> LocalSandbox:
    """Open a sandbox; skip the test on a machine without this kind of isolation."""
    sandbox = LocalSandbox(workers=workers, kind=kind)
    try:
        sandbox.run_blocking(Program(""))
    except SandboxError as error:
        sandbox.close()
        pytest.skip(f"this machine has no {kind}: {error}")
    return sandbox


def run(sandbox: LocalSandbox, code: str, limits: Limits) -> Execution:
    """Run an indented program."""
    return sandbox.run_blocking(Program(textwrap.dedent(code)), limits)


def talk(sandbox: LocalSandbox, *calls: tuple[str, Limits]) -> list[Execution]:
    """Make calls of one session, each with indented code."""

    async def make_calls() -> list[Execution]:
        session = await sandbox.open_session()
        ended = [await session.run(textwrap.dedent(code), limits) for code, limits in calls]
        await session.close()
        return ended

    return asyncio.run(make_calls())


def find_template(sandbox: LocalSandbox) -> psutil.Process:
    """Return the process that forks the sandbox's workers."""
    assert sandbox._pool is not None
    assert sandbox._pool._template is not None
    return psutil.Process(sandbox._pool._template.pid)


@pytest.fixture(scope="module", params=["namespaces", "landlock"])
def isolated(request: pytest.FixtureRequest) -> Iterator[LocalSandbox]:
    """One worker in each kind of sound isolation."""
    opened = open_sandbox(request.param)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def namespaces() -> Iterator[LocalSandbox]:
    """Two workers in namespaces."""
    opened = open_sandbox("namespaces", workers=2)
    yield opened
    opened.close()
