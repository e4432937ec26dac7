"""The local sandbox, opened once per file and kind of isolation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rewards.sandbox import Program, SandboxError
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
