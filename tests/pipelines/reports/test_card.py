"""Model cards: what they say, what they must not say, and that they change no digest."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from pipelines.digests import CARD, Digests
from pipelines.environments import TrainerName
from pipelines.environments.ask import ask
from pipelines.evaluation import spec as specs
from pipelines.evaluation.model import fingerprint
from pipelines.evaluation.results import KEY_FILE
from pipelines.evaluation.summary import Summary, read_summary, write
from pipelines.reports.card.keeping import keep_card, make_card
from pipelines.run.export import Trained
from pipelines.run.plan import Plan, stage_paths
from preprocess import atomic
from tests.pipelines.evaluation.fakes import make_spec
from tests.pipelines.evaluation.making import evaluation
from tests.pipelines.results.making import finish_stage, make_run, write_metrics, write_rl_checkpoints


def stage_of(plan: Plan, name: str) -> Any:
    return next(each for each in plan.recipe.stages if each.name == name)


def card_of(plan: Plan, name: str, step: int | None = None, repository: str | None = None) -> str:
    checkpoint = stage_paths(plan.directory, name).checkpoints / f"global_step_{step}" if step else None
    return make_card(Trained(plan, stage_of(plan, name), step, checkpoint), repository)


def front_matter(card: str) -> dict[str, Any]:
    """Return the metadata as the hub reads it."""
    block = re.match(r"^(\s*---[\r\n]+)([\S\s]*?)([\r\n]+---(\r\n|\n|$))", card)
    assert block is not None
    found: dict[str, Any] = yaml.safe_load(block[2])
    return found


def evaluate(plan: Plan, label: str, model: Path, sets: dict[str, dict[str, list[float | None]]], folder: str = "") -> Path:
    """Write an evaluation of a model."""
    home = evaluation(plan.directory / "evaluations" / (folder or label), sets)
    summary = read_summary(home)
    write(home, Summary(target=label, model=str(model), sets=summary.sets))
    spec = msgspec.structs.replace(make_spec(home, {}), label=label, model=str(model))
    specs.write(spec, home / specs.FILE)
    for name in sets:
        atomic.write_text(
            home / name / KEY_FILE, msgspec.json.encode({"generated": {"model": fingerprint(str(model))}}).decode()
        )
    return home


def ones(right: int, problems: int) -> dict[str, list[float | None]]:
    return {f"row-{number}": [float(number < right)] for number in range(problems)}


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A run whose first two stages are finished."""
    plan = make_run(tmp_path)
    for stage, steps in (("sft", 450), ("stage-one", 2)):
        finish_stage(plan, stage)
        write_metrics(plan, stage, steps)
        data = stage_paths(plan.directory, stage).data
        data.mkdir()
        (data / "summary.json").write_text(
            '{"records": 130, "rows": {"train": 116, "validation": 14}, "rejected": {"no answer": 3}}'
        )
    return plan


def test_what_a_card_says(plan: Plan) -> None:
    card = card_of(plan, "stage-one")
    assert front_matter(card) == {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["code-post-training", "sft", "grpo", "llama-factory", "verl"],
    }
    assert "# smoke: stage-one\n" in card
    assert "from a tiny model with random weights by SFT (LLaMA-Factory), then grpo (verl)" in card
    assert "| sft | SFT | LLaMA-Factory | 116 | 450 | 1:02 |" in card
    assert "| stage-one | grpo | verl | 116 | 2 | 1:02 |" in card
    assert "stage-two |" not in card, "it is not in the chain of this model"
    assert "| sft | train | programs.py | programs_execution | unknown | unknown |" in card
    assert "130 records gave 116 training and 14 validation rows; 3 gave none" in card
    assert "This model was not evaluated." in card
    assert "learning_rate: 0.005" in card
    assert "- Command: pipeline run smoke.yaml" in card
    assert "- Trained with: code-post-training 0.2.0, verl 0.9.1" in card
    assert 'AutoModelForCausalLM.from_pretrained(name, dtype="auto")' in card
    assert "vllm serve path/to/this/folder" in card
    assert "vllm serve me/mine" in card_of(plan, "stage-one", repository="me/mine")


def test_the_card_of_a_checkpoint(plan: Plan) -> None:
    write_rl_checkpoints(plan, "stage-one", [1])
    card = card_of(plan, "stage-one", step=1)
    assert "# smoke: stage-one@1\n" in card
    assert "| stage-one | grpo | verl | 116 | 1 |  |" in card


