"""What is told of a build."""

import io
import threading

import pytest
from rich.console import Console

from pipelines.environments.progress import Downloads, PlainProgress, TerminalProgress


def test_downloads_are_told_by_what_is_still_to_come() -> None:
    downloads = Downloads()
    assert downloads.describe("Resolved 3 packages in 600ms") == "Resolved 3 packages in 600ms"
    assert downloads.describe("Downloading torch (183.0MiB)") == "fetching torch (183.0MiB)"
    for name in "abc":
        told = downloads.describe(f"Downloading {name} (1.0MiB)")
    assert told == "fetching torch (183.0MiB), a (1.0MiB), b (1.0MiB) and 1 more"
    for name in ("torch", "a", "b"):
        told = downloads.describe(f" Downloaded {name}")
    assert told == "fetching c (1.0MiB); 3 large ones fetched"
    assert downloads.describe(" + numpy==2.4.6") is None


def test_plain_lines_say_each_phase_and_that_a_long_one_still_moves(capsys: pytest.CaptureFixture[str]) -> None:
    plain = PlainProgress()
    plain.phase("verl cpu: fetching")
    plain.detail("fetching torch (183.0MiB)")
    beat = threading.Thread(target=plain.beat, args=(0.02,))
    beat.start()
    said = ""
    while "so far" not in said:
        said += capsys.readouterr().err
    plain.close()
    beat.join()
    first, second, *_ = said.splitlines()
    assert (first, second) == ("verl cpu: fetching", "verl cpu: fetching: fetching torch (183.0MiB), 0 s so far")


def test_a_terminal_keeps_the_phases_that_are_over_and_prints_brackets_as_they_are() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    with console.status("") as status:
        terminal = TerminalProgress(console, status)
        terminal.phase("one [bold] phase")
        terminal.detail("[/nothing]")
        terminal.phase("two")
        terminal.close()
    assert isinstance(console.file, io.StringIO)
    assert "one [bold] phase" in console.file.getvalue()
    assert "two" in console.file.getvalue()
