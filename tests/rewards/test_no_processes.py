"""Tests that run in a process next to the program, in a sandbox that cannot start one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from rewards import sandbox
from rewards.builtin.code_tests import code_tests
from rewards.sandbox import SandboxError, settings
from rewards.sandbox.local.sandbox import LocalSandbox


@pytest.fixture
def landlock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use the sandbox of a container without namespaces."""
    opened = LocalSandbox(workers=1, kind="landlock")
    try:
        opened.run_blocking(sandbox.Program(""))
    except SandboxError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(settings, "_make", lambda _: opened)
    monkeypatch.setattr(settings, "_open", {})
    yield
    opened.close()


async def _score(code: str, truth: object) -> float:
    return float((await code_tests("d", f"```python\n{code}\n```", json.dumps(truth), {}))["score"])


@pytest.mark.usefixtures("landlock")
def test_missing_namespaces_are_an_error_and_not_a_score() -> None:
    calls = {"fn_name": "f", "inputs": [[1]], "outputs": [2]}
    assert asyncio.run(_score("def f(a): return a + 1", calls)) == 1.0
    beside = {"functional": "def check(candidate):\n    x = candidate(1)\n    assert x == 2\n\ncheck(f)"}
    with pytest.raises(SandboxError, match=r"second process, .*; it needs user namespaces"):
        asyncio.run(_score("def f(a): return a + 1", beside))