def test_evaluations_with_intervals(plan: Plan) -> None:
    model = stage_paths(plan.directory, "stage-one").model
    evaluate(plan, "sft@0", plan.directory / "model", {"mine": ones(2, 20)})
    evaluate(plan, "stage-one", model, {"mine": ones(8, 20), "other": ones(1, 4)})
    card = card_of(plan, "stage-one")
    assert re.search(
        r"\| mine \| pass@1 \| 0\.400 \(0\.\d+ to 0\.\d+\) \| 0\.100 \(0\.\d+ to 0\.\d+\) \| 20 \| 1 sample at", card
    )
    assert re.search(r"\| other \| pass@1 \| 0\.250 \(.*\) \|  \| 4 \|", card), "the base was not evaluated on it"
    (index,) = front_matter(card)["model-index"]
    assert index["name"] == "smoke-stage-one"
    result = index["results"][0]
    assert (result["task"], result["dataset"]) == ({"type": "text-generation"}, {"name": "mine", "type": "mine"})
    (metric,) = result["metrics"]
    assert (metric["type"], metric["value"]) == ("pass@1", 0.4)
    assert "95 % interval 0." in metric["name"]


def test_evaluations_of_other_weights_are_left_out(plan: Plan) -> None:
    model = stage_paths(plan.directory, "stage-one").model
    home = evaluate(plan, "stage-one", model, {"mine": ones(8, 20)})
    (model / "model.safetensors").write_bytes(b"retrained")
    assert "not evaluated" in card_of(plan, "stage-one")
    evaluate(plan, "stage-one", model, {"mine": ones(9, 20)}, "stage-one.4-samples")
    assert "| 0.450 (" in card_of(plan, "stage-one")
    (home / "summary.json").write_text("{")
    assert "| 0.450 (" in card_of(plan, "stage-one"), "a damaged summary is no evaluation"


def test_a_hub_model_and_data_with_revisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for kind, name, licence in (("models", "Qwen--Qwen2.5-0.5B", "apache-2.0"), ("datasets", "owner--rows", "mit")):
        folder = tmp_path / "hf" / "hub" / f"{kind}--{name}" / "snapshots" / ("0123456789" * 4)
        folder.mkdir(parents=True)
        (folder / CARD).write_text(f"---\nlicense: {licence}\n---\n# A card\n")
    source = "stages.sft.data.train={converter: alpaca, source: owner/rows}"
    plan = make_run(tmp_path, "model=Qwen/Qwen2.5-0.5B", source)
    finish_stage(plan, "sft")
    card = card_of(plan, "sft")
    values = front_matter(card)
    assert (values["base_model"], values["base_model_relation"]) == ("Qwen/Qwen2.5-0.5B", "finetune")
    assert (values["license"], values["datasets"]) == ("apache-2.0", ["owner/rows"])
    revision = "0123456789" * 4
    assert f"**Qwen/Qwen2.5-0.5B** at revision `{revision}` (licence: apache-2.0)" in card
    assert f"| sft | train | owner/rows (hub) | alpaca | `{revision}` | mit |" in card
    data = stage_paths(plan.directory, "sft").data
    data.mkdir()
    (data / "summary.json").write_text(json.dumps({"revisions": {"owner/rows": "f" * 40}}))
    prepared = f"| sft | train | owner/rows (hub) | alpaca | `{'f' * 40}` | unknown |"
    assert prepared in card_of(plan, "sft"), "what was downloaded when the rows were prepared"


def test_no_paths_and_no_secrets(tmp_path: Path) -> None:
    rows = tmp_path / "private folder" / "rows.jsonl"
    rows.parent.mkdir()
    sets = (
        f"model={tmp_path}/models/my-base",
        f"stages.sft.data.train={{converter: alpaca, source: '{rows}'}}",
        "sandbox.url=http://internal.host:8080",
        f"stages.stage-one.verl={{trainer.extra_path: 'a {tmp_path}/x/y.txt b', trainer.wandb_api_key: hunter2}}",
    )
    plan = make_run(tmp_path, *sets[:3])
    finish_stage(plan, "sft")
    recipe = plan.directory / "recipe.yaml"
    recipe.write_text(recipe.read_text() + f"extra: {{note: 'see {tmp_path}/x/y.txt and </answer>', api_key: hunter2}}\n")
    manifest = plan.directory / "run.json"
    manifest.write_text(manifest.read_text().replace('"smoke.yaml"', f'"{tmp_path}/r.yaml", "--set", "model={tmp_path}/m"'))
    card = card_of(plan, "sft")
    for secret in (str(tmp_path), "private folder", "internal.host", "hunter2"):
        assert secret not in card
    assert "**my-base**" in card and "| rows.jsonl |" in card
    assert "note: see y.txt and </answer>" in card
    assert "pipeline run r.yaml --set model=m" in card
    assert "base_model" not in front_matter(card), "a folder is not a name on the hub"


