"""Which Python is chosen, and why one cannot be used."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.environments import environment
from pipelines.errors import InputError
from tests import ROOT


def test_precedence_is_recipe_then_variable_then_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("PIPELINE_VERL_PYTHON", "/container/bin/python")
    chosen = environment("verl", "cuda", Path("/recipe/bin/python"))
    assert (chosen.python, chosen.chosen_by) == (Path("/recipe/bin/python"), "environments.verl")
    chosen = environment("verl", "cuda")
    assert (chosen.python, chosen.chosen_by) == (Path("/container/bin/python"), "PIPELINE_VERL_PYTHON")
    assert chosen.variables["PYTHONPATH"] == str(ROOT)
    # where this project is not installed, verl finds no entry point of it
    assert chosen.variables["VERL_USE_EXTERNAL_MODULES"] == "pipelines.trainers.verl.plugin"
    assert set(environment("llamafactory", "cuda", "/x/python").variables) == {"PYTHONPATH"}
    monkeypatch.delenv("PIPELINE_VERL_PYTHON")
    monkeypatch.delenv("PIPELINE_ENVIRONMENTS", raising=False)
    chosen = environment("verl", "cuda")
    assert chosen.python == ROOT / "third_party" / "verl" / "environments" / "cuda" / "bin" / "python"
    assert (chosen.pinned, dict(chosen.variables)) == (True, {})


def test_this_project_comes_first_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/mine")
    assert environment("verl", "cuda", "/x/python").variables["PYTHONPATH"] == f"{ROOT}{os.pathsep}/mine"


def test_environments_on_another_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIPELINE_VERL_PYTHON", raising=False)
    monkeypatch.setenv("PIPELINE_ENVIRONMENTS", "/big")
    chosen = environment("verl", "cpu")
    assert chosen.directory == Path("/big/verl/cpu")
    assert chosen.why_not_ready() == "it is not built"
    with pytest.raises(InputError, match="not built; build it with `pipeline env sync verl --platform cpu`"):
        chosen.check()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda file: None, "no such file"),
        (lambda file: file.write_text("#!/bin/sh\n"), "not executable"),
        (lambda file: executable(file, "echo broken >&2; exit 3"), "does not work as a Python: broken"),
        (lambda file: executable(file, "echo hello"), "does not work as a Python: it printed no JSON"),
        (lambda file: executable(file, "echo '[[3, 10, 4], \"0.9.1\"]'"), "is Python 3.10.4; at least 3.11 is needed"),
        (lambda file: executable(file, "echo '[[3, 12, 1], null]'"), "has no verl; verl 0.9.1 is expected"),
    ],
)
def test_an_unusable_python_is_one_line(tmp_path: Path, make: Callable[[Path], None], expected: str) -> None:
    file = tmp_path / "python"
    make(file)
    with pytest.raises(InputError, match=r"^environments\.verl: ") as raised:
        environment("verl", "cuda", file).check()
    assert expected in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_version_of_the_trainer_is_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "verl-0.8.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: verl\nVersion: 0.8.0\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    chosen = environment("verl", "cuda", sys.executable)
    assert chosen.is_ready()
    assert chosen.check() == "0.8.0"


def executable(file: Path, line: str) -> None:
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)
