"""The data of the recipes: every record converts, and every taught answer gets the best score."""

import json

import pytest

from preprocess.engine.convert import convert
from preprocess.engine.job import Source
from preprocess.rows import RlRow, SftRow
from rewards.builtin.interpreter_tool import NAME
from rewards.entry import compute_score_blocking
from tests import ROOT

DATA = ROOT / "recipes" / "data"
PROGRAMS = DATA / "programs.py"


@pytest.mark.parametrize(
    ("converter", "reward", "best"), [("programs_execution", "white_box", 2.0), ("programs_code", "code_tests", 1.0)]
)
def test_taught_answers_get_the_best_score(converter: str, reward: str, best: float) -> None:
    taught, asked = (convert([Source(converter, PROGRAMS)], shape) for shape in ("sft", "rl"))
    assert not taught.rejects
    assert not asked.rejects
    assert len(taught.rows) == len(asked.rows) >= 30
    for sft, rl in zip(taught.rows, asked.rows, strict=True):
        assert isinstance(sft, SftRow)
        assert isinstance(rl, RlRow)
        assert sft.conversations[0].value == rl.prompt[0].content
        answer = sft.conversations[1].value
        truth, info = json.dumps(rl.ground_truth), {"id": rl.id}
        result = compute_score_blocking(rl.data_source, answer, truth, info, rewards=[{"name": reward}])
        assert (rl.id, result) == (
            rl.id,
            {"score": best, "accuracy": 1.0, "has_accuracy": 1.0, "format": 1.0, "failed": 0.0},
        )


def test_products_are_computed_in_two_calls() -> None:
    taught = convert([Source("gsm8k", DATA / "products.jsonl", options={"tool": NAME, "stateful": True})], "sft")
    assert not taught.rejects
    assert len(taught.rows) == 300
    for row in taught.rows:
        assert isinstance(row, SftRow)
        first, second = (json.loads(each.value)["arguments"]["code"] for each in row.conversations if "call" in each.speaker)
        product = first.partition(" = ")[2].partition("\n")[0]
        assert row.conversations[0].value.startswith(f"What is twice {product}?")
        assert second == "b = a + a\nprint(b)"
        assert row.conversations[-1].value == f"#### {row.conversations[-2].value}"