HOSTILE = "x|y](http://evil) <script>alert(1)</script> `code` **bold**\n---\n# not a heading \x1b[31m \u202e"


def test_hostile_texts_are_shown_as_text(plan: Plan) -> None:
    train = stage_paths(plan.directory, "sft").step("train") / "record.json"
    record = msgspec.json.decode(train.read_bytes())
    train.write_bytes(msgspec.json.encode(record | {"notes": [HOSTILE]}))
    recipe = plan.directory / "recipe.yaml"
    recipe.write_text(recipe.read_text() + "extra: " + repr("```\n# heading\n\t</script>") + "\n")
    model = stage_paths(plan.directory, "sft").model
    evaluate(plan, "sft", model, {"a|b": ones(1, 2)})
    card = card_of(plan, "sft")
    assert "\x1b" not in card and "\u202e" not in card
    assert "\\<script\\>" in card and "<script>" not in card
    assert "\\*\\*bold\\*\\*" in card
    assert re.search(r"(?<!\\)\]\(", card) is None, "no link"
    assert "\n# not a heading" not in card
    assert "| a\\|b |" in card
    front = front_matter(card)
    assert front["model-index"][0]["results"][0]["dataset"]["name"] == "a|b"
    fence = re.search(r"^(`{3,})yaml$", card, re.MULTILINE)
    assert fence is not None and card.count(f"\n{fence[1]}\n") >= 1
    headings = re.findall(r"^## .*$", re.sub(r"(?ms)^(`{3,})\w*$.*?^\1$", "", card), re.MULTILINE)
    assert headings == ["## Use", "## Training", "## Data", "## Evaluation", "## Recipe", "## Provenance"]


def test_a_tool_is_part_of_the_examples(tmp_path: Path) -> None:
    plan = make_run(tmp_path, recipe="smoke_interpreter.yaml", name="tool")
    finish_stage(plan, "rl")
    card = card_of(plan, "rl")
    assert "tools=tools" in card and '"name": "python_interpreter"' in card
    assert "--enable-auto-tool-choice --tool-call-parser hermes" in card


def test_a_card_changes_no_digest(plan: Plan, tmp_path: Path) -> None:
    model = stage_paths(plan.directory, "sft").model
    digests = Digests(tmp_path / "digests.json")
    before = digests.of(model), fingerprint(str(model))
    (model / CARD).write_text(card_of(plan, "sft"))
    assert (digests.of(model), fingerprint(str(model))) == before
    (model / CARD).write_text("# a card that someone else wrote\n")
    assert digests.of(model) != before[0] and fingerprint(str(model)) != before[1], "as in versions before"


def test_the_card_is_kept_current(plan: Plan) -> None:
    model = stage_paths(plan.directory, "sft").model
    keep_card(plan, plan.step("sft/train"))
    assert not (model / CARD).exists()
    keep_card(plan, plan.step("sft/handover"))
    written = (model / CARD).stat()
    keep_card(plan, plan.step("sft/handover"))
    assert (model / CARD).stat().st_mtime_ns == written.st_mtime_ns, "it is current"
    home = evaluate(plan, "sft", model, {"mine": ones(8, 20)})
    os.utime(home / "summary.json", (written.st_mtime + 5, written.st_mtime + 5))
    keep_card(plan, plan.step("sft/handover"))
    assert "| mine | pass@1 |" in (model / CARD).read_text()


def test_a_smoke_says_so(plan: Plan) -> None:
    manifest = plan.directory / "run.json"
    manifest.write_text(manifest.read_text().replace('"smoke": false', '"smoke": true'))
    assert "the model of a smoke run" in card_of(plan, "sft")


@pytest.mark.nightly
def test_the_hubs_library_reads_it(plan: Plan, trainer_python: Callable[[TrainerName], Path], tmp_path: Path) -> None:
    evaluate(plan, "stage-one", stage_paths(plan.directory, "stage-one").model, {"mine": ones(8, 20)})
    (tmp_path / CARD).write_text(card_of(plan, "stage-one"))
    code = (
        "import json, sys; from huggingface_hub import ModelCard; data = ModelCard.load(sys.argv[1]).data;"
        "print(json.dumps([data.library_name, data.tags, [[e.metric_type, e.metric_value] for e in data.eval_results]]))"
    )
    library, tags, results = ask(trainer_python("llamafactory"), ["-c", code, str(tmp_path / CARD)])
    assert (library, results) == ("transformers", [["pass@1", 0.4]])
    assert "grpo" in tags
