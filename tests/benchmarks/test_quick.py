"""Every benchmark explains itself, and runs with `--quick`."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.harness import Result
from tests import ROOT

pytestmark = pytest.mark.slow

BENCHMARKS = [
    "conversion",
    "evaluation",
    "faults",
    "first_run",
    "following",
    "interpreter",
    "memory",
    "overhead",
    "refusals",
    "report",
    "sandbox",
    "status",
    "stopping",
    "submission",
    "trackers",
    "two_hosts",
    "white_box",
]
SHARED = {"__init__", "evaluators", "harness", "interpreter_calls", "published_conversion"}


def run(name: str, *arguments: object) -> str:
    argv = [sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_benchmark_is_tested() -> None:
    assert {file.stem for file in (ROOT / "benchmarks").glob("*.py")} == {*BENCHMARKS, *SHARED}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_help(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
    assert ended.value.code == 0
    explained = capsys.readouterr().out
    assert (import_module(f"benchmarks.{name}").__doc__ or "missing") in explained
    assert f"usage: python -m benchmarks.{name} " in explained


@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmark(name: str, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    header, *rows, machine = run(name, "--quick", "--json", file).splitlines()
    assert header.split() == ["measure", "ours", "theirs", "ratio", "bound", "result"]
    assert machine.startswith("machine: ")
    report = json.loads(file.read_text())
    assert (report["benchmark"], report["quick"], len(report["results"])) == (name, True, len(rows))
    assert all(each["ours"] is not None or each["left_out"] for each in report["results"])
    assert not any(each["result"] == "too slow" for each in report["results"])


@pytest.mark.parametrize(
    ("result", "reason", "judged"),
    [
        (Result("", "s", 5.0, 2.0, at_least=2), "", "ok"),
        (Result("", "s", 5.0, 2.0, at_least=3), "", "too slow"),
        (Result("", "s", 5.0, 2.0, at_least=3), "load 1.5", "not judged: load 1.5"),
        (Result("", "s", 5.0, at_most=4), "", "too slow"),
        (Result("", "s", 5.0, 2.0), "", ""),
        (Result("", "of 9", 0, at_most=0, is_count=True), "load 1.5", "ok"),
        (Result("", "of 9", 1, at_most=0, is_count=True), "load 1.5", "wrong"),
        (Result("", "s", at_most=4, left_out="not built"), "", "left out: not built"),
    ],
)
def test_result_is_judged_by_its_bound(result: Result, reason: str, judged: str) -> None:
    assert result.judge(reason) == judged
