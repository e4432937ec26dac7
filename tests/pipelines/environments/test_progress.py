"""Progress of a build, and the downloads that uv reports."""

import io

import pytest

from pipelines.environments.progress import Downloads, Phases, show_phases


class Terminal(io.StringIO):
    """A text that counts as a terminal."""

    def isatty(self) -> bool:
        return True


def test_downloads_are_summarized() -> None:
    downloads = Downloads()
    assert downloads.describe("Resolved 3 packages in 600ms") == "Resolved 3 packages in 600ms"
    assert downloads.describe("Downloading torch (183.0MiB)") == "downloading torch (183.0MiB)"
    for name in "abc":
        summary = downloads.describe(f"Downloading {name} (1.0MiB)")
    assert summary == "downloading torch (183.0MiB), a (1.0MiB), b (1.0MiB) and 1 more"
    for name in ("torch", "a", "b"):
        summary = downloads.describe(f" Downloaded {name}")
    assert summary == "downloading c (1.0MiB); 3 large files done"
    assert downloads.describe(" + numpy==2.4.6") is None


def test_a_log_gets_one_line_per_phase(capsys: pytest.CaptureFixture[str]) -> None:
    with show_phases() as phases:
        phases.start("verl cpu: downloading")
        phases.update(detail="downloading torch (183.0MiB)")
        phases.start("verl cpu: installing")
    assert capsys.readouterr().err.splitlines() == ["verl cpu: downloading", "verl cpu: installing"]


def test_a_terminal_keeps_finished_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    phases = Phases(terminal := Terminal(), show_bar=False)
    phases.start("one [bold] phase")
    phases.update(detail="[/nothing]")
    phases.start("two")
    phases.finish()
    phases.close()
    assert "one [bold] phase" in terminal.getvalue()
    assert "two\n" in terminal.getvalue()
