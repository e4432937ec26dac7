"""Lines and bars of several threads on one terminal."""

from __future__ import annotations

import re
import runpy

from tests import ROOT
from tests.pipelines.run.test_display import run_on_terminal

SCRIPT = """
import sys, threading
from pipelines.console.progress import Progress
first = Progress(sys.stdout)
second = Progress(sys.stdout, beside=first)
def report(progress, name):
    for number in range(60):
        progress.start(f"{name} {number}")
        progress.update(1, 2)
        if number % 3:
            progress.hide()
        progress.say(f"{name} has done {number}")
    progress.close()
thread = threading.Thread(target=report, args=(second, "second"))
thread.start()
report(first, "first")
thread.join()
"""


def test_no_line_is_erased_when_bars_come_and_go() -> None:
    replay = runpy.run_path(str(ROOT / "docs" / "images" / "record.py"))["replay"]
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in replay(run_on_terminal(SCRIPT, 80, plain=False))]
    said = [line for line in lines if "has done" in line]
    assert sorted(said) == sorted(f"{name} has done {number}" for name in ("first", "second") for number in range(60))
