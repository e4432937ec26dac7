"""What a candidate finds that reads all of its memory: nothing of the tests, be it its own or those of an earlier one."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from rewards.programs import candidate
from rewards.programs.candidate import Candidate, TestSource, run_tests
from rewards.sandbox import Limits
from rewards.sandbox.local.sandbox import LocalSandbox

SEARCHER = (Path(__file__).parent / "searcher.py").read_text(encoding="utf-8")
KEY = 0x5A
LIMITS = Limits(cpu_seconds=20, wall_seconds=61.75)


@pytest.fixture
def one_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All programs one after the other in the same worker."""
    sandbox = LocalSandbox(workers=1)
    monkeypatch.setattr(candidate, "get", lambda: sandbox)
    yield
    sandbox.close()


def _hide(text: str, encoding: str = "ascii") -> str:
    return bytes(byte ^ KEY for byte in text.encode(encoding)).hex()


def _look_for(texts: dict[str, str], more: str = "") -> str:
    """A program whose `f` tells which of the texts it finds, however wide their letters are in memory."""
    ways = {"": "ascii", ", wide": "utf-16-le", ", widest": "utf-32-le"}
    hidden = {f"{name}{suffix}": _hide(text, way) for name, text in texts.items() for suffix, way in ways.items()}
    return f"{SEARCHER}\n{more}\nFOUND = search({hidden!r})\nf = lambda: FOUND\n"


def _run(code: str, kind: str, source: str) -> list[bool]:
    return asyncio.run(run_tests(Candidate(code, "f"), TestSource(kind, (source,)), LIMITS))


def _write_tests(kind: str, marker: str, check: str, times: int = 1) -> str:
    """Tests in which a text stands as a name, as a value and in a comment."""
    lines = [*[f"{marker} = '{marker}' # {marker}"] * times, check]
    if kind == "pytest":
        return "from solution import f\ndef test_it():\n" + "".join(f"    {line}\n" for line in lines)
    return "\n".join(lines).replace("f()", "candidate()")


@pytest.mark.parametrize("kind", ["asserts", "pytest"])
def test_no_text_of_any_tests_is_in_a_candidates_memory(one_worker: None, kind: str) -> None:
    before, long_before, now = ("m" + secrets.token_hex(16) for _ in range(3))
    assert _run("f = lambda: 1", kind, _write_tests(kind, before, "assert f() == 1")) == [True]
    # This one goes through the worker in several pieces.
    assert _run("f = lambda: 1", kind, _write_tests(kind, long_before, "assert f() == 1", times=2000)) == [True]
    code = _look_for({"before": before, "long before": long_before, "now": now})
    assert _run(code, kind, _write_tests(kind, now, "assert f() == []")) == [True]


def test_what_a_candidate_does_have_in_its_memory_is_found(one_worker: None) -> None:
    texts = {"small": "m" + secrets.token_hex(16), "large": "m" + secrets.token_hex(16), "worker's": '"wall_seconds": 61.75'}
    more = f"SMALL = bytes.fromhex('{_hide(texts['small'])}').translate(HIDE).decode()\n"
    more += f"LARGE = bytes(1 << 20) + bytes.fromhex('{_hide(texts['large'])}').translate(HIDE) + bytes(1 << 20)"
    assert _run(_look_for(texts, more), "asserts", f"assert candidate() == {sorted(texts)}") == [True]
