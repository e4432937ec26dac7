"""Evaluations with a fake model: resuming, changed inputs, failures. Nothing already generated is lost or done again."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.console.progress import Progress
from pipelines.errors import InputError, StepError
from pipelines.evaluation import spec as specs
from pipelines.evaluation.job import evaluate
from pipelines.evaluation.problems import Made, make_problems
from pipelines.evaluation.records import Generated, Response, read
from pipelines.evaluation.spec import SetSpec, Spec
from pipelines.evaluation.summary import Summary
from pipelines.run import process
from pipelines.run.scratch import scratch_folder
from rewards.sandbox import settings
from tests import ROOT
from tests.pipelines.evaluation.fakes import make_set, make_spec, write_fakes

pytestmark = pytest.mark.slow

QUESTIONS = [("7|", "7"), ("8|", "9"), ("10|", "10")]


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    return write_fakes(tmp_path)


def run(spec: Spec, folder: Path) -> tuple[Summary, str]:
    output = io.StringIO()
    return evaluate(spec, folder, Progress(output)), output.getvalue()


def asked(folder: Path) -> list[str]:
    """Return the requests that the model has got, in order."""
    log = folder / "requests.log"
    return [line.partition(" ")[0] for line in log.read_text().splitlines()] if log.exists() else []


def test_every_response_is_generated_scored_and_summarised(tmp_path: Path, variables: dict[str, str]) -> None:
    sets = (make_set(tmp_path, "one", QUESTIONS), make_set(tmp_path, "two", QUESTIONS[:1], samples=2, temperature=1.0))
    summary, _ = run(make_spec(tmp_path, variables, *sets), tmp_path / "out")
    assert {name: each.figure("accuracy").value for name, each in summary.sets.items()} == {
        "one": pytest.approx(2 / 3),
        "two": 1,
    }
    assert (summary.sets["one"].sampling, summary.sets["two"].samples) == ("greedy", 2)
    assert not summary.warnings
    found = [*read(tmp_path / "out" / "one" / "responses.jsonl", Response)]
    assert sorted((each.row, each.score) for each in found) == [("one-0", 1), ("one-1", 0), ("one-2", 1)]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["version"] == 1
    log = (tmp_path / "requests.log").read_text()
    assert "7| ['detokenize', 'max_tokens', 'temperature']" in log
    assert "7| ['detokenize', 'max_tokens', 'seed', 'temperature', 'top_p']" in log


def test_a_second_run_generates_and_scores_nothing(tmp_path: Path, variables: dict[str, str]) -> None:
    spec = make_spec(tmp_path, variables, make_set(tmp_path, "one", QUESTIONS))
    first, _ = run(spec, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.jsonl")}
    assert run(spec, tmp_path / "out")[0] == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.jsonl")} == before
    assert len(asked(tmp_path)) == 3


def test_more_samples_keep_the_earlier_ones(tmp_path: Path, variables: dict[str, str]) -> None:
    for samples in (2, 3):
        spec = make_spec(tmp_path, variables, make_set(tmp_path, "one", QUESTIONS, samples=samples, temperature=1.0))
        summary, _ = run(spec, tmp_path / "out")
        assert summary.sets["one"].samples == samples
    assert len(asked(tmp_path)) == 9


def test_problems_are_made_in_the_sandbox_of_the_recipe(
    tmp_path: Path, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some converters run programs, and strong isolation may not exist here."""
    used: list[str] = []

    def make(*arguments: Any) -> Made:
        used.append(settings._settings.isolation)
        return make_problems(*arguments)

    monkeypatch.setattr("pipelines.evaluation.job.make_problems", make)
    spec = make_spec(tmp_path, variables, make_set(tmp_path, "one", QUESTIONS))
    run(msgspec.structs.replace(spec, sandbox={"isolation": "weak"}), tmp_path / "out")
    assert used == ["weak"]


