"""Conversations with too many tokens are left out, the same ones for both trainers, and prompts are cut."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.records.overlong import read_overlong
from pipelines.records.steps import read_record
from tests import ROOT
from tests.real.chain import Chain, make_chain

pytestmark = pytest.mark.nightly

MODEL = {"make": "qwen2", "vocabulary": 512, "hidden_size": 64, "layers": 1, "heads": 1, "max_tokens": 1024, "seed": 1}
RECIPE = f"""
name: over
model: ./model
hardware: {{platform: cpu}}
defaults:
  sft:
    data:
      train: {{converter: programs_execution, source: {ROOT}/recipes/data/programs.py, limit: 40}}
      validation: {{fraction: 0.2}}
      overlong: leave_out
      max_overlong: 0.9
    init_from: ./model
    learning_rate: 1.0e-5
    batch: {{per_device: 2, accumulate: 1}}
    max_tokens: 544
    steps: 2
    validate_every: 2
stages:
  - {{name: verl, kind: sft, trainer: verl}}
  - {{name: llamafactory, kind: sft, trainer: llamafactory}}
  - name: rl
    kind: rl
    algorithm: grpo
    data:
      train: {{converter: programs_code, source: {ROOT}/recipes/data/programs.py, limit: 24}}
      validation: {{fraction: 0.2}}
      overlong: cut
      max_overlong: 0.99
    reward: code_tests
    steps: 1
    learning_rate: 1.0e-3
    batch: {{prompts: 8, mini: 8, micro_per_gpu: 2}}
    rollout: {{samples: 2, max_prompt_tokens: 168, max_response_tokens: 16}}
    # The weights change although a random model earns nothing.
    verl: {{actor_rollout_ref.actor.entropy_coeff: 0.01}}
"""


@pytest.fixture(scope="module")
def chain(
    tmp_path_factory: pytest.TempPathFactory, environments: None, trainer_python: Callable[[str], Path]
) -> Iterator[Chain]:
    folder = tmp_path_factory.mktemp("over")
    (folder / "model.json").write_text(json.dumps({**MODEL, "rows": [], "output": str(folder / "model")}))
    make = [str(trainer_python("verl")), "-m", "pipelines.models.tiny", str(folder / "model.json")]
    subprocess.run(make, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    (folder / "over.yaml").write_text(RECIPE)
    with make_chain(str(folder / "over.yaml"), "over", folder) as chain:
        chain.complete()
        yield chain


def test_both_trainers_train_on_the_same_rows(chain: Chain) -> None:
    paths = [chain.paths(name) for name in ("verl", "llamafactory")]
    files = [each.fitting / "train.parquet" for each in paths]
    assert files[0].read_bytes() == files[1].read_bytes()
    given, kept = (pq.read_metadata(each / "train.parquet").num_rows for each in (paths[0].data, paths[0].fitting))
    assert 0 < kept < given
    overlong = read_overlong(paths[1])
    assert overlong is not None
    assert overlong.left_out("train") == given - kept
    trained = re.findall(
        r"Running training \*+.*?Num examples = (\d+)", (paths[1].step("train") / "log").read_text(), re.DOTALL
    )
    assert trained == [str(kept)]
    listed = [json.loads(line) for line in (paths[1].fitting / "left_out.jsonl").read_text().splitlines()]
    assert sum(each["file"] == "train.parquet" for each in listed) == given - kept
    assert all(each["tokens"] > 544 for each in listed)


def test_prompts_are_cut_and_none_is_dropped(chain: Chain) -> None:
    paths = chain.paths("rl")
    overlong = read_overlong(paths)
    assert overlong is not None
    assert overlong.rows["train"] > 0
    assert "left-truncating" in (paths.step("train") / "log").read_text()
    metrics = json.loads(paths.metrics.read_text().splitlines()[0])
    assert metrics["prompt_length/max"] == 168
    record = read_record(paths.step("train"))
    assert record is not None
    assert not any("dropped" in note for note in record.notes)


def test_an_error_ends_the_run_before_the_training(chain: Chain) -> None:
    status, _, err = chain.finish("--set", "stages.verl.data.overlong=error", "--set", "name=refused")
    assert status == 1
    assert "conversations are longer than 544 tokens, and data.overlong is error: row " in err
    assert not (chain.runs / "refused" / "stages" / "verl" / "train").exists()


def test_a_batch_larger_than_the_rows_ends_the_run_after_their_preparation(chain: Chain) -> None:
    status, _, err = chain.finish("--set", "stages.verl.batch.per_device=64", "--set", "name=few")
    assert status == 2
    assert re.search(r"stages\.verl\.batch: \d+ rows in total, fewer than the 64 rows of one step", err)
    assert not (chain.runs / "few" / "count-prompts").exists()
