"""Rewards without weight, and templates that ask for answers in another format than the model's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.models.chat_template import TINY
from pipelines.recipe.loading import load
from pipelines.recipe.upstream_keys import openings

from .conftest import Write, problems

LLAMA = (
    "{% for message in messages %}<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n{{ message.content }}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


@pytest.mark.parametrize(
    ("reward", "key", "expected"),
    [
        ("{name: code_tests, weight: 0}", "reward.weight", "found 0, expected more than 0: every response has the score 0"),
        ("{name: code_tests, weight: -1}", "reward.weight", "found -1, expected more than 0: the better a response, the lower"),
        ("[{name: code_tests, weight: 0}, {name: white_box, weight: -2}]", "reward.code_tests.weight", "found 0, expected"),
    ],
)
def test_rewards_without_a_positive_weight(write: Write, reward: str, key: str, expected: str) -> None:
    (line,) = problems(write("x.yaml", "extends: small.yaml"), f"stages.rl.reward=!replace {reward}")
    assert f"stages.rl.{key}" in line or "--set" in line
    assert expected in line


def test_doubtful_weights_beside_others(write: Write) -> None:
    rewards = "[{name: code_tests}, {name: white_box, weight: 0}, {name: white_box, weight: -0.5}]"
    loaded = load(write("x.yaml", "extends: small.yaml"), [f"stages.rl.reward=!replace {rewards}"])
    first, second = loaded.unusual()
    assert "found 0: its score does not count" in first
    assert "found -0.5: the higher its score, the lower the sum" in second


def model(folder: Path, template: str | None) -> str:
    """Make a folder that describes a model with a chat template."""
    folder.mkdir()
    (folder / "config.json").write_text('{"num_attention_heads": 4}')
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template, "eos_token": {"content": "<end>"}}))
    return f"model={folder}"


def test_a_template_of_another_format(write: Write, tmp_path: Path) -> None:
    path = write("x.yaml", "extends: small.yaml")
    given = model(tmp_path / "llama", LLAMA)
    (line,) = problems(path, given)
    assert "stages.sft" in line
    assert "qwen writes '<|im_end|>\\n<|im_start|>assistant\\n' between a question and its answer" in line
    assert line.endswith("writes '<|eot_id|><|start_header_id|>assistant<|end_header_id|>\\n\\n', as llama3 does")
    load(path, [given, "stages.sft.template=llama3"])
    (line,) = problems(path, model(tmp_path / "qwen", TINY.read_text()), "stages.sft.template=llama3")
    assert line.endswith("as qwen does")


def test_templates_that_cannot_be_compared(write: Write, tmp_path: Path) -> None:
    """Models without a chat template, templates that do not render here, and those that LLaMA-Factory derives."""
    path = write("x.yaml", "extends: small.yaml")
    load(path, [model(tmp_path / "bare", None)])
    load(path, [model(tmp_path / "broken", "{{ unknown() }}")])
    load(path, [model(tmp_path / "llama", LLAMA), "stages.sft.template=null"])
    load(path, ["model={make: qwen2}"])
    longer = LLAMA.replace("{% endif %}", "<think>\n{% endif %}")  # a template may begin the answer
    load(path, [model(tmp_path / "thinks", longer), "stages.sft.template=llama3"])


def test_the_openings_of_known_templates() -> None:
    assert openings()["qwen"] == openings()["qwen3"] == "<|im_end|>\n<|im_start|>assistant\n"
    assert openings()["default"] == "<eos>\nAssistant:"
    assert sum(each is None for each in openings().values()) < 10


@pytest.mark.parametrize(
    ("train", "number"),
    [
        ("[{converter: alpaca, source: data/a.json}, {converter: alpaca, source: ./data/../data/a.json}]", 1),
        ("[{converter: alpaca, source: data}, {converter: alpaca, source: data/a.json, limit: 5}]", 1),
        ("[{converter: alpaca, source: a/rows}, {converter: gsm8k, source: a/b}, {converter: alpaca, source: a/rows}]", 2),
    ],
)
def test_sources_that_are_listed_twice(write: Write, train: str, number: int) -> None:
    write("data/a.json", "")
    path = write("x.yaml", f"extends: small.yaml\nstages:\n- name: sft\n  data:\n    train: {train}\n")
    (line,) = load(path).unusual()
    assert line.startswith(f"x.yaml:5: stages.sft.data.train[{number}]: its rows count twice: ")
    assert line.endswith("is listed before; remove one of both")


@pytest.mark.parametrize(
    "more",
    [
        "{converter: sharegpt, source: data/a.json}",
        "{converter: alpaca, source: data/b.json}",
        "{converter: alpaca, source: data/a.json, options: {prompt: x}}",
        "{converter: alpaca, source: data/a.json, pass_rates: {file: rates.jsonl, max: 0.5}}",
    ],
)
def test_sources_with_other_rows(write: Write, more: str) -> None:
    train = f"[{{converter: alpaca, source: data/a.json, revision: null}}, {more}]"
    path = write("x.yaml", f"extends: small.yaml\nstages:\n- name: sft\n  data:\n    train: {train}\n")
    assert load(path).unusual() == []