def test_another_set_keeps_the_results_of_the_first(tmp_path: Path, variables: dict[str, str]) -> None:
    run(make_spec(tmp_path, variables, make_set(tmp_path, "one", QUESTIONS)), tmp_path / "out")
    summary, _ = run(make_spec(tmp_path, variables, make_set(tmp_path, "two", QUESTIONS[:2])), tmp_path / "out")
    assert list(summary.sets) == ["two", "one"]
    assert len(asked(tmp_path)) == 5


@pytest.mark.parametrize(
    ("change", "why", "again"),
    [
        (lambda one: msgspec.structs.replace(one, temperature=1.0), "temperature", 3),
        (lambda one: msgspec.structs.replace(one, limit=2), "limit", 2),
        (lambda one: msgspec.structs.replace(one, rewards=({**one.rewards[0], "weight": 2.0},)), "reward", 0),
    ],
    ids=["temperature", "limit", "reward"],
)
def test_results_that_no_longer_hold_are_set_aside(
    tmp_path: Path, variables: dict[str, str], change: Callable[[SetSpec], SetSpec], why: str, again: int
) -> None:
    spec = make_spec(tmp_path, variables, make_set(tmp_path, "one", QUESTIONS))
    run(spec, tmp_path / "out")
    other = msgspec.structs.replace(spec, sets=(change(spec.sets[0]),))
    summary, output = run(other, tmp_path / "out")
    assert f"set one: changed: {why}; earlier results are kept in {tmp_path}/out/replaced/one-1" in output
    assert len([*read(tmp_path / "out" / "replaced" / "one-1" / "responses.jsonl", Response)]) == 3
    assert len(asked(tmp_path)) == 3 + again, "a changed reward generates nothing"
    assert summary.sets["one"].overall.problems == (2 if why == "limit" else 3)


def test_a_retrained_model_is_evaluated_again(tmp_path: Path, variables: dict[str, str]) -> None:
    spec = make_spec(tmp_path, variables, make_set(tmp_path, "one", QUESTIONS))
    run(spec, tmp_path / "out")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"others!")
    assert "set one: changed: model;" in run(spec, tmp_path / "out")[1]
    assert len(asked(tmp_path)) == 6


def test_a_response_that_cannot_be_scored_is_counted(tmp_path: Path, variables: dict[str, str]) -> None:
    spec = make_spec(tmp_path, variables, make_set(tmp_path, "one", [*QUESTIONS, ("broken|", "-")]))
    summary, _ = run(spec, tmp_path / "out")
    assert (summary.sets["one"].overall.failed.count, summary.sets["one"].figure("accuracy").value) == (1, 0.5)
    assert [*summary.sets["one"].failures] == ["KeyError: 'broken row'"]


def test_a_long_prompt_is_not_asked_and_a_long_response_is_cut(tmp_path: Path, variables: dict[str, str]) -> None:
    spec = make_spec(tmp_path, variables, make_set(tmp_path, "one", [*QUESTIONS, ("x" * 61, "-"), ("y" * 30, "-")]))
    summary, _ = run(spec, tmp_path / "out")
    made = {each.row: each for each in read(tmp_path / "out" / "one" / "generated.jsonl", Generated)}
    assert (made["one-3"].text, made["one-3"].tokens, made["one-3"].finish, made["one-3"].prompt_tokens) == (
        "",
        0,
        "length",
        61,
    )
    assert (made["one-4"].text, made["one-4"].finish) == ("y" * 20, "length")
    assert summary.sets["one"].overall.cut.count == 2
    assert len(asked(tmp_path)) == 4


def test_lone_surrogates_are_replaced(tmp_path: Path, variables: dict[str, str]) -> None:
    (tmp_path / "fakes" / "transformers.py").write_text(
        (tmp_path / "fakes" / "transformers.py").read_text().replace('"".join(map(chr, tokens))', r'"\ud800"')
    )
    run(make_spec(tmp_path, variables, make_set(tmp_path, "one", QUESTIONS)), tmp_path / "out")
    assert {each.text for each in read(tmp_path / "out" / "one" / "responses.jsonl", Response)} == {"?"}


