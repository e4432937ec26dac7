"""`pipeline evaluate`: help that teaches, mistakes in one line, results as tables and as JSON."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import msgspec
import pytest

from pipelines.cli import evaluate as command
from pipelines.evaluation.rendering import Options
from pipelines.evaluation.spec import Spec
from pipelines.evaluation.target import Target
from tests.pipelines.conftest import Call
from tests.pipelines.evaluation.fakes import make_set, make_spec, write_fakes, write_model


@pytest.fixture
def call(call: Call) -> Call:
    """Call `pipeline evaluate …` in an empty folder; return exit status, output and errors."""
    return partial(call, "evaluate")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Replace the model, its generation and the sets by fakes; return the model's folder."""
    variables = write_fakes(tmp_path)
    given = make_set(tmp_path, "one", [("7|", "7"), ("8|", "9")])

    def render(target: Target, options: Options, folder: Path) -> Spec:
        temperature = options.temperature or 0.0
        one = msgspec.structs.replace(given, samples=options.samples or 1, temperature=temperature, limit=options.limit)
        return make_spec(tmp_path, variables, one)

    monkeypatch.setattr(command, "make_spec", render)
    return tmp_path / "model"


def test_help_teaches(call: Call) -> None:
    _, out, _ = call("--help")
    assert "pipeline evaluate runs/smoke" in out
    for option in ("--on", "--samples", "--temperature", "--limit", "--no-tool", "--compare", "--json"):
        assert option in out


def test_results_are_printed_with_the_next_command(call: Call, fake: Path) -> None:
    status, out, err = call("model")
    assert status == 0, err
    assert "one\tall\taccuracy\t50.0 (" in out
    assert "one: greedy" in err
    assert "next: pipeline evaluate --compare evaluations/model OTHER" in err
    assert (fake.parent / "evaluations" / "model" / "summary.json").is_file()


def test_results_as_json(call: Call, fake: Path) -> None:
    status, out, _ = call("model", "--samples", "2", "--temperature", "1", "--json")
    assert status == 0
    assert json.loads(out)["sets"]["one"]["samples"] == 2
    assert (fake.parent / "evaluations" / "model.2-samples.temperature-1").is_dir()


def test_two_evaluations_are_compared_by_target_or_folder(call: Call, fake: Path) -> None:
    call("model")
    call("model", "-o", "other")
    status, out, err = call("--compare", "model", "other")
    assert status == 0, err
    assert "one\taccuracy\t50.0\t50.0\t0.0 (" in out
    assert json.loads(call("--compare", "model", "other", "--json")[1])["sets"]["one"]["problems"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected either TARGET or --compare A B; see `pipeline evaluate --help`"),
        (("model", "--compare", "a", "b"), "expected either TARGET or --compare A B"),
        (("nosuch",), "nosuch not found; expected a model folder, a hub name"),
        (("--compare", "nosuch", "model"), "--compare nosuch: not an evaluation; nosuch not found"),
        (("--compare", "model", "model"), "--compare model: not evaluated yet: pipeline evaluate model"),
        (("model", "--on", "nosuch"), "no evaluation set is called 'nosuch'"),
        (("model",), "model: choose what to evaluate on with --on SET"),
    ],
)
def test_mistakes_are_one_line(call: Call, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    write_model(tmp_path / "model")
    status, _, err = call(*arguments)
    assert status == 2
    assert err.startswith("error: ") and message in err and len(err.splitlines()) == 1


def test_a_failure_names_the_command_that_resumes(call: Call, fake: Path) -> None:
    (fake.parent / "fakes" / "vllm.py").write_text("raise RuntimeError('no memory left')")
    status, _, err = call("model")
    assert status == 1
    assert "error: the evaluation ended with status 1: RuntimeError: no memory left" in err
    assert "finished responses are kept; fix the problem, then resume with: pipeline evaluate model" in err
