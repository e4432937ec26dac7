"""The end of `pipeline run`: the table of stages and the next commands; errors name the commands that show more."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.cli.runs.ending import pointing_to, print_commands, print_run
from pipelines.errors import StepError, Stopped


def test_the_end_of_a_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_run(here / "runs" / "whole")
    print_commands(here / "runs" / "whole")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "sft\tllamafactory\t450/450\t4:04\tloss 0.02222\tcomplete\tstages/sft/model"
    assert [line.partition("  #")[0].strip() for line in lines[3:]] == [
        "pipeline report runs/whole",
        "pipeline evaluate runs/whole",
        "pipeline chat runs/whole",
    ]


@pytest.mark.parametrize("error", [StepError("x"), Stopped(2)])
def test_an_error_of_a_run_names_the_commands_that_show_more(here: Path, error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, pointing_to(here / "runs" / "broken"):
        raise error
    assert raised.value.__notes__ == ["more: pipeline status runs/broken; pipeline logs runs/broken"]


def test_an_error_before_the_run_directory_was_written_names_none(tmp_path: Path) -> None:
    with pytest.raises(StepError) as raised, pointing_to(tmp_path / "runs" / "mine"):
        raise StepError("x")
    assert not hasattr(raised.value, "__notes__")
