"""learns_interpreter.yaml: GRPO teaches a model to call the interpreter, with which it is better than without."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.evaluation.records import Response, read
from tests.real.chain import Chain, make_chain

pytestmark = [pytest.mark.nightly, pytest.mark.learns]

ACCURACY = "val-aux/openai/gsm8k/accuracy/mean@1"


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, environments: None) -> Iterator[Chain]:
    with make_chain("learns_interpreter.yaml", "learns_interpreter", tmp_path_factory.mktemp("runs")) as chain:
        chain.complete()
        yield chain


def test_accuracy_rises_with_the_number_of_calls(chain: Chain) -> None:
    rows = [json.loads(line) for line in chain.paths("rl").metrics.read_text().splitlines()]
    before, *_, after = [row[ACCURACY] for row in rows if ACCURACY in row]
    calls = [row["tool/calls/mean"] for row in rows if "tool/calls/mean" in row]
    print(before, after, calls)
    assert 0.1 < before < 0.6, "what supervised fine-tuning reached"
    # Twice the 95 % interval of the difference between two accuracies on the 153 held-out problems.
    assert after > before + 0.22
    assert calls[0] < 1.5 < calls[-1] <= 2


def test_the_model_is_better_with_the_tool_than_without(chain: Chain) -> None:
    """`pipeline evaluate` generates with verl's tool loop and the recipe's session."""
    for options in ((), ("--no-tool",)):
        evaluate(str(chain.directory / "rl"), *options)
    found = [*read(chain.directory / "evaluations" / "rl" / "own" / "responses.jsonl", Response)]
    assert sum(each.calls == 2 for each in found) > len(found) / 2
    assert all("<tool_response>" in each.text for each in found if each.calls)
    folders = (chain.directory / "evaluations" / name for name in ("rl.no-tool", "rl"))
    compared = json.loads(evaluate("--compare", *map(str, folders), "--json"))
    assert compared["sets"]["own"]["figures"]["accuracy"]["difference"]["low"] > 0.5


def evaluate(*arguments: str) -> str:
    argv = [str(Path(sys.executable).with_name("pipeline")), "evaluate", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