def test_replicas_share_the_work(tmp_path: Path, variables: dict[str, str]) -> None:
    spec = make_spec(tmp_path, variables, make_set(tmp_path, "one", QUESTIONS, samples=5, temperature=1.0), replicas=2)
    summary, _ = run(spec, tmp_path / "out")
    assert summary.sets["one"].incomplete.count == 0
    assert len(asked(tmp_path)) == 15


@pytest.mark.parametrize(
    ("break_it", "error", "message"),
    [
        ({"FAKE_FAILURE": "no memory left"}, StepError, "the evaluation ended with status 1: RuntimeError: no memory left"),
        ("refused", InputError, "set one, row one-3: the model's chat template does not render its prompt: no such role"),
        ("template", InputError, "has no chat template, so it cannot be asked"),
        ("weights", InputError, "is not complete: model.safetensors is missing"),
        ("unmatched", InputError, "row 'other' is not in problems.jsonl: responses and problems do not match"),
        ("not a record", InputError, "generated.jsonl:1: not a generated: "),
        ("reward", InputError, "no reward is called 'sam'"),
        ("no rows", InputError, "none.parquet has no records"),
    ],
    ids=lambda value: value if isinstance(value, str) and "\n" not in value else None,
)
def test_mistakes_are_one_line(
    tmp_path: Path, variables: dict[str, str], break_it: Any, error: type[Exception], message: str
) -> None:
    given = make_set(tmp_path, "one", [*QUESTIONS, ("refused|", "-")] if break_it == "refused" else QUESTIONS)
    out = tmp_path / "out"
    if isinstance(break_it, dict):
        variables |= break_it
    elif break_it == "template":
        (tmp_path / "model" / "tokenizer_config.json").write_text("{}")
    elif break_it == "weights":
        (tmp_path / "model" / "model.safetensors").unlink()
    elif break_it == "unmatched":
        (out / "one").mkdir(parents=True)
        (out / "one" / "generated.jsonl").write_bytes(msgspec.json.encode(Generated("other", 0, "", 1, "stop")) + b"\n")
    elif break_it == "not a record":
        (out / "one").mkdir(parents=True)
        (out / "one" / "generated.jsonl").write_text('{"row": 1}\n')
    elif break_it == "reward":
        given = msgspec.structs.replace(given, rewards=({"name": "sam"},))
    elif break_it == "no rows":
        given = make_set(tmp_path, "none", [])
    with pytest.raises(error) as raised:
        run(make_spec(tmp_path, variables, given), out)
    first = str(raised.value).splitlines()[0]
    assert message in first
    assert error is StepError or len(str(raised.value).splitlines()) == 1


def test_killed_in_the_middle_resumes_without_generating_anything_twice(tmp_path: Path, variables: dict[str, str]) -> None:
    questions = [(f"{number}|", str(number)) for number in range(100, 160)]
    sets = (make_set(tmp_path, "one", questions[:30]), make_set(tmp_path, "two", questions[30:]))
    spec, out = make_spec(tmp_path, {**variables, "FAKE_STEP_SECONDS": "0.05"}, *sets), tmp_path / "out"
    out.mkdir()
    specs.write(spec, out / specs.FILE)
    argv = [sys.executable, "-m", "pipelines.evaluation.job", str(out / specs.FILE)]
    started = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    wait_for(lambda: (out / "one" / "generated.jsonl").exists() and len(asked(tmp_path)) > 40)
    started.send_signal(signal.SIGKILL)
    started.wait()
    wait_for(lambda: not process.find_processes(out) and not scratch_folder(out).exists())
    kept = (out / "one" / "generated.jsonl").read_bytes()
    # As if it had been killed in a write.
    with (out / "two" / "generated.jsonl").open("ab") as file:
        file.write(b'{"row":"two-')
    before = {each.row for name in ("one", "two") for each in read(out / name / "generated.jsonl", Generated)}
    assert 0 < len(before) < 60
    (tmp_path / "requests.log").unlink()

    summary, output = run(spec, out)
    assert f"resumes: {len(before)} of 60 responses are generated" in output
    assert sorted(asked(tmp_path)) == sorted(f"{100 + n + 30 * (name == 'two')}|" for name, n in missing(before))
    assert (out / "one" / "generated.jsonl").read_bytes().startswith(kept)
    assert {name: each.figure("accuracy").value for name, each in summary.sets.items()} == {"one": 1, "two": 1}
    for name in ("one", "two"):
        assert len({each.row for each in read(out / name / "responses.jsonl", Response)}) == 30


