"""A candidate that reads all of its memory finds neither its own tests nor those of an earlier candidate."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from rewards.programs import candidate
from rewards.programs.candidate import SourceTests, run_tests
from rewards.sandbox import Limits
from rewards.sandbox.local.sandbox import LocalSandbox

pytestmark = pytest.mark.slow

SEARCHER = (Path(__file__).parent / "searcher.py").read_text(encoding="utf-8")
KEY = 0x5A
LIMITS = Limits(cpu_seconds=20, wall_seconds=61.75)


@pytest.fixture
def one_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run all programs in the same worker."""
    sandbox = LocalSandbox(workers=1)
    monkeypatch.setattr(candidate, "get", lambda: sandbox)
    yield
    sandbox.close()


def _hide(text: str, encoding: str = "ascii") -> str:
    return bytes(byte ^ KEY for byte in text.encode(encoding)).hex()


def _look_for(texts: dict[str, str], more: str = "") -> str:
    """Return a program whose `f` returns the texts that it finds, in any width of characters."""
    ways = {"": "ascii", ", wide": "utf-16-le", ", widest": "utf-32-le"}
    hidden = {f"{name}{suffix}": _hide(text, way) for name, text in texts.items() for suffix, way in ways.items()}
    return f"{SEARCHER}\n{more}\nFOUND = search({hidden!r})\nf = lambda: FOUND\n"


def _run(code: str, kind: str, source: str) -> list[bool]:
    return asyncio.run(run_tests(code, SourceTests(kind, (source,), function="f"), LIMITS))


def _write_tests(kind: str, marker: str, check: str, times: int = 1) -> str:
    """Return tests that contain a text as a name, a value and a comment."""
    lines = [*[f"{marker} = '{marker}' # {marker}"] * times, check]
    if kind == "pytest":
        return "from solution import f\ndef test_it():\n" + "".join(f"    {line}\n" for line in lines)
    return "\n".join(lines).replace("f()", "candidate()")


@pytest.mark.parametrize("kind", ["asserts", "pytest"])
def test_tests_are_not_in_memory(one_worker: None, kind: str) -> None:
    before, long_before, now = ("m" + secrets.token_hex(16) for _ in range(3))
    assert _run("f = lambda: 1", kind, _write_tests(kind, before, "assert f() == 1")) == [True]
    # Large enough to be sent to the worker in several parts.
    assert _run("f = lambda: 1", kind, _write_tests(kind, long_before, "assert f() == 1", times=2000)) == [True]
    code = _look_for({"before": before, "long before": long_before, "now": now})
    assert _run(code, kind, _write_tests(kind, now, "assert f() == []")) == [True]


def test_known_texts_are_found(one_worker: None) -> None:
    texts = {"small": "m" + secrets.token_hex(16), "large": "m" + secrets.token_hex(16), "worker's": '"wall_seconds": 61.75'}
    more = f"SMALL = bytes.fromhex('{_hide(texts['small'])}').translate(HIDE).decode()\n"
    more += f"LARGE = bytes(1 << 20) + bytes.fromhex('{_hide(texts['large'])}').translate(HIDE) + bytes(1 << 20)"
    assert _run(_look_for(texts, more), "asserts", f"assert candidate() == {sorted(texts)}") == [True]
