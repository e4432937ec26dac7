"""`docs/images/record.py` makes a picture of a command on a terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as Xml

from tests import ROOT

SCRIPT = """
import os, sys
from pipelines.run.display import Display
from tests.pipelines.run.test_display import STEP
display = Display(12)
display.started(STEP, "not done yet")
display.ended(STEP, 61)
display.close()
print("model:", os.getcwd() + "/runs", sys.stdout.isatty(), os.get_terminal_size().columns)
"""


def test_a_command_is_recorded_without_places_of_this_machine(tmp_path: Path) -> None:
    out = tmp_path / "run.svg"
    argv = [sys.executable, "docs/images/record.py", str(out), sys.executable, "-c", SCRIPT]
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True)
    text = out.read_text(encoding="utf-8")
    words = "".join(Xml.fromstring(text).itertext()).replace("\xa0", " ")
    assert "1/12 sft/train  1:01" in words
    assert "model: ~/code-post-training/runs True 100" in words
    assert "url(http" not in text, "nothing is downloaded"
