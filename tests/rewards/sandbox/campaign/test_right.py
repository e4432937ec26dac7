"""No right program is marked wrong: in both isolations, and as `python main.py` runs it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from rewards.sandbox import Limits, Program, SandboxError
from rewards.sandbox.local import LocalSandbox
from rewards.sandbox.local.isolation import Kind
from tests.rewards.sandbox.campaign.right import INPUT, OUTPUT, make_forking_programs, make_programs

LIMITS = Limits(cpu_seconds=20, wall_seconds=300)


@pytest.mark.parametrize("kind", ["namespaces", "landlock"])
def test_right_programs_print_the_result(kind: Kind) -> None:
    programs = make_programs() | (make_forking_programs() if kind == "namespaces" else {})
    assert len(programs) >= 300
    sandbox = LocalSandbox(workers=2, kind=kind)
    try:
        sandbox.run_blocking(Program(""))
    except SandboxError as error:
        pytest.skip(f"this machine has no {kind}: {error}")
    try:
        ran = asyncio.run(sandbox.run_many([Program(code, INPUT) for code in programs.values()], LIMITS))
    finally:
        sandbox.close()
    failed = {
        name: execution
        for name, execution in zip(programs, ran, strict=True)
        if execution.output != OUTPUT or (execution.verdict != "ok" and "excepthook" not in name)
    }
    assert failed == {}


@pytest.mark.nightly
def test_the_interpreter_prints_the_same(tmp_path: Path) -> None:
    """The programs are right: an interpreter outside the sandbox agrees."""
    failed = {}
    for number, (name, code) in enumerate((make_programs() | make_forking_programs()).items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "main.py").write_text(code, encoding="utf-8", newline="")
        (folder / "input").write_text(INPUT)
        with (folder / "input").open() as stdin:
            command = [sys.executable, "main.py"]
            done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, cwd=folder, check=False)
        if done.stdout != OUTPUT:
            failed[name] = done
    assert failed == {}
