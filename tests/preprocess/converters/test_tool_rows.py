"""Rows with the tool, as the trainers read them: both show the model the same, token for token."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from preprocess.rows import SftRow
from rewards.interpreter_tool import NAME, SCHEMA
from tests.preprocess.converters.code_rows import convert_example
from tests.rows import write_rows

ROOT = Path(__file__).resolve().parents[3]
SIZES = {"vocabulary": 600, "hidden_size": 64, "layers": 2, "heads": 2, "max_tokens": 4096, "seed": 17}

# Both ways of one conversation into tokens; the calls' arguments as an object, which is what verl hands to the template.
TOKENS = """
import json, sys
from llamafactory.data.template import TEMPLATES
from transformers import AutoTokenizer
rows, model = json.load(open(sys.argv[1])), sys.argv[2]
tokenizer = AutoTokenizer.from_pretrained(model)
roles = {"human": "user", "gpt": "assistant", "function_call": "function", "observation": "observation"}
def say(turn):
    if turn["from"] == "function_call":
        return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": json.loads(turn["value"])}]}
    return {"role": {"human": "user", "gpt": "assistant", "observation": "tool"}[turn["from"]], "content": turn["value"]}
seen = []
for row in rows:
    turns = [{"role": roles[turn["from"]], "content": turn["value"]} for turn in row["conversations"]]
    pairs = TEMPLATES["qwen"].encode_multiturn(tokenizer, turns, row["system"], row["tools"])
    messages = [{"role": "system", "content": row["system"]}, *map(say, row["conversations"])]
    text = tokenizer.apply_chat_template(messages, tools=json.loads(row["tools"]), tokenize=False)
    mine = [token for pair in pairs for part in pair for token in part]
    seen.append([tokenizer.decode(mine) == text, mine == tokenizer(text, add_special_tokens=False).input_ids, text])
print("SEEN", json.dumps(seen))
"""
VERL = """
import json, sys
from verl.tools.schemas import OpenAIFunctionToolSchema
schema = OpenAIFunctionToolSchema.model_validate(json.loads(sys.argv[1]))
print("SEEN", json.dumps(json.dumps(schema.model_dump(exclude_unset=True, exclude_none=True))))
"""


def run(python: Path, *arguments: str) -> Any:
    """What a script prints after SEEN."""
    done = subprocess.run(
        [python, *arguments],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.rpartition("SEEN ")[2])


@pytest.mark.smoke
def test_llamafactory_renders_tool_rows_as_the_chat_template_does(
    tmp_path: Path, trainer_python: Callable[[str], Path]
) -> None:
    rows = [
        row
        for name in ("apps", "humaneval", "leetcode")
        for row in convert_example(name, "sft", tool=NAME).rows
        if isinstance(row, SftRow)
    ]
    assert len(rows) >= 8
    python = trainer_python("llamafactory")
    write_rows(tmp_path / "rows.parquet", rows, "sft")
    config = {"make": "qwen2", **SIZES, "rows": [str(tmp_path / "rows.parquet")], "output": str(tmp_path / "model")}
    (tmp_path / "config.json").write_text(json.dumps(config))
    subprocess.run([python, "-m", "pipelines.tiny_model", str(tmp_path / "config.json")], cwd=ROOT, check=True)
    (tmp_path / "rows.json").write_text(json.dumps(pq.read_table(tmp_path / "rows.parquet").to_pylist()))
    for row, (same_text, same_tokens, text) in zip(
        rows, run(python, "-c", TOKENS, str(tmp_path / "rows.json"), str(tmp_path / "model")), strict=True
    ):
        assert (same_text, same_tokens) == (True, True), text
        assert text.startswith(f"<|im_start|>system\n{row.system}\n\n# Tools\n\n")
        assert f"<tools>\n{json.dumps(SCHEMA)}\n</tools>" in text
        assert f"<|im_start|>assistant\n<tool_call>\n{row.conversations[1].value}\n</tool_call><|im_end|>\n" in text
        reply = row.conversations[2].value
        assert f"<|im_start|>user\n<tool_response>\n{reply}\n</tool_response><|im_end|>\n<|im_start|>assistant\n" in text


@pytest.mark.smoke
def test_verl_shows_the_schema_as_the_rows_have_it(trainer_python: Callable[[str], Path]) -> None:
    assert run(trainer_python("verl"), "-c", VERL, json.dumps(SCHEMA)) == json.dumps(SCHEMA)
