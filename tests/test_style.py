"""Formatting, lints, types, import rules, rooms and wording."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

PACKAGES = ("pipelines", "preprocess", "rewards")

# Wording that the project avoids, with what to write instead.
AVOIDED = {
    r"\banew\b": "again, re-run, rebuilt",
    r"\bone's own\b|\bof your own\b|\bof one's\b": "custom, user-defined",
    r"\b[Aa] person\b|\bpeople's\b": "the user",
    r"\bmend(ed|s)?\b": "fix",
    r"\bpolite kill\b": "SIGTERM",
    r"\bleftovers?\b": "orphaned processes",
    r"\bwhat (became|came) of\b|\bwhat becomes of\b": "result, outcome",
    r"\blies? (in|at|beside|below|there|on)\b": "is in, is next to",
    r"\bin the place of\b|\bin place of\b": "instead of",
    r"\bgoes on\b|\bgo on from\b": "resumes, continues",
    r"\bif not said\b|\bsaid outright\b": "default",
    r"\bis told\b|\bare told\b|\btells of\b": "prints, reports",
    r"\bnobody\b|\bwhoever\b": "no one, the caller",
    r"\bas it is taken\b|\bis taken for\b": "interpreted as",
}


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["lint-imports", "--no-cache"]],
    ids=lambda command: " ".join(command[:2]),
)
def test_no_complaints(command: list[str]) -> None:
    program = Path(sys.executable).with_name(command[0])
    done = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_rooms(package: str) -> None:
    """A room says what it is for; a package's root holds at most six modules."""
    for file in (ROOT / package).rglob("*.py"):
        if "examples" not in file.parts:
            assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))), f"{file} has no docstring"
    modules = [file.name for file in (ROOT / package).glob("*.py") if file.name != "__init__.py"]
    assert len(modules) <= 6, modules


def test_wording() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    found = []
    for name in listed.stdout.splitlines():
        file = ROOT / name
        if file.suffix not in (".py", ".md", ".yaml", ".toml") or file == Path(__file__) or not file.is_file():
            continue
        if name.startswith(("recipes/data", "tests/golden", "preprocess/converters/examples")):
            continue  # data, not the project's wording
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            found += [f"{name}:{number}: {match[0]!r}: {AVOIDED[p]}" for p in AVOIDED if (match := re.search(p, line))]
    assert not found, "\n".join(found)
