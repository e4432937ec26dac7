"""smoke.yaml with `evaluate`, with the real trainers and vLLM on a CPU: the whole chain is measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.records.steps import read_record
from tests import ROOT
from tests.real.chain import Chain, make_chain, wait_for, wait_until_ended

pytestmark = [pytest.mark.real, pytest.mark.nightly]

EVALUATE = "evaluate={on: [own], samples: 2, limit: 8, max_tokens: 64}"


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, environments: None) -> Iterator[Chain]:
    recipe = ROOT / "recipes" / "smoke.yaml"
    with make_chain(str(recipe), "smoke", tmp_path_factory.mktemp("runs")) as chain:
        yield chain


@pytest.fixture(scope="module")
def output(chain: Chain) -> str:
    """Stop the run while it evaluates; return the output of the run that then completes."""
    started = chain.start("--set", EVALUATE)
    generated = chain.directory / "evaluations" / "sft@0.2-samples.64-tokens.first-8" / "own-stage-one" / "generated.jsonl"
    wait_for(lambda: generated.exists() and generated.stat().st_size > 0, started)
    started.terminate()
    started.communicate()
    wait_until_ended(chain.directory)
    return chain.complete("--set", EVALUATE)


def test_the_chain_is_measured(chain: Chain, output: str) -> None:
    names = [line.split("\t")[1] for line in output.splitlines() if line.startswith("own-stage-one\t")]
    assert names == ["base", "sft", "stage-one", "base -> stage-one"]
    assert [line.split("\t")[1] for line in output.splitlines() if line.startswith("own-stage-two\t")] == [
        "stage-one",
        "stage-two",
    ]
    assert "compare: pipeline evaluate --compare " in output
    for folder in (chain.directory / "evaluations").iterdir():
        record = read_record(folder)
        assert record is not None and record.outcome == "complete"


def test_a_complete_run_is_skipped(chain: Chain, output: str) -> None:
    steps = [line for line in chain.complete("--set", EVALUATE).splitlines() if line.startswith("[")]
    assert len(steps) == 17 and all(line.endswith("done before") for line in steps)


def test_the_command_line_finds_what_the_run_has_measured(chain: Chain, output: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in chain.directory.rglob("generated.jsonl")}
    argv = [str(Path(sys.executable).with_name("pipeline")), "evaluate", str(chain.directory / "stage-two")]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    assert "own-stage-two" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in chain.directory.rglob("generated.jsonl")} == before
