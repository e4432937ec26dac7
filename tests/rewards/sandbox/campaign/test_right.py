"""No right program is marked wrong: in both isolations, and as `python main.py` runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rewards.sandbox.campaign.as_user import run_as
from tests.rewards.sandbox.campaign.right import INPUT, OUTPUT, make_calls, make_forking_programs, make_programs


@pytest.mark.parametrize("kind", ["namespaces", "landlock"])
@pytest.mark.parametrize("user", [0, 4321])
def test_right_programs_print_the_result(kind: str, user: int, public_folder: Path) -> None:
    programs = make_programs() | (make_forking_programs() if kind == "namespaces" else {})
    assert len(programs) >= 300
    if user:
        programs = {name: code for name, code in programs.items() if "sortedcontainers" not in code}
    for found in run_as(user, kind, programs, make_calls(), public_folder, INPUT):
        assert {name: output for name, output in found.items() if output != OUTPUT} == {}


@pytest.mark.nightly
def test_the_interpreter_prints_the_same(tmp_path: Path) -> None:
    """The programs are right: an interpreter outside the sandbox agrees."""
    failed = {}
    # PYTHONUNBUFFERED and others change what a program sees.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    for number, (name, code) in enumerate((make_programs() | make_forking_programs()).items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "main.py").write_text(code, encoding="utf-8", newline="")
        (folder / "input").write_text(INPUT)
        with (folder / "input").open() as stdin:
            command = [sys.executable, "main.py"]
            done = subprocess.run(
                command, stdin=stdin, capture_output=True, text=True, cwd=folder, env=environment, check=False
            )
        if done.stdout != OUTPUT:
            failed[name] = done
    assert failed == {}
