"""Both sandboxes, opened once for all tests of a file's worker and closed at the end."""

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
    """A server that nobody tells to fail."""
    server = FusionServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def make_sandbox(served: FusionServer) -> Callable[[str], Sandbox]:
    """Opens a sandbox by its kind; whoever asks for it closes it."""

    def make(kind: str) -> Sandbox:
        if kind == "fusion":
            return FusionSandbox(served.url)
        # The best that the machine offers: these tests ask for no isolation, test_isolation.py does.
        return LocalSandbox(workers=2, isolation="weak", kind="landlock" if kind == "landlock" else None)

    return make


@pytest.fixture(scope="session", params=KINDS)
def sandbox(request: pytest.FixtureRequest, make_sandbox: Callable[[str], Sandbox]) -> Iterator[Sandbox]:
    """One of the two."""
    opened = make_sandbox(request.param)
    yield opened
    opened.close()
