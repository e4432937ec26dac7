"""No wrong recipe is accepted in silence: `plan` and `check` refuse each in few short lines, with little work."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import typer

from pipelines.cli.check import check_recipe
from pipelines.cli.plan import print_plan
from pipelines.errors import InputError
from pipelines.recipe.loading import load

from .base import BASE, FILES, Wrong
from .documents import EXTENDS, SETS, VARIABLES, YAML
from .stages import CONVERTERS, DATA, LLAMAFACTORY, REWARDS, RL, SECOND, SFT, STRUCTURE, VERL, VERL_SFT
from .top import LAUNCH, TOP

CORPUS: Sequence[Wrong] = [
    *(*TOP, *LAUNCH, *STRUCTURE, *SFT, *SECOND, *DATA, *CONVERTERS, *RL, *REWARDS, *LLAMAFACTORY, *VERL, *VERL_SFT),
    *(*YAML, *EXTENDS, *VARIABLES, *SETS),
]
MOST_LINES, LONGEST_LINE = 25, 6000
# Names that are compared to find the nearest one take most of the time of a refusal: 100,000 take about a second.
MOST_COMPARED = 100_000
_PLACE = re.compile(r"(x|base)\.yaml(:\d+)?: |--set .|\S+: ")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with the right recipe and its files."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    for name in ("VERL_USE_EXTERNAL_MODULES", "VLLM_PLUGINS", "PIPELINE_VERL_PYTHON", "PIPELINE_LLAMAFACTORY_PYTHON"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count the names that are compared with a wrong one."""
    counts: list[int] = []
    original = difflib.get_close_matches

    def count(word: str, possibilities: Sequence[str], n: int = 3, cutoff: float = 0.6) -> list[str]:
        counts.append(len(possibilities))
        return original(word, possibilities, n, cutoff)

    monkeypatch.setattr(difflib, "get_close_matches", count)
    yield counts


def refuse(wrong: Wrong, capsys: pytest.CaptureFixture[str]) -> str:
    """Plan a wrong recipe; return the refusal."""
    try:
        print_plan(Path("x.yaml"), list(wrong.sets), Path("runs"), (None, None), smoke=False, brief=True)
    except InputError as error:
        assert capsys.readouterr().out == ""
        return str(error)
    except typer.Exit as ended:
        assert ended.exit_code == 2
        out = capsys.readouterr().out
        return out[out.index("would refuse this recipe:") :].partition("\n")[2].replace("\n  ", "\n").strip()
    raise AssertionError(f"accepted in silence: {wrong.name}\n{capsys.readouterr().err}")


@pytest.mark.parametrize("wrong", CORPUS, ids=lambda wrong: wrong.name[:70])
def test_a_wrong_recipe_is_refused(
    wrong: Wrong, folder: Path, compared: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in wrong.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FILE", "nothere.yaml")
    for name, content in wrong.files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / "x.yaml").write_text(wrong.text, encoding="utf-8")
    refusal = refuse(wrong, capsys)
    lines = refusal.splitlines()
    assert wrong.expected in refusal
    assert len(lines) <= MOST_LINES
    assert [line for line in lines if len(line) > LONGEST_LINE or not line.isprintable()] == []
    assert [line for line in lines[:1] if not _PLACE.match(line)] == []
    assert sum(compared) <= MOST_COMPARED
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("wrong", CORPUS[::10], ids=lambda wrong: wrong.name[:70])
def test_check_refuses_what_plan_refuses(
    wrong: Wrong, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in wrong.variables.items():
        monkeypatch.setenv(name, value)
    (folder / "x.yaml").write_text(wrong.text, encoding="utf-8")
    try:
        load(Path("x.yaml"), wrong.sets)
    except InputError as error:
        refusal = str(error)
    else:
        pytest.skip("found by what check does with rows, rewards and trainers")
    with pytest.raises(InputError) as caught:
        check_recipe(Path("x.yaml"), list(wrong.sets), 1, Path("runs"))
    assert str(caught.value) == refusal


def test_the_recipe_that_the_wrong_ones_change_is_right(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.yaml").write_text(BASE, encoding="utf-8")
    print_plan(Path("x.yaml"), [], Path("runs"), (None, None), smoke=False, brief=True)
    out, err = capsys.readouterr()
    assert "would refuse" not in out
    assert err == ""


def test_the_corpus_is_large() -> None:
    names = [(wrong.name, tuple(wrong.variables.items())) for wrong in CORPUS]
    assert len(set(names)) == len(names) > 400
