"""The data of learns.yaml and learns_interpreter.yaml are what their scripts write."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import ROOT

DATA = ROOT / "recipes" / "data"


@pytest.mark.parametrize("name", ["learns", "learns_products"])
def test_data_is_reproducible(name: str) -> None:
    written = subprocess.run([sys.executable, str(DATA / f"{name}.py")], capture_output=True, text=True, check=True).stdout
    assert written == (DATA / f"{name}.jsonl").read_text(encoding="utf-8")
