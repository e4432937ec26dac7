"""The programs of learns.yaml are those that their script writes."""

from __future__ import annotations

import subprocess
import sys

from tests import ROOT

DATA = ROOT / "recipes" / "data"


def test_programs_are_reproducible() -> None:
    written = subprocess.run([sys.executable, str(DATA / "learns.py")], capture_output=True, text=True, check=True).stdout
    assert written == (DATA / "learns.jsonl").read_text(encoding="utf-8")
