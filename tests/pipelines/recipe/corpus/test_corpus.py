"""No wrong recipe is accepted in silence: `plan` and `check` refuse each in few short lines, with little work."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipelines.cli.check import check_recipe
from pipelines.errors import InputError
from pipelines.recipe.loading import load

from .base import BASE, Wrong
from .refusing import CORPUS, plan, refuse, write_files

MOST_LINES, LONGEST_LINE = 25, 6000
# Comparing names to find the nearest one takes most of the time of a refusal: 100,000 take about a second.
MOST_COMPARED = 100_000
_PLACE = re.compile(r"(x|base)\.yaml(:\d+)?: |--set .")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with the right recipe and its files; no plugins are loaded."""
    write_files(tmp_path)
    for name in ("VERL_USE_EXTERNAL_MODULES", "VLLM_PLUGINS", "PIPELINE_VERL_PYTHON", "PIPELINE_LLAMAFACTORY_PYTHON"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the names that are compared with a wrong one."""
    counts: list[int] = []
    original = difflib.get_close_matches

    def count(word: str, possibilities: Sequence[str], n: int = 3, cutoff: float = 0.6) -> list[str]:
        counts.append(len(possibilities))
        return original(word, possibilities, n, cutoff)

    monkeypatch.setattr(difflib, "get_close_matches", count)
    return counts


@pytest.mark.parametrize("wrong", CORPUS, ids=lambda wrong: wrong.name[:70])
def test_a_wrong_recipe_is_refused(wrong: Wrong, folder: Path, compared: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in wrong.variables.items():
        monkeypatch.setenv(name, value)
    refusal = refuse(wrong)
    assert refusal, "accepted in silence"
    assert wrong.expected in refusal
    lines = refusal.splitlines()
    assert len(lines) <= MOST_LINES
    assert [line for line in lines if len(line) > LONGEST_LINE or not line.isprintable()] == []
    assert _PLACE.match(lines[0])
    assert sum(compared) <= MOST_COMPARED
    assert not (folder / "runs").exists()


def test_check_refuses_what_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """`check` lists what is found later among its findings."""
    refused = 0
    for wrong in CORPUS[::10]:
        with monkeypatch.context() as changed:
            for name, value in wrong.variables.items():
                changed.setenv(name, value)
            Path("x.yaml").write_text(wrong.text, encoding="utf-8")
            try:
                load(Path("x.yaml"), wrong.sets)
            except InputError as error:
                refusal = str(error)
            else:
                continue
            with pytest.raises(InputError) as caught:
                check_recipe(Path("x.yaml"), list(wrong.sets), 1, Path("runs"))
            assert str(caught.value) == refusal, wrong.name
            refused += 1
    assert refused > 40


def test_the_recipe_that_the_wrong_ones_change_is_right() -> None:
    Path("x.yaml").write_text(BASE, encoding="utf-8")
    status, out, err = plan(Path("x.yaml"))
    assert (status, err) == (0, "")
    assert "would refuse" not in out


def test_no_wrong_recipe_is_twice_in_the_corpus() -> None:
    given = [(wrong.text, wrong.sets, tuple(wrong.variables.items())) for wrong in CORPUS]
    assert len(set(given)) == len(given) > 400
