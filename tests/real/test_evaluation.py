"""`pipeline evaluate` with the real vLLM on a CPU: killed in the middle of generation, resumed, compared."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.environments import TrainerName
from pipelines.evaluation.records import Generated, Response, read
from preprocess.rows import Message, RlRow
from tests import ROOT
from tests.real.chain import wait_for, wait_until_ended
from tests.rows import make_tiny_model, write_rows

pytestmark = [pytest.mark.real, pytest.mark.nightly]

PROGRAMS = ROOT / "recipes" / "data" / "programs.py"
SETS = {"programs_code-programs": f"programs_code:{PROGRAMS}", "programs_execution-programs": f"programs_execution:{PROGRAMS}"}


@pytest.fixture(scope="module")
def model(trainer_python: Callable[[TrainerName], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights."""
    rows = tmp_path_factory.mktemp("model") / "rows.parquet"
    text = PROGRAMS.read_text(encoding="utf-8")
    write_rows(rows, [RlRow(problem="p", data_source="s", prompt=(Message("user", text),), ground_truth={}, id="r")], "rl")
    return make_tiny_model(trainer_python("verl"), rows)


def start(model: Path, folder: Path, *options: str) -> subprocess.Popen[str]:
    pipeline = Path(sys.executable).with_name("pipeline")
    sets = [word for each in SETS.values() for word in ("--on", each)]
    argv = [str(pipeline), "evaluate", str(model), *sets, "--samples", "4", "--max-tokens", "64", "-o", str(folder), *options]
    return subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"}
    )


def finish(model: Path, folder: Path, *options: str) -> tuple[str, str]:
    started = start(model, folder, *options)
    out, err = started.communicate()
    assert started.returncode == 0, out + err
    return out, err


def generated(folder: Path) -> dict[tuple[str, str, int], str]:
    """Return the text of each response by set, row and sample; each occurs once."""
    found = [(name, each) for name in SETS for each in read(folder / name / "generated.jsonl", Generated)]
    texts = {(name, each.row, each.sample): each.text for name, each in found}
    assert len(texts) == len(found), "a response was generated twice"
    return texts


def test_killed_and_resumed(model: Path, tmp_path: Path) -> None:
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    out, _ = finish(model, unbroken, "--json")
    summary = json.loads(out)
    assert {name: each["samples"] for name, each in summary["sets"].items()} == dict.fromkeys(SETS, 4)
    total = len(generated(unbroken))

    started = start(model, killed)
    # Some responses of the first set are there, and none of the second may be.
    wait_for(lambda: len(generated(killed)) > 50, started)
    started.send_signal(signal.SIGKILL)
    started.wait()
    wait_until_ended(killed)
    kept = generated(killed)
    assert 50 < len(kept) < total
    files = {name: (killed / name / "generated.jsonl") for name in SETS}
    before = {name: file.read_bytes() for name, file in files.items() if file.exists()}

    _, err = finish(model, killed)
    assert f"resumes: {len(kept)} of {total:,} responses are generated" in err
    for name, data in before.items():
        assert files[name].read_bytes().startswith(data), "what was generated is kept as it was"
    # Every sample has a seed of its own: which others are generated with it does not matter.
    assert generated(killed) == generated(unbroken)
    for name in SETS:
        scored = Counter((each.row, each.sample) for each in read(killed / name / "responses.jsonl", Response))
        assert set(scored.values()) == {1} and len(scored) == sum(key[0] == name for key in kept | generated(killed))
    compared = json.loads(run("--compare", str(unbroken), str(killed), "--json"))
    assert all(each["figures"][each["metric"]]["tied"] == each["problems"] for each in compared["sets"].values())
    assert not [*Path("/dev/shm").glob("pl*")]


def run(*arguments: str) -> str:
    argv = [str(Path(sys.executable).with_name("pipeline")), "evaluate", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
