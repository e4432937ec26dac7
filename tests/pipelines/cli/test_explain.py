"""`pipeline explain` on a terminal, in a pipe and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pipelines.conftest import Call
from tests.terminal import pipeline, plain, show


def test_a_key_of_a_recipe(call: Call) -> None:
    status, out, _ = call("explain", "rollout.samples")
    assert status == 0
    assert out.splitlines()[0] == "stages.STAGE.rollout.samples  (recipe, rl stages)"
    fields = dict(line.strip().split("  ", 1) for line in out.splitlines() if line.startswith("  ") and "  " in line.strip())
    assert {name: text.strip() for name, text in fields.items()} == {
        "type": "a whole number, at least 1",
        "default": "1",
        "sets": "actor_rollout_ref.rollout.n of verl (rl stages)",
        "example": "rollout: {samples: 8}    (in execverify.yaml)",
    }
    assert "--set stages.stage-one.rollout.samples=8" in out


def test_a_key_of_a_trainer_that_the_recipe_sets(call: Call) -> None:
    for key, owner in (("actor_rollout_ref.rollout.n", "rollout.samples"), ("cutoff_len", "max_tokens")):
        status, out, _ = call("explain", key)
        assert status == 0
        assert f"set by the recipe's `{owner}`; use that instead" in " ".join(out.split())
        assert f"pipeline explain {owner}" in out


def test_a_free_key_of_a_trainer(call: Call) -> None:
    _, out, _ = call("explain", "warmup_ratio")
    assert out.startswith("warmup_ratio  (LLaMA-Factory, sft stages)\n")
    assert "--set stages.STAGE.llamafactory.warmup_ratio=" in out


def test_several_meanings_are_listed(call: Call) -> None:
    status, out, _ = call("explain", "samples")
    assert status == 0
    names = [line.split()[0] for line in out.splitlines()[1:-1] if not line.startswith("    ")]
    assert {"stages.STAGE.rollout.samples", "stages.STAGE.validation.samples", "evaluate.samples"} == {*names}


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("rollout.sampels", "rollout.samples"),
        ("sampels", "samples"),
        ("actor_rollout_ref.rollout.nn", "actor_rollout_ref.rollout.n"),
    ],
)
def test_an_unknown_key_names_the_nearest(key: str, hint: str, call: Call) -> None:
    status, _, err = call("explain", key)
    assert status == 2
    assert err.startswith(f"error: no key '{key}'") and f"{hint}'?" in err and len(err.splitlines()) == 1


def test_json(call: Call) -> None:
    status, out, _ = call("explain", "max_tokens", "--json")
    found = json.loads(out)
    assert (status, found["version"], found["query"]) == (0, 1, "max_tokens")
    match = next(each for each in found["matches"] if each["key"] == "stages.STAGE.max_tokens")
    assert {(each["trainer"], each["key"]) for each in match["sets"]} >= {
        ("llamafactory", "cutoff_len"),
        ("verl", "data.max_length"),
    }


@pytest.mark.parametrize("key", ["algorithm", "samples", "trainer.logger", "rollout", "keep_best"])
def test_lines_fit_the_terminal(key: str, tmp_path: Path) -> None:
    status, text = show(pipeline("explain", key), 80, tmp_path)
    assert status == 0
    assert max(map(len, plain(text).splitlines())) <= 80
