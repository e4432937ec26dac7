"""`pipeline algorithms` and docs/algorithms.md."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.cli import main as cli
from pipelines.recipe.algorithms import ALGORITHMS, OUTSIDE
from pipelines.recipe.loading import load
from tests import ROOT

PAGE = (ROOT / "docs" / "algorithms.md").read_text(encoding="utf-8")

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run `pipeline algorithms …`; return exit status, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pipeline", "algorithms", *arguments])
        with pytest.raises(SystemExit) as exited:
            cli.main()
        out, err = capsys.readouterr()
        return int(exited.value.code or 0), out, err

    return run


def test_piped_output_has_one_line_each(call: Call) -> None:
    status, out, _ = call()
    header, *lines = [line.split("\t") for line in out.splitlines()]
    assert status == 0
    assert header == ["algorithm", "critic", "samples", "kl", "description"]
    names = [line[0] for line in lines]
    assert names == [*ALGORITHMS, "outside verl's core", *OUTSIDE]
    assert ["ppo", "yes", "1", "reward or loss"] in [line[:4] for line in lines]
    assert ["dapo", "no", "2", "none"] in [line[:4] for line in lines]


def test_one_algorithm_with_source_requirements_and_settings(call: Call) -> None:
    status, out, _ = call("dapo")
    shown = dict(line.split("\t") for line in out.splitlines())
    assert status == 0
    assert shown["paper"].startswith("arXiv 2503.14476")
    assert shown["requires"] == "rollout.samples at least 2, no `critic`, no `kl`"
    assert shown["algorithm.adv_estimator"] == "grpo"
    assert shown["algorithm.filter_groups.enable"] == "true"
    assert shown["actor_rollout_ref.actor.clip_ratio_high"] == "0.28"


def test_an_algorithm_outside_verls_core_says_why(call: Call) -> None:
    status, out, _ = call("prime")
    shown = dict(line.split("\t") for line in out.splitlines())
    assert status == 0
    assert shown["entry"] == "recipe.prime.main_prime"
    assert "left verl" in shown["reason"] and "not tried" in shown["status"]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_each_algorithm_on_a_terminal(name: str, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "400")
    status, out, _ = call(name)
    assert status == 0
    assert ALGORITHMS[name].description in out  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("dr-grpo", "error: unknown algorithm 'dr-grpo'; did you mean 'dr_grpo'?\n"),
        ("prme", "error: unknown algorithm 'prme'; did you mean 'prime'?\n"),
        ("xyzzy", "error: unknown algorithm 'xyzzy'; `pipeline algorithms` lists them\n"),
    ],
)
def test_unknown_name_suggests_the_nearest(name: str, line: str, call: Call) -> None:
    assert call(name) == (2, "", line)


def test_table_of_the_page() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\| `\w+` \|.*$", PAGE, re.MULTILINE)
    ]
    table = [
        [f"`{name}`", each.description, str(each.samples), " or ".join(each.kl) or "none", each.paper]
        for name, each in ALGORITHMS.items()
    ]
    assert rows == table


def test_recipe_of_the_page_loads(tmp_path: Path) -> None:
    recipe, adapters, overlong = re.findall(r"^ *```yaml\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)
    path = tmp_path / "dapo.yaml"
    path.write_text(recipe, encoding="utf-8")
    stage = load(path).recipe.stages[-1].model_dump()
    assert (stage["name"], stage["algorithm"]) == ("stage-two", "dapo")
    path.write_text(adapters, encoding="utf-8")
    assert load(path).recipe.stages[-1].model_dump()["lora"] == {"rank": 32, "alpha": 32, "target": "all"}
    # The keys of the overlong penalty replace those of the recipe.
    keys = textwrap.indent(textwrap.dedent(overlong), "    ")
    path.write_text(recipe.partition("    verl:")[0] + keys, encoding="utf-8")
    buffer = load(path).recipe.stages[-1].model_dump()["verl"]["reward"]["reward_kwargs"]["overlong_buffer_cfg"]
    assert buffer == {"enable": True, "len": 4096, "penalty_factor": 1.0, "log": False}