def missing(done: set[str]) -> list[tuple[str, int]]:
    return [(name, number) for name in ("one", "two") for number in range(30) if f"{name}-{number}" not in done]


def test_a_folder_in_use_is_refused(tmp_path: Path, variables: dict[str, str]) -> None:
    from pipelines.records.holder import hold

    spec = make_spec(tmp_path, variables, make_set(tmp_path, "one", QUESTIONS))
    with hold(tmp_path / "out"), pytest.raises(InputError, match=r"in use by another `pipeline evaluate`, process \d+"):
        run(spec, tmp_path / "out")


def test_the_export_of_a_checkpoint_is_made_once(tmp_path: Path, variables: dict[str, str]) -> None:
    checkpoint, out = tmp_path / "checkpoint-20", tmp_path / "out"
    (tmp_path / "model").rename(checkpoint)
    copy = "import os, shutil; shutil.copytree('checkpoint', 'export'); open('count', 'a').write('x')"
    export = specs.Export(argv=(sys.executable, "-c", copy), variables={}, files={"a.yaml": "b"}, checkpoint=str(checkpoint))
    given = make_set(tmp_path, "one", QUESTIONS)
    spec = msgspec.structs.replace(make_spec(tmp_path, variables, given), model=str(out / "model"), export=export)
    for _ in range(2):
        summary, _ = run(spec, out)
        assert summary.sets["one"].figure("accuracy").value == pytest.approx(2 / 3)
        assert (out / "export" / "count").read_text() == "x"
    (checkpoint / "model.safetensors").write_bytes(b"trained")
    run(spec, out)
    assert (out / "model" / "model.safetensors").read_bytes() == b"trained"
    assert len(asked(tmp_path)) == 6


def test_a_full_disk_loses_nothing(tmp_path: Path, variables: dict[str, str]) -> None:
    # The fourth write of a response finds no space.
    (tmp_path / "fakes" / "sitecustomize.py").write_text(FULL_DISK)
    spec = make_spec(tmp_path, variables, make_set(tmp_path, "one", [(f"{n}|", str(n)) for n in range(10, 16)]))
    generated = tmp_path / "out" / "one" / "generated.jsonl"
    with pytest.raises(StepError) as raised:
        run(spec, tmp_path / "out")
    assert str(raised.value).startswith(f"the evaluation ended with status 1: error: {generated}: No space left on device")
    assert len([*read(generated, Generated)]) == 3
    (tmp_path / "fakes" / "sitecustomize.py").unlink()
    summary, _ = run(spec, tmp_path / "out")
    assert summary.sets["one"].figure("accuracy").value == 1
    assert len(asked(tmp_path)) == 6 + 3


FULL_DISK = """
import os, sys
write, count = os.pwrite, 0

def pwrite(file, data, offset):
    global count
    count += os.readlink(f"/proc/self/fd/{file}").endswith("generated.jsonl")
    if count > 3:
        raise OSError(28, "No space left on device")
    return write(file, data, offset)

os.pwrite = pwrite
"""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.05)
