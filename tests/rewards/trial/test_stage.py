"""Checks of all rewards of a stage on a sample of its rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from textwrap import dedent

from rewards.trial.offline import Row
from rewards.trial.stage import check_stage, read_results

Plugin = Callable[..., Path]


def _rows(data_source: str, first: int, count: int = 2) -> list[Row]:
    return [Row(n, f"{data_source}/{n}", data_source, "{}", {"id": f"{data_source}/{n}"}) for n in range(first, first + count)]


def _mine(plugin: Plugin, body: str, known: str = "") -> dict[str, str]:
    text = f"""
    @register("mine"{known})
    def mine(data_source, solution_str, ground_truth, extra_info):
        {body}
    """
    return {"name": "mine", "file": str(plugin(text))}


def test_reward_is_checked_on_the_rows_of_its_pattern(plugin: Plugin) -> None:
    reward = _mine(plugin, "return len(solution_str)", ", reference=lambda truth, info: 'x' * 500")
    sources = {"a": _rows("a", 0), "b": _rows("b", 2)}
    checked = check_stage([{**reward, "data_source": "a"}, reward], sources)
    assert [(each.source, each.rows, each.is_wrong) for each in checked] == [("a", 2, False), ("b", 2, False)]


def test_constant_score_is_wrong_unless_combined(plugin: Plugin) -> None:
    reward, sources = _mine(plugin, "return 0.5"), {"a": _rows("a", 0)}
    (alone,) = check_stage([reward], sources)
    assert alone.is_wrong
    assert alone.problem.startswith("it gives 0.5 to every answer")
    assert not any(each.is_wrong for each in check_stage([reward, reward], sources))


def test_constant_0_is_accepted(plugin: Plugin) -> None:
    (checked,) = check_stage([_mine(plugin, "return 0.0")], {"a": _rows("a", 0)})
    assert not checked.is_wrong


def test_missing_package_is_not_a_broken_reward(plugin: Plugin) -> None:
    missing = {"name": "mine", "file": str(plugin("import not_installed_anywhere\n", "missing.py"))}
    broken = {"name": "mine", "file": str(plugin("1 / 0\n", "broken.py"))}
    first, second = check_stage([missing, broken], {"a": _rows("a", 0)})
    assert "not_installed_anywhere" in first.missing
    assert not first.is_wrong
    assert "ZeroDivisionError" in second.problem
    assert second.is_wrong


def test_results_survive_json(plugin: Plugin) -> None:
    known = ", reference=lambda truth, info: 'right', cheats=lambda truth, info: {'wrong': 'wrong'}"
    body = dedent("return {'score': 1.0 * (solution_str == 'wrong'), 'accuracy': 1.0 * (solution_str == 'wrong')}")
    sources = {"a": _rows("a", 0), "b": _rows("b", 2)}
    checked = check_stage([_mine(plugin, body, known)], sources)
    assert [len(each.report.findings) for each in checked if each.report] == [4, 4]
    assert read_results(json.loads(json.dumps([asdict(each) for each in checked]))) == checked
