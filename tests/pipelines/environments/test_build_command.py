"""A failure of a command becomes one line."""

import os
import sys
from pathlib import Path

import pytest

from pipelines.environments.build_command import reason, run
from pipelines.errors import StepError


def test_uvs_error_is_folded_into_one_line_without_hints() -> None:
    said = [
        "Resolved 3 packages in 10ms\n",
        "error: Failed to fetch: `torch`\n",
        "  Caused by: dns error\n",
        "  Caused by: Name or service not known\n",
        "\n",
        "hint: try again\n",
    ]
    assert reason(said) == "Failed to fetch: `torch`: dns error: Name or service not known"


def test_the_boxed_form_is_folded_too() -> None:
    said = [
        "  \N{MULTIPLICATION SIGN} No solution found when resolving dependencies:\n",
        "  ╰─▶ Because x was not found in the\n",
        "      package registry, it cannot be.\n",
    ]
    expected = "No solution found when resolving dependencies: Because x was not found in the package registry, it cannot be."
    assert reason(said) == expected


def test_a_very_long_reason_is_cut() -> None:
    assert len(reason(["error: " + "word " * 1000])) <= 400


def test_a_failing_command_raises_one_line_that_names_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    seen: list[str] = []
    code = "import sys; print('going'); sys.exit('error: no room')"
    with pytest.raises(StepError) as raised:
        run([sys.executable, "-c", code], log=log, variables=os.environ, what="cannot install", watch=seen.append)
    assert str(raised.value) == f"cannot install: no room (the whole of it: {log})"
    assert "going" in seen
    assert "going\n" in log.read_text()


def test_a_command_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="x: /no/such/uv cannot be started: No such file or directory"):
        run(["/no/such/uv"], log=tmp_path / "log", variables={}, what="x")
