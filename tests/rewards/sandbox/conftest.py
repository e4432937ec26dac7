"""Both sandboxes, opened once per test process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from rewards.sandbox import Sandbox
from rewards.sandbox.fusion.sandbox import FusionSandbox
from rewards.sandbox.local.sandbox import LocalSandbox
from tests.rewards.sandbox.fusion_server import FusionServer

KINDS = ["local", "landlock", "fusion"]


@pytest.fixture(scope="session")
def served() -> Iterator[FusionServer]:
    """A server without faults."""
    server = FusionServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def make_sandbox(served: FusionServer) -> Callable[[str], Sandbox]:
    """Open a sandbox by kind; the caller closes it."""

    def make(kind: str) -> Sandbox:
        if kind == "fusion":
            return FusionSandbox(served.url)
        # The best isolation of this machine: test_isolation.py tests isolation, these tests do not.
        return LocalSandbox(workers=2, isolation="weak", kind="landlock" if kind == "landlock" else None)

    return make


@pytest.fixture(scope="session", params=KINDS)
def sandbox(request: pytest.FixtureRequest, make_sandbox: Callable[[str], Sandbox]) -> Iterator[Sandbox]:
    """Each kind of sandbox."""
    opened = make_sandbox(request.param)
    yield opened
    opened.close()
