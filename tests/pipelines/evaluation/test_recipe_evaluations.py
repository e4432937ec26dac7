"""A run with evaluations: a toy trainer, a fake model, real steps."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import pytest

from pipelines.cli.chain import print_chains
from pipelines.errors import StepError
from pipelines.evaluation.rendering import Options
from pipelines.evaluation.requirements import check_requirements
from pipelines.evaluation.spec import SetSpec, Spec
from pipelines.evaluation.step_progress import StepProgress
from pipelines.evaluation.steps import add_evaluations
from pipelines.evaluation.target import Target
from pipelines.recipe.evaluating import Evaluate
from pipelines.recipe.loading import Loaded
from pipelines.recipe.nodes import Node, Origin
from pipelines.run.display import Display
from pipelines.run.execute import execute
from pipelines.run.plan import Machine, Plan
from pipelines.trainers.base import Launch
from tests.pipelines.evaluation.fakes import make_set, make_spec, write_fakes
from tests.pipelines.run.toy import HANDOVER, make_toy_plan, use_toy_trainer

pytestmark = pytest.mark.slow

# What is checked of a model. The fake model answers all questions the same way, whatever its weights are.
MODEL = """
(model / "config.json").write_text("{}")
(model / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
(model / "model.safetensors").write_text(str(state["sum"]))
"""
QUESTIONS = [("7|", "7"), ("8|", "9"), ("10|", "10"), ("11|", "12")]

Run = Callable[..., list[str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the toy chain with an `evaluate` section; return the warnings."""
    monkeypatch.chdir(tmp_path)
    use_toy_trainer(monkeypatch)
    variables = write_fakes(tmp_path)
    make_set(tmp_path, "one", QUESTIONS)
    (tmp_path / "one.yaml").write_text(
        "name: one\ndata: {converter: verl_rows, source: one.parquet}\nreward: {name: same, file: reward.py}\n"
        "max_prompt_tokens: 60\nmax_response_tokens: 20\nmetric: pass@1\n"
    )

    def render(target: Target, options: Options, folder: Path, sets: Sequence[SetSpec]) -> Spec:
        given = make_spec(tmp_path, variables | fail, *sets)
        return msgspec.structs.replace(given, target=target.text, label=target.label, model=target.model)

    fail: dict[str, str] = {}
    monkeypatch.setattr("pipelines.evaluation.steps.make_spec", render)

    def do(failure: str = "", **evaluate: object) -> list[str]:
        fail.update({"FAKE_FAILURE": failure})
        plan = with_models(make_toy_plan(tmp_path / "run"), tmp_path / "model")
        on = {"on": [str(tmp_path / "one.yaml")]}
        recipe = plan.recipe.model_copy(update={"evaluate": Evaluate.model_validate(on | evaluate)})
        loaded = Loaded(recipe, tmp_path / "toy.yaml", Node({}, Origin(tmp_path, "toy.yaml:1", (0, 1))))
        planned = add_evaluations(loaded, replace(plan, recipe=recipe))
        check = partial(check_requirements, loaded, planned.plan)
        steps = planned.plan.select()
        warnings = execute(planned.plan, steps, Display(len(steps)), check=check, progress=StepProgress().read)
        print_chains(planned.plan, [*planned.left_out, *warnings])
        return warnings

    return do


def with_models(plan: Plan, base: Path) -> Plan:
    """Return the toy plan with models that can be evaluated, and verl's environment."""
    launch = Launch(argv=(sys.executable, "-c", HANDOVER + MODEL))
    steps = [replace(step, launch=launch) if step.name.endswith("/handover") else step for step in plan.steps]
    python = Path(sys.executable)
    machine = Machine("cpu", python, {"llamafactory": python, "verl": python}, {})
    return replace(plan, steps=tuple(steps), machine=machine, recipe=plan.recipe.model_copy(update={"model": str(base)}))


def test_the_chain_is_measured_once_and_printed(run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run() == []
    out = capsys.readouterr().out
    assert "[1/7] evaluate: evaluate the model before the first stage on one (not done yet)" in out
    rows = [line.split("\t") for line in out.splitlines() if line.startswith("one\t")]
    assert [row[1] for row in rows] == ["base", "one", "two", "base -> two"]
    assert rows[0][2].startswith("50.0 (") and rows[2][3].startswith("0.0 (")
    assert out.splitlines()[-1] == "compare: pipeline evaluate --compare run/one@0 run/two"

    asked = (tmp_path / "requests.log").read_text()
    run()
    assert capsys.readouterr().out.count("done before") == 7
    assert (tmp_path / "requests.log").read_text() == asked


def test_only_what_is_new_is_generated(run: Run, tmp_path: Path) -> None:
    run(after="last", before=False)
    run(after="each", before=False)
    assert len((tmp_path / "requests.log").read_text().splitlines()) == 2 * len(QUESTIONS)


def test_a_failed_evaluation_is_a_warning(run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    warnings = run("no memory is left")
    assert len(warnings) == 3
    assert warnings[1].startswith("one/evaluate ended with status 1: error: the evaluation ended with status 1: ")
    assert "no memory is left" in warnings[1]
    assert warnings[1].endswith(f"; log: {tmp_path}/run/evaluations/one/log")
    err = capsys.readouterr().err
    assert err.count("warning: ") == 3
    assert (tmp_path / "run" / "stages" / "two" / "model").is_dir()
    assert run() == [], "the next run evaluates what is missing"


def test_a_set_without_problems_is_a_warning_and_the_others_are_measured(run: Run, tmp_path: Path) -> None:
    text = (tmp_path / "one.yaml").read_text()
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "empty.yaml").write_text(text.replace("name: one", "name: empty", 1).replace("one.parquet", "empty.jsonl"))
    warnings = run(on=[str(tmp_path / "one.yaml"), str(tmp_path / "empty.yaml")], after="last", before=False)
    assert len(warnings) == 1 and "set empty: " in warnings[0]
    assert (tmp_path / "run" / "evaluations" / "two" / "one" / "summary.json").is_file()


def test_requirements_that_are_met(run: Run) -> None:
    for bound in (">= previous", ">= 0.5", "> previous - 0.1"):
        assert run(require={"one.pass@1": bound}) == [], bound


def test_a_requirement_that_is_not_met_stops_the_run(run: Run, tmp_path: Path) -> None:
    for bound, message in (
        ("> 0.6", r"one\.pass@1 of one is 0\.500 \(\d\.\d+ to \d\.\d+\), expected > 0\.6$"),
        ("> previous", r"expected > previous: 0\.500 of base; the difference is 0\.000 \(.*\), which is not distinguishable"),
    ):
        with pytest.raises(StepError, match=message) as raised:
            run(require={"one.pass@1": bound})
        assert "\n" not in str(raised.value) and str(raised.value).startswith("toy.yaml:1: evaluate.require: ")
        assert (tmp_path / "run" / "stages" / "one" / "model").is_dir()
        assert not (tmp_path / "run" / "stages" / "two").exists()
        with pytest.raises(StepError, match=message):
            run(require={"one.pass@1": bound})
    assert run(require={"one.pass@1": ">= previous"}) == [], "a lower bound continues"
    assert len((tmp_path / "requests.log").read_text().splitlines()) == 3 * len(QUESTIONS), "nothing was generated again"


def test_a_requirement_that_was_not_measured_stops_the_run(run: Run) -> None:
    with pytest.raises(StepError, match=r"one\.pass@1 of one was not measured: .*has no summary\.json"):
        run("no memory is left", require={"one.pass@1": ">= previous"})
    with pytest.raises(StepError, match=r"one\.pass@7 of one was not measured: one has no figure 'pass@7'"):
        run(require={"one.pass@7": "> 0"})
