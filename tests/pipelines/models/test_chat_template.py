"""A model's chat template is found where transformers finds it, and rendered up to the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.models.chat_template import TINY, TINY_OPENING, read_opening, read_template, render_opening


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("chat_template.jinja", "T"),
        ("chat_template.json", {"chat_template": "T"}),
        ("tokenizer_config.json", {"chat_template": "T"}),
        (
            "tokenizer_config.json",
            {"chat_template": [{"name": "tool_use", "template": "U"}, {"name": "default", "template": "T"}]},
        ),
    ],
)
def test_places_of_the_template(tmp_path: Path, name: str, content: Any) -> None:
    assert read_template(tmp_path) is None
    (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    assert read_template(tmp_path) == "T"


def test_openings(tmp_path: Path) -> None:
    assert render_opening(TINY.read_text(), {}) == TINY_OPENING == "<|im_end|>\n<|im_start|>assistant\n"
    assert render_opening("{{ raise_exception('no') }}", {}) is None
    assert render_opening("{{ messages[0].content | replace('7', 'seven') }}!", {}) is None
    assert render_opening("nothing", {}) is None
    (tmp_path / "chat_template.jinja").write_text("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}A:")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "</s>"}, "bos_token": None}))
    assert read_opening(tmp_path) == "</s>A:"
