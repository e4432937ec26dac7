"""`pipeline runs`."""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from pipelines.cli.runs import listing, text
from pipelines.console import tables
from pipelines.records.summaries import RunList
from tests.pipelines.conftest import Call
from tests.pipelines.records.making import hold, make_run


def test_runs_of_every_kind(here: Path, call: Call) -> None:
    hold(here / "runs" / "old", pid=7, host="elsewhere")
    status, out, err = call("runs")
    head, *lines = [line.split("\t") for line in out.splitlines()]
    assert status == 0 and head == ["name", "stage", "step", "newest", "left", "state", "size", "age"]
    assert {line[0]: line[1:6] for line in lines} == {
        "whole": ["rl", "4/4", "reward 0.8", "", "complete"],
        # Its record of rl/train is torn: the step counts as not begun.
        "torn": ["sft", "450/450", "loss 0.02222", "", "interrupted"],
        "broken": ["rl", "1/4", "reward 0.2", "", "failed"],
        "old": ["rl", "1/4", "reward 0.2", "", "running on elsewhere"],
    }
    assert err == (
        "warning: runs/later is a run of a later version 9.0 (layout 9); this one, "
        f"{err.partition('this one, ')[2].partition(',')[0]}, reads layouts up to 1\n"
    )


def test_json(here: Path, call: Call) -> None:
    status, out, err = call("runs", "--json")
    found = msgspec.json.decode(out.encode(), type=RunList)
    assert (status, err) == (0, "")
    assert {each.name for each in found.runs} == {"whole", "torn", "broken", "old"}
    assert list(found.unreadable) == ["runs/later"]
    assert json.loads(out)["version"] == 1


def test_no_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("runs") == (0, "", "runs has no runs; `pipeline run smoke.yaml` starts one\n")
    assert json.loads(call("runs", "--json")[1]) == {"version": 1, "runs": [], "unreadable": {}}


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("run", "error: run not found; did you mean '{here}/runs'?"),
        ("runs/whole", "error: runs/whole is a run, not a folder of runs; `pipeline status runs/whole`"),
    ],
)
def test_a_folder_that_has_no_runs(here: Path, call: Call, folder: str, message: str) -> None:
    assert call("runs", "--runs", folder) == (2, "", message.format(here=here) + "\n")


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_line_is_broken(here: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """A narrow terminal gets fewer columns, then a list."""
    make_run(here / "runs" / "a-rather-long-name-of-a-run")
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=None, highlight=False)
    monkeypatch.setattr(listing, "print_rows", lambda *given, **named: tables.print_rows(*given, **named, console=console))
    listing.print_runs(Path("runs"), as_json=False)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    names = [line for line in lines if line.startswith("a-rather-long-name-of-a-run")]
    assert len(names) == 1
    assert ("size" in lines[0], "state" in lines[0]) == {60: (False, False), 80: (False, True)}.get(width, (True, True))


def test_ages() -> None:
    assert [text.show_age(seconds) for seconds in (-1, 12.4, 90, 3 * 3600, 200_000)] == ["0 s", "12 s", "2 min", "3 h", "2 d"]
